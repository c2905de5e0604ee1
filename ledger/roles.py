"""Roles that a tenant composes, and who holds which where. Changes are decided under the tenant's lock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from ledger.administration import (
    Beyond,
    Changed,
    Giver,
    Target,
    deciding,
    may_manage,
    require,
    rights_over,
    role_permissions,
    whole_tenant,
)
from ledger.permissions import PERMISSIONS
from ledger.rights import assign

__all__ = [
    "Held", "HeldBefore", "NameTaken", "RoleLine", "RoleUsed", "change_role", "create_role", "delete_role",
    "find_role", "give", "held_by", "roles_of", "take",
]  # fmt: skip

LINES = """
SELECT r.id, r.name, r.permissions,
       (SELECT count(DISTINCT a.staff_id) FROM assignment a
        WHERE a.tenant_id = r.tenant_id AND a.role_id = r.id) AS holders
FROM role r WHERE r.tenant_id = :tenant
"""
ALL = text(LINES + " ORDER BY r.name, r.id")
ONE = text(LINES + " AND r.id = :role")
NAMED = text("SELECT id FROM role WHERE tenant_id = :tenant AND name = :name")
CREATE = text(
    "INSERT INTO role (tenant_id, name, permissions) VALUES (:tenant, :name, :permissions) RETURNING id"
)
CHANGE = text(
    "UPDATE role SET name = :name, permissions = :permissions WHERE tenant_id = :tenant AND id = :role"
)
# A link that is too old holds no role any more.
FORGET_OLD = text(
    "DELETE FROM invitation WHERE tenant_id = :tenant AND role_id = :role AND expires_at <= :now"
)
DELETE = text(
    """DELETE FROM role r WHERE r.tenant_id = :tenant AND r.id = :role
       AND NOT EXISTS (SELECT FROM assignment a WHERE a.tenant_id = r.tenant_id AND a.role_id = r.id)
       AND NOT EXISTS (SELECT FROM invitation i WHERE i.tenant_id = r.tenant_id AND i.role_id = r.id)
       RETURNING r.id"""
)
PLACES = text(
    "SELECT DISTINCT organisation_id, reach FROM assignment WHERE tenant_id = :tenant AND role_id = :role"
)
HELD_BY = text(
    """SELECT a.id, a.ready_made, a.role_id, r.name AS role_name, a.organisation_id, o.name AS unit, a.reach
       FROM assignment a
       JOIN organisation o ON o.id = a.organisation_id
       LEFT JOIN role r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
       WHERE a.staff_id = :staff ORDER BY a.id"""
)
SAME = text(
    """SELECT EXISTS (SELECT FROM assignment WHERE staff_id = :staff AND organisation_id = :unit
                      AND reach = :reach AND ready_made IS NOT DISTINCT FROM CAST(:ready_made AS text)
                      AND role_id IS NOT DISTINCT FROM CAST(:role AS bigint))"""
)
TAKE = text("DELETE FROM assignment WHERE staff_id = :staff AND id = :assignment")


class NameTaken(Exception):
    """The tenant has a role of this name."""


class RoleUsed(Exception):
    """Somebody holds the role, or an open invitation promises it."""


class HeldBefore(Exception):
    """The person holds exactly this already."""


@dataclass(frozen=True, slots=True)
class RoleLine:
    """A role that a tenant composed. `holders` counts people."""

    id: int
    name: str
    permissions: frozenset[str]
    holders: int


@dataclass(frozen=True, slots=True)
class Held:
    """A role that a person holds, and over which units."""

    id: int
    ready_made: str | None
    role_id: int | None
    role_name: str | None
    organisation_id: int
    unit: str
    reach: str


def roles_of(connection: Connection, tenant: int) -> list[RoleLine]:
    """The tenant's own roles, by name."""
    return _lines(connection.execute(ALL, {"tenant": tenant}).all())


def find_role(connection: Connection, tenant: int, role: int) -> RoleLine | None:
    """One of them."""
    found = _lines(connection.execute(ONE, {"tenant": tenant, "role": role}).all())
    return found[0] if found else None


def create_role(
    connection: Connection, giver: Giver, tenant: int, kind: str, *, name: str, permissions: Iterable[str]
) -> int:
    """A new role; returns its id. Raises NameTaken, and Beyond for permissions that the giver lacks."""
    chosen = frozenset(permissions)
    with deciding(connection, tenant):
        _require_known(connection, giver, kind, chosen)
        if connection.execute(NAMED, {"tenant": tenant, "name": name}).scalar_one_or_none() is not None:
            raise NameTaken
        told = {"tenant": tenant, "name": name, "permissions": sorted(chosen)}
        new: int = connection.execute(CREATE, told).scalar_one()
    return new


def change_role(
    connection: Connection,
    giver: Giver,
    tenant: int,
    kind: str,
    role: int,
    *,
    name: str,
    permissions: Iterable[str],
    seen: RoleLine | None = None,
) -> None:
    """Change a role and with it what its holders may, as long as it is as it was `seen`.

    Raises Beyond where the giver lacks what a holder gets or loses, NameTaken, LastAdministrator, Changed;
    LookupError for a role that the tenant does not have.
    """
    chosen = frozenset(permissions)
    with deciding(connection, tenant):
        before = find_role(connection, tenant, role)
        if before is None:
            raise LookupError(f"no role {role}")
        if seen is not None and (seen.name, seen.permissions) != (before.name, before.permissions):
            raise Changed
        _require_known(connection, giver, kind, chosen - before.permissions)
        if chosen != before.permissions:
            own, touched = giver.rights(connection), (chosen | before.permissions) & PERMISSIONS[kind]
            with whole_tenant(connection):  # who holds it may sit where the giver sees nobody
                places = connection.execute(PLACES, {"tenant": tenant, "role": role}).all()
            for unit, reach in places:
                try:
                    require(own, rights_over(connection, tenant, touched, unit=unit, reach=reach))
                except LookupError:  # the unit is closed: the role gives nothing there
                    continue
        named = connection.execute(NAMED, {"tenant": tenant, "name": name}).scalar_one_or_none()
        if named not in (None, role):
            raise NameTaken
        connection.execute(
            CHANGE, {"tenant": tenant, "role": role, "name": name, "permissions": sorted(chosen)}
        )


def delete_role(connection: Connection, tenant: int, role: int, *, now: datetime) -> None:
    """Delete a role that nobody holds. Raises RoleUsed."""
    with deciding(connection, tenant):
        with whole_tenant(connection):  # as above
            connection.execute(FORGET_OLD, {"tenant": tenant, "role": role, "now": now})
            gone = connection.execute(DELETE, {"tenant": tenant, "role": role}).one_or_none()
        if gone is None:
            raise RoleUsed


def held_by(connection: Connection, staff: int) -> list[Held]:
    """The roles that a person holds."""
    return [Held(*row) for row in connection.execute(HELD_BY, {"staff": staff})]


def give(
    connection: Connection,
    giver: Giver,
    target: Target,
    *,
    ready_made: str | None,
    role: int | None,
    unit: int,
    reach: str,
) -> int:
    """Give a person a role over units; returns the assignment's id.

    Raises Beyond, HeldBefore, and LookupError for a role or unit that the tenant does not have.
    """
    with deciding(connection, target.tenant_id):
        permissions = role_permissions(
            connection, target.tenant_id, target.tenant_kind, ready_made=ready_made, role=role
        )
        own = giver.rights(connection)
        if not may_manage(own, target.organisation_id):
            raise Beyond
        require(own, rights_over(connection, target.tenant_id, permissions, unit=unit, reach=reach))
        told = {
            "staff": target.staff_id,
            "unit": unit,
            "reach": reach,
            "ready_made": ready_made,
            "role": role,
        }
        if connection.execute(SAME, told).scalar_one():
            raise HeldBefore
        return assign(connection, target.staff_id, reach=reach, ready_made=ready_made, role=role, unit=unit)


def take(connection: Connection, giver: Giver, target: Target, assignment: int) -> Held:
    """Take a role from a person; returns what it was.

    Raises Beyond, LastAdministrator; LookupError when the person does not hold it.
    """
    with deciding(connection, target.tenant_id):
        held = next((each for each in held_by(connection, target.staff_id) if each.id == assignment), None)
        if held is None:
            raise LookupError(f"staff {target.staff_id} holds nothing numbered {assignment}")
        own = giver.rights(connection)
        if not may_manage(own, target.organisation_id):
            raise Beyond
        permissions = role_permissions(
            connection, target.tenant_id, target.tenant_kind, ready_made=held.ready_made, role=held.role_id
        )
        try:
            given = rights_over(
                connection, target.tenant_id, permissions, unit=held.organisation_id, reach=held.reach
            )
        except LookupError:  # of a closed unit anybody may clear it away who manages the person
            given = None
        if given is not None:
            require(own, given)
        connection.execute(TAKE, {"staff": target.staff_id, "assignment": assignment})
    return held


def _require_known(connection: Connection, giver: Giver, kind: str, permissions: frozenset[str]) -> None:
    if not permissions <= PERMISSIONS[kind]:
        raise LookupError("no such permission")
    if not permissions <= frozenset(giver.rights(connection).units):
        raise Beyond


def _lines(rows: Sequence[tuple[int, str, list[str], int]]) -> list[RoleLine]:
    return [
        RoleLine(role, name, frozenset(permissions), holders) for role, name, permissions, holders in rows
    ]
