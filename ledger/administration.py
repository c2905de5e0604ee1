"""Who decides who may what: one at a time in a tenant, nobody beyond their own rights, the last one stays.

What a page was allowed a moment ago is read again here, under the tenant's lock: two administrators who
take each other's roles at once do so one after the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ledger.permissions import ADMINISTRATION, PERMISSIONS, READY_MADE
from ledger.rights import Rights, rights_of

__all__ = [
    "Beyond", "Changed", "Giver", "LastAdministrator", "Target", "administrators", "deciding",
    "may_manage", "require", "require_over", "rights_over", "role_permissions", "whole_tenant",
]  # fmt: skip

LOCK = text("SELECT kind FROM organisation WHERE id = :tenant AND parent_id IS NULL FOR NO KEY UPDATE")
ADMINISTRATORS = text(
    """SELECT s.id, a.ready_made, r.permissions
       FROM staff s
       JOIN organisation o ON o.id = s.organisation_id AND o.status = 'open'
       JOIN assignment a ON a.staff_id = s.id AND a.reach = 'tenant'
       LEFT JOIN role r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
       WHERE s.tenant_id = :tenant AND s.status = 'active'"""
)
BELOW = text(
    """WITH RECURSIVE below AS (
           SELECT id FROM organisation WHERE tenant_id = :tenant AND id = :unit AND status = 'open'
           UNION ALL
           SELECT o.id FROM below b, LATERAL (
               SELECT id FROM organisation WHERE tenant_id = :tenant AND parent_id = b.id OFFSET 0
           ) o
       ) SELECT id FROM below"""
)
ROLE = text("SELECT permissions FROM role WHERE tenant_id = :tenant AND id = :role")
UNITS = text("SELECT coalesce(current_setting('tessera.units', true), '')")
SET_UNITS = text("SELECT set_config('tessera.units', :units, true)")


class Beyond(Exception):
    """Somebody would give, take or touch more than their own rights reach."""


class Changed(Exception):
    """What is to be changed is not any more as it was seen."""


class LastAdministrator(Exception):
    """Nobody would be left who may manage staff and roles over the whole tenant."""


@dataclass(frozen=True, slots=True)
class Giver:
    """The person who decides, and the kind of their tenant."""

    staff_id: int
    tenant_kind: str

    def rights(self, connection: Connection) -> Rights:
        """What they may now, also where the scope names units and they belong to none of these."""
        with whole_tenant(connection):
            return rights_of(connection, self.staff_id, self.tenant_kind)


@dataclass(frozen=True, slots=True)
class Target:
    """The person about whom something is decided."""

    staff_id: int
    tenant_id: int
    tenant_kind: str
    organisation_id: int

    def rights(self, connection: Connection) -> Rights:
        """What they may now, as whole as a giver's."""
        with whole_tenant(connection):
            return rights_of(connection, self.staff_id, self.tenant_kind)


@contextmanager
def whole_tenant(connection: Connection) -> Iterator[None]:
    """Inside, a scope that names units sees all of its tenant: what is decided for all asks about all.

    For reads alone: whatever fails inside ends the transaction, and nothing is narrowed again.
    """
    units = connection.execute(UNITS).scalar_one()
    if units:
        connection.execute(SET_UNITS, {"units": ""})
    yield
    if units:
        connection.execute(SET_UNITS, {"units": units})


@contextmanager
def deciding(connection: Connection, tenant: int) -> Iterator[None]:
    """Inside, nobody else decides in `tenant`. Raises LastAdministrator when none would be left.

    LookupError for a tenant that is none, or not the scope's.
    """
    before = administrators(connection, tenant, lock=True)
    yield
    if before and not administrators(connection, tenant):
        raise LastAdministrator


def administrators(connection: Connection, tenant: int, *, lock: bool = False) -> set[int]:
    """The active staff who hold ADMINISTRATION over the whole tenant; `lock`: from here on one at a time."""
    statement = LOCK if lock else text(str(LOCK).partition(" FOR ")[0])
    with whole_tenant(connection):  # the last one may sit elsewhere than in the scope's units
        kind = connection.execute(statement, {"tenant": tenant}).scalar_one_or_none()
        found = connection.execute(ADMINISTRATORS, {"tenant": tenant}).all()
    if kind is None:
        raise LookupError(f"no tenant {tenant}")
    held: dict[int, frozenset[str]] = {}
    for staff, ready_made, own in found:
        permissions = READY_MADE[kind].get(ready_made, frozenset()) if ready_made else frozenset(own)
        held[staff] = held.get(staff, frozenset()) | permissions
    return {staff for staff, permissions in held.items() if permissions >= ADMINISTRATION}


def role_permissions(
    connection: Connection, tenant: int, kind: str, *, ready_made: str | None, role: int | None
) -> frozenset[str]:
    """What a role permits in a tenant of `kind`. LookupError for a role that it does not have."""
    if ready_made is not None:
        if ready_made not in READY_MADE[kind]:
            raise LookupError(f"no ready-made role {ready_made!r}")
        return READY_MADE[kind][ready_made]
    own = connection.execute(ROLE, {"tenant": tenant, "role": role}).scalar_one_or_none()
    if own is None:
        raise LookupError(f"no role {role}")
    return frozenset(own) & PERMISSIONS[kind]


def rights_over(
    connection: Connection, tenant: int, permissions: frozenset[str], *, unit: int, reach: str
) -> Rights:
    """The rights that a role of these permissions gives at `unit` with `reach`.

    LookupError for a unit that the tenant does not have, or that is closed.
    """
    below = frozenset(connection.execute(BELOW, {"tenant": tenant, "unit": unit}).scalars())
    if not below:
        raise LookupError(f"no open unit {unit}")
    units = {"unit": frozenset({unit}), "below": below, "tenant": None}[reach]
    return Rights(dict.fromkeys(permissions, units))


def may_manage(rights: Rights, organisation: int) -> bool:
    """Whether the rights reach the staff of an organisation."""
    units = rights.units.get("staff.change", frozenset())
    return units is None or organisation in units


def require(giver: Rights, given: Rights) -> None:
    """Raise Beyond unless the giver has no less than what is given."""
    if not giver.covers(given):
        raise Beyond


def require_over(connection: Connection, giver: Giver, target: Target) -> None:
    """Raise Beyond unless the giver may manage the target and has no fewer rights."""
    own = giver.rights(connection)
    if not may_manage(own, target.organisation_id):
        raise Beyond
    require(own, target.rights(connection))
