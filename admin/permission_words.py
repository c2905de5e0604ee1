"""What each permission, role and reach is called, in a sentence that says what it lets a person do."""

from collections.abc import Collection

from admin.language import gettext as _
from ledger.permissions import PERMISSIONS

__all__ = [
    "grouped_permissions", "permission_words", "reach_words", "role_words", "sentences",
    "tenant_kind_words",
]  # fmt: skip

NOUNS = (
    "organisations", "staff", "roles", "trail", "transactions", "members", "cards", "points", "merchants",
    "services", "prices", "terminals", "day",
)  # fmt: skip


def noun_words(noun: str) -> str:
    """The heading over the permissions of a noun."""
    return {
        "organisations": _("Organisations"),
        "staff": _("Staff"),
        "roles": _("Roles"),
        "trail": _("Audit trail"),
        "transactions": _("Transactions"),
        "members": _("Members"),
        "cards": _("Cards"),
        "points": _("Points"),
        "merchants": _("Merchants"),
        "services": _("Services"),
        "prices": _("Prices"),
        "terminals": _("Terminals"),
        "day": _("Business day"),
    }.get(noun, noun)


def permission_words(permission: str) -> str:
    """What a permission lets a person do."""
    return _all_words().get(permission, permission)


def _all_words() -> dict[str, str]:
    return _office() | _members() | _shops()


def _office() -> dict[str, str]:
    return {
        "organisations.view": _("See the tree of organisations"),
        "organisations.change": _("Make, rename, move and close organisations"),
        "staff.view": _("See staff, their roles and their logins"),
        "staff.change": _("Invite staff, give them roles, close logins, let passwords be chosen anew"),
        "roles.change": _("Compose roles and change what they permit"),
        "trail.view": _("Read the audit trail"),
        "transactions.view": _("See transactions"),
        "day.view": _("See the business day"),
        "day.change": _("Open the next business day and change the calendar"),
    }


def _members() -> dict[str, str]:
    return {
        "members.view": _("See members, with phones and identity numbers masked"),
        "members.personal": _("See phones and identity numbers in full, and export a member's data"),
        "members.change": _("Enter members and change their details"),
        "members.import": _("Import members from files"),
        "members.erase": _("Erase a member's personal data"),
        "cards.view": _("See cards"),
        "cards.issue": _("Issue cards, singly and in batches"),
        "cards.change": _("Activate, suspend, replace and close cards, reset PINs"),
        "cards.terms": _("Set what kinds of card there are, and their limits"),
        "points.view": _("See grants, top-ups and budgets"),
        "points.grant": _("Grant points"),
        "points.topup": _("Take top-ups"),
        "points.adjust": _("Adjust a member's points"),
        "points.approve": _("Approve what needs a second person"),
        "points.budget": _("Set the budget of an enterprise"),
        "points.confirm": _("Confirm that a bank transfer has arrived"),
    }


def _shops() -> dict[str, str]:
    return {
        "merchants.view": _("See merchants and stores"),
        "merchants.change": _("Enter merchants and stores and change their details"),
        "services.view": _("See services and their prices"),
        "services.change": _("Make services and categories, change and close them"),
        "prices.change": _("Agree prices"),
        "terminals.view": _("See terminals and their batches"),
        "terminals.change": _("Make and revoke terminals, give out enrolment codes"),
    }


def grouped_permissions(kind: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The permissions that make sense for a kind of tenant: heading, then (name, sentence) of each."""
    groups, words = [], _all_words()
    names = PERMISSIONS[kind]
    for noun in (*NOUNS, *sorted({name.partition(".")[0] for name in names} - set(NOUNS))):
        held = sorted((name for name in names if name.startswith(noun + ".")), key=_reading_first)
        if held:
            groups.append((noun_words(noun), [(name, words.get(name, name)) for name in held]))
    return groups


def sentences(permissions: Collection[str], kind: str) -> list[str]:
    """The sentences of some permissions, in the order of the groups."""
    return [words for _, group in grouped_permissions(kind) for name, words in group if name in permissions]


def role_words(ready_made: str | None, own: str | None = None) -> str:
    """A ready-made role's name in the page's language, or the name that a tenant gave its own."""
    if ready_made is None:
        return own or ""
    return {
        "administrator": _("Administrator"),
        "viewer": _("Viewer"),
        "member_desk": _("Member desk"),
        "importer": _("Importer"),
        "points_desk": _("Points desk"),
        "approver": _("Approver"),
        "merchant_desk": _("Merchant desk"),
        "day_keeper": _("Keeper of the day"),
        "store_keeper": _("Store keeper"),
    }.get(ready_made, ready_made)


def reach_words(reach: str) -> str:
    """Over which units a role is held."""
    return {
        "unit": _("This unit alone"),
        "below": _("This unit and all below it"),
        "tenant": _("The whole tenant"),
    }[reach]


def tenant_kind_words(kind: str) -> str:
    """The word for a kind of tenant."""
    return {"operator": _("Operator"), "enterprise": _("Enterprise"), "merchant": _("Merchant")}[kind]


def _reading_first(name: str) -> tuple[bool, str]:
    return (not name.endswith(".view"), name)
