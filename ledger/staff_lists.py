"""Staff as pages list them, one person with what concerns their login, and the units to choose from."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from ledger.administration import Changed, Giver, Target, deciding, require_over
from ledger.staff_sessions import end_all

__all__ = [
    "Person", "StaffLine", "Tenant", "Unit", "change_person", "find_person", "find_tenant", "list_staff",
    "search_tenants", "set_status", "units",
]  # fmt: skip

LINES = """
SELECT s.id, s.login, s.name, s.status, s.tenant_id, t.name AS tenant, t.kind AS tenant_kind,
       s.organisation_id, o.name AS organisation, s.language, s.factor_since, s.created_at,
       (SELECT e.happened_at FROM login_event e
        WHERE e.staff_id = s.id AND e.outcome IN ('in', 'recovery')
        ORDER BY e.happened_at DESC LIMIT 1) AS last_login_at
FROM staff s
JOIN organisation t ON t.id = s.tenant_id
JOIN organisation o ON o.id = s.organisation_id
"""
LIST = text(
    LINES
    + """WHERE (CAST(:tenant AS bigint) IS NULL OR s.tenant_id = :tenant)
         AND (:words = '' OR s.name ILIKE :like OR s.login ILIKE :like OR o.name ILIKE :like
              OR t.name ILIKE :like)
         AND (:status = 'all' OR s.status = :status)
         ORDER BY t.kind = 'operator' DESC, t.name, s.name, s.id LIMIT :most"""
)
ONE = text(LINES + "WHERE s.id = :staff")
HOLDS = text(
    """SELECT a.staff_id, a.ready_made, r.name FROM assignment a
       LEFT JOIN role r ON r.tenant_id = a.tenant_id AND r.id = a.role_id
       WHERE a.staff_id = ANY(:staff) ORDER BY a.id"""
)
CHANGE = text(
    """UPDATE staff SET name = :name, organisation_id = :organisation, language = :language
       WHERE id = :staff"""
)
OPEN_UNIT = text(
    "SELECT EXISTS (SELECT FROM organisation WHERE tenant_id = :tenant AND id = :unit AND status = 'open')"
)
SET_STATUS = text("UPDATE staff SET status = :status WHERE id = :staff AND status <> :status RETURNING id")
FORGET_LINKS = text("DELETE FROM invitation WHERE staff_id = :staff")
TENANT = text(
    "SELECT id, kind, name FROM organisation WHERE id = :tenant AND parent_id IS NULL AND tenant_id = id"
)
TENANTS = text(
    """SELECT id, kind, name FROM organisation
       WHERE parent_id IS NULL AND status = 'open' AND (:words = '' OR name ILIKE :like OR code ILIKE :like)
       ORDER BY name, id LIMIT :most"""
)
UNITS = text(
    """SELECT id, parent_id, name FROM organisation WHERE tenant_id = :tenant AND status = 'open'
       ORDER BY name, id"""
)


@dataclass(frozen=True, slots=True)
class Person:
    """One of the staff, as their page shows them."""

    id: int
    login: str
    name: str
    status: str
    tenant_id: int
    tenant: str
    tenant_kind: str
    organisation_id: int
    organisation: str
    language: str
    factor_since: datetime | None
    created_at: datetime
    last_login_at: datetime | None

    @property
    def target(self) -> Target:
        """The person as one about whom something is decided."""
        return Target(self.id, self.tenant_id, self.tenant_kind, self.organisation_id)


@dataclass(frozen=True, slots=True)
class StaffLine:
    """A person in a list, with their roles: the code of a ready-made one, or the name of an own one."""

    person: Person
    roles: list[tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant whose staff are managed."""

    id: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Unit:
    """An open organisation of a tenant; `depth` 0 is the tenant itself."""

    id: int
    name: str
    depth: int


def list_staff(
    connection: Connection, *, tenant: int | None, words: str, status: str, most: int
) -> list[StaffLine]:
    """Staff of the scope, or of one tenant of it, whose name, login or organisation has these words in it."""
    like = f"%{_escaped(words)}%"
    told = {"tenant": tenant, "words": words, "like": like, "status": status, "most": most}
    people = [Person(*row) for row in connection.execute(LIST, told)]
    held: dict[int, list[tuple[str | None, str | None]]] = {person.id: [] for person in people}
    for staff, ready_made, name in connection.execute(HOLDS, {"staff": list(held)}):
        if (ready_made, name) not in held[staff]:
            held[staff].append((ready_made, name))
    return [StaffLine(person, held[person.id]) for person in people]


def find_person(connection: Connection, staff: int) -> Person | None:
    """One of the staff, if the scope shows them."""
    row = connection.execute(ONE, {"staff": staff}).one_or_none()
    return None if row is None else Person(*row)


def change_person(
    connection: Connection, giver: Giver, seen: Person, *, name: str, organisation: int, language: str
) -> None:
    """Rename a person, or move them to another unit: their roles stay as they are.

    Raises Changed where they are not any more as they were `seen`; Beyond, LastAdministrator, LookupError
    for a unit that the tenant does not have.
    """
    target = seen.target
    with deciding(connection, target.tenant_id):
        now = find_person(connection, seen.id)
        if now is None or (now.name, now.organisation_id, now.language) != (
            seen.name, seen.organisation_id, seen.language,
        ):  # fmt: skip
            raise Changed
        require_over(connection, giver, target)
        if organisation != target.organisation_id:
            if not connection.execute(
                OPEN_UNIT, {"tenant": target.tenant_id, "unit": organisation}
            ).scalar_one():
                raise LookupError(f"no open unit {organisation}")
            require_over(
                connection,
                giver,
                Target(target.staff_id, target.tenant_id, target.tenant_kind, organisation),
            )
        told = {"staff": target.staff_id, "name": name, "organisation": organisation, "language": language}
        connection.execute(CHANGE, told)


def set_status(connection: Connection, giver: Giver, target: Target, status: str) -> bool:
    """Close somebody's login, which ends their sessions and links, or open it again (`active`).

    False when it is so already. Raises Beyond, LastAdministrator.
    """
    with deciding(connection, target.tenant_id):
        require_over(connection, giver, target)
        changed = connection.execute(SET_STATUS, {"staff": target.staff_id, "status": status}).one_or_none()
        if status == "closed":
            end_all(connection, target.staff_id)
            connection.execute(FORGET_LINKS, {"staff": target.staff_id})
    return changed is not None


def find_tenant(connection: Connection, tenant: int) -> Tenant | None:
    """A tenant by its id."""
    row = connection.execute(TENANT, {"tenant": tenant}).one_or_none()
    return None if row is None else Tenant(*row)


def search_tenants(connection: Connection, words: str, *, most: int) -> list[Tenant]:
    """Open tenants whose name or code has these words in it."""
    told = {"words": words, "like": f"%{_escaped(words)}%", "most": most}
    return [Tenant(*row) for row in connection.execute(TENANTS, told)]


def units(connection: Connection, tenant: int, *, only: Collection[int] | None = None) -> list[Unit]:
    """The open organisations of a tenant, each below its parent; `only` some of them."""
    below: dict[int | None, list[tuple[int, str]]] = {}
    for unit, parent, name in connection.execute(UNITS, {"tenant": tenant}):
        below.setdefault(parent, []).append((unit, name))
    found: list[Unit] = []
    waiting = [Unit(unit, name, 0) for unit, name in below.get(None, [])]
    while waiting:
        found.append(last := waiting.pop())
        children = [Unit(unit, name, last.depth + 1) for unit, name in below.get(last.id, [])]
        waiting += reversed(children)
    return found if only is None else [unit for unit in found if unit.id in only]


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
