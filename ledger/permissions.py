"""Permissions by name, which tenants they make sense for, and the ready-made roles. Pure data.

A permission names an operation on a noun. A role is a set of them; staff hold roles with a reach
(ledger.rights). Rows of a tenant are its own whatever a role says: row level security sees to that.
"""

__all__ = ["ADMINISTRATION", "ALL", "PERMISSIONS", "READY_MADE", "REACHES"]

ADMINISTRATION = frozenset({"staff.change", "roles.change"})
"""Whoever holds both over the whole tenant can mend everything else; a tenant never loses its last one."""

REACHES = ("unit", "below", "tenant")  # own unit, unit and below, whole tenant

_EVERY_KIND = frozenset({
    "organisations.view", "organisations.change", "staff.view", "staff.change", "roles.change", "trail.view",
    "transactions.view",
})  # fmt: skip
_OF_MEMBERS = frozenset({
    "members.view", "members.personal", "members.change", "members.import", "members.erase", "cards.view",
    "cards.issue", "cards.change", "cards.terms", "points.view", "points.grant", "points.topup",
    "points.adjust", "points.approve", "points.budget",
})  # fmt: skip
_OF_SHOPS = frozenset({"merchants.view", "services.view", "terminals.view", "terminals.change"})

PERMISSIONS: dict[str, frozenset[str]] = {
    "operator": _EVERY_KIND | _OF_MEMBERS | _OF_SHOPS | {
        "merchants.change", "services.change", "prices.change", "points.confirm", "day.view", "day.change",
    },
    "enterprise": _EVERY_KIND | _OF_MEMBERS,
    "merchant": _EVERY_KIND | _OF_SHOPS,
}  # fmt: skip
"""What there is for staff of each kind of tenant. `points.confirm`: that a bank transfer has arrived."""

ALL = frozenset().union(*PERMISSIONS.values())

_VIEW = {
    kind: frozenset(name for name in names if name.endswith(".view")) for kind, names in PERMISSIONS.items()
}
_MEMBER_DESK = frozenset({
    "members.view", "members.personal", "members.change", "cards.view", "cards.issue", "cards.change",
    "points.view", "points.topup", "transactions.view",
})  # fmt: skip
_POINTS_DESK = frozenset({
    "members.view", "points.view", "points.grant", "points.topup", "points.adjust", "transactions.view",
})  # fmt: skip
_APPROVER = frozenset({"members.view", "points.view", "points.approve", "points.budget", "transactions.view"})

READY_MADE: dict[str, dict[str, frozenset[str]]] = {
    "operator": {
        "administrator": PERMISSIONS["operator"],
        "viewer": _VIEW["operator"],
        "member_desk": _MEMBER_DESK,
        "points_desk": _POINTS_DESK | {"points.confirm"},
        "approver": _APPROVER,
        "merchant_desk": frozenset({
            "merchants.view", "merchants.change", "services.view", "services.change", "prices.change",
            "terminals.view", "terminals.change", "transactions.view", "organisations.view",
        }),
        "day_keeper": frozenset({"day.view", "day.change", "terminals.view", "transactions.view"}),
    },
    "enterprise": {
        "administrator": PERMISSIONS["enterprise"],
        "viewer": _VIEW["enterprise"],
        "member_desk": _MEMBER_DESK,
        "importer": frozenset({"members.view", "members.personal", "members.change", "members.import"}),
        "points_desk": _POINTS_DESK,
        "approver": _APPROVER,
    },
    "merchant": {
        "administrator": PERMISSIONS["merchant"],
        "viewer": _VIEW["merchant"],
        "store_keeper": frozenset({
            "merchants.view", "services.view", "terminals.view", "terminals.change", "transactions.view",
        }),
    },
}  # fmt: skip
"""Roles that every tenant of a kind has, by code; people give them to staff, nobody edits them."""
