"""Organisations: the trees of the operator, the enterprises and the merchants.

What changes a tree locks it at its top (`lock_tree`), reads what it decides on in later statements,
and says no with OrganisationRefused: two people who change one tree at once cannot make a circle of it.
"""

from typing import Literal, TypeAlias

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ledger.model import OFFICE_TERMINAL

__all__ = [
    "KINDS", "OrganisationRefused", "Refusal", "close", "create_child", "create_tenant", "create_unit",
    "lock_tree", "move", "place_of", "rename", "reopen", "set_status",
]  # fmt: skip

KINDS: dict[str, tuple[str, ...]] = {
    "operator": ("department", "branch"),
    "enterprise": ("department", "branch"),
    "merchant": ("store", "branch", "department"),
}
"""What may stand in the tree of each kind of tenant. Stores are a merchant's: all tenants see them."""

Refusal: TypeAlias = Literal[
    "code_taken", "circular", "foreign", "closed_above", "open_below", "top", "kind", "own_unit",
    "last_administrator", "no_change", "more_rights",
]  # fmt: skip

NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('organisation', 'id'))")
INSERT = text(
    """INSERT INTO organisation (id, tenant_id, parent_id, kind, code, name)
       VALUES (:id, :tenant_id, :parent_id, :kind, :code, :name)"""
)
INSERT_OFFICE = text(
    """INSERT INTO terminal (id, tenant_id, store_id, kind, name, status)
       VALUES (:id, :operator, :operator, 'office', 'Office', 'active')"""
)
TENANT_OF = text("SELECT tenant_id FROM organisation WHERE id = :id")
SET_STATUS = text("UPDATE organisation SET status = :status WHERE id = :id")
PLACE_OF = text("SELECT organisation_id FROM staff WHERE id = :staff")
# Weaker than FOR UPDATE: members, staff and terminals that refer to the top need not wait.
LOCK_TREE = text("SELECT kind FROM organisation WHERE id = :tenant AND parent_id IS NULL FOR NO KEY UPDATE")
NODE = text("SELECT tenant_id, parent_id, kind, status FROM organisation WHERE id = :id")
CODE_TAKEN = text(
    "SELECT EXISTS (SELECT FROM organisation WHERE tenant_id = :tenant AND code = :code AND id <> :but)"
)
RENAME = text("UPDATE organisation SET name = :name, code = :code WHERE id = :id")
MOVE = text("UPDATE organisation SET parent_id = :parent WHERE id = :id")
# UNION and not UNION ALL: it ends, whatever the tree looks like.
IS_ABOVE = text(
    """WITH RECURSIVE above AS (
           SELECT id, tenant_id, parent_id FROM organisation WHERE id = :id
           UNION
           SELECT o.id, o.tenant_id, o.parent_id FROM organisation o
           JOIN above a ON o.tenant_id = a.tenant_id AND o.id = a.parent_id
       ) SELECT EXISTS (SELECT FROM above WHERE id = :upper)"""
)
OPEN_BELOW = text(
    """SELECT EXISTS (SELECT FROM organisation
                     WHERE tenant_id = :tenant AND parent_id = :id AND status = 'open')"""
)
# Whoever can mend the rights of all: an administrator of the whole tenant who can log in.
ADMINISTRATORS = text(
    """SELECT count(*) AS all_of_them, count(*) FILTER (WHERE s.organisation_id <> :id) AS elsewhere
       FROM staff s JOIN organisation own ON own.id = s.organisation_id
       WHERE s.tenant_id = :tenant AND s.status = 'active' AND own.status = 'open'
         AND EXISTS (SELECT FROM assignment a WHERE a.staff_id = s.id AND a.ready_made = 'administrator'
                     AND a.reach = 'tenant')"""
)


class OrganisationRefused(Exception):
    """The tree cannot be changed like this; `why` names the reason."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why)
        self.why: Refusal = why


def create_tenant(connection: Connection, *, kind: str, code: str, name: str) -> int:
    """A new top organisation: `operator`, `enterprise` or `merchant`. Returns its id.

    The operator comes with the office terminal, under which the site and its jobs post. OrganisationRefused
    when a tenant of this kind has the code.
    """
    new: int = connection.execute(NEXT_ID).scalar_one()
    row = {"id": new, "tenant_id": new, "parent_id": None, "kind": kind, "code": code, "name": name}
    try:
        with connection.begin_nested():
            connection.execute(INSERT, row)
    except IntegrityError as error:
        raise OrganisationRefused("code_taken") from error
    if kind == "operator":
        connection.execute(INSERT_OFFICE, {"id": OFFICE_TERMINAL, "operator": new})
    return new


def create_child(connection: Connection, *, parent: int, kind: str, code: str, name: str) -> int:
    """A department, branch or store under `parent`, in the same tenant. Returns its id."""
    tenant: int = connection.execute(TENANT_OF, {"id": parent}).scalar_one()
    new: int = connection.execute(NEXT_ID).scalar_one()
    connection.execute(
        INSERT,
        {"id": new, "tenant_id": tenant, "parent_id": parent, "kind": kind, "code": code, "name": name},
    )
    return new


def set_status(connection: Connection, organisation: int, status: str) -> None:
    """`open` or `closed`. A closed store or merchant sells nothing from the next message on."""
    connection.execute(SET_STATUS, {"id": organisation, "status": status})


def lock_tree(connection: Connection, tenant: int) -> str:
    """Let nobody else change the tenant's tree until the commit. Returns the tenant's kind."""
    kind = connection.execute(LOCK_TREE, {"tenant": tenant}).scalar_one_or_none()
    if kind is None:
        raise LookupError(f"no tenant {tenant}")
    return str(kind)


def create_unit(connection: Connection, *, parent: int, kind: str, code: str, name: str) -> int:
    """A unit of a kind that its tenant may have, below an open one. Returns its id."""
    tenant = connection.execute(TENANT_OF, {"id": parent}).scalar_one()
    if kind not in KINDS[lock_tree(connection, tenant)]:
        raise OrganisationRefused("kind")
    if connection.execute(NODE, {"id": parent}).one().status != "open":
        raise OrganisationRefused("closed_above")
    _free(connection, tenant, code)
    try:
        with connection.begin_nested():
            return create_child(connection, parent=parent, kind=kind, code=code, name=name)
    except IntegrityError as error:
        raise OrganisationRefused("code_taken") from error


def rename(connection: Connection, organisation: int, *, name: str, code: str) -> None:
    """Another name, another code: one that no other organisation of the tenant has, nor another tenant."""
    node = connection.execute(NODE, {"id": organisation}).one()
    lock_tree(connection, node.tenant_id)
    _free(connection, node.tenant_id, code, but=organisation)
    try:
        with connection.begin_nested():
            connection.execute(RENAME, {"id": organisation, "name": name, "code": code})
    except IntegrityError as error:
        raise OrganisationRefused("code_taken") from error


def move(connection: Connection, organisation: int, *, parent: int) -> None:
    """Put a unit, with all below it, under another of the same tenant: an open one that is not below it."""
    node = connection.execute(NODE, {"id": organisation}).one()
    lock_tree(connection, node.tenant_id)
    node = connection.execute(NODE, {"id": organisation}).one()
    above = connection.execute(NODE, {"id": parent}).one_or_none()
    if node.parent_id is None:
        raise OrganisationRefused("top")
    if above is None or above.tenant_id != node.tenant_id:
        raise OrganisationRefused("foreign")
    if connection.execute(IS_ABOVE, {"id": parent, "upper": organisation}).scalar_one():
        raise OrganisationRefused("circular")
    if node.parent_id == parent:
        raise OrganisationRefused("no_change")
    if node.status == "open" and above.status != "open":
        raise OrganisationRefused("closed_above")
    connection.execute(MOVE, {"id": organisation, "parent": parent})


def close(connection: Connection, organisation: int, *, by_staff_of: int | None = None) -> None:
    """Close a unit below which nothing is open, or a whole tenant: then whatever it has is left as it is.

    `by_staff_of`: where the person works who closes it; nobody shuts themselves out, nor a tenant's last
    administrator.
    """
    node = connection.execute(NODE, {"id": organisation}).one()
    kind = lock_tree(connection, node.tenant_id)
    node = connection.execute(NODE, {"id": organisation}).one()
    if node.status == "closed":
        raise OrganisationRefused("no_change")
    if node.parent_id is None and kind == "operator":
        raise OrganisationRefused("top")
    if organisation == by_staff_of:
        raise OrganisationRefused("own_unit")
    if node.parent_id is not None:
        params = {"tenant": node.tenant_id, "id": organisation}
        if connection.execute(OPEN_BELOW, params).scalar_one():
            raise OrganisationRefused("open_below")
        administrators = connection.execute(ADMINISTRATORS, params).one()
        if administrators.all_of_them and not administrators.elsewhere:
            raise OrganisationRefused("last_administrator")
    set_status(connection, organisation, "closed")


def reopen(connection: Connection, organisation: int) -> None:
    """Open a closed unit again, below an open one, or a whole tenant."""
    node = connection.execute(NODE, {"id": organisation}).one()
    lock_tree(connection, node.tenant_id)
    node = connection.execute(NODE, {"id": organisation}).one()
    if node.status == "open":
        raise OrganisationRefused("no_change")
    if node.parent_id is not None:
        above = connection.execute(NODE, {"id": node.parent_id}).one()
        if above.status != "open":
            raise OrganisationRefused("closed_above")
    set_status(connection, organisation, "open")


def _free(connection: Connection, tenant: int, code: str, *, but: int = 0) -> None:
    if connection.execute(CODE_TAKEN, {"tenant": tenant, "code": code, "but": but}).scalar_one():
        raise OrganisationRefused("code_taken")


def place_of(connection: Connection, staff: int) -> int | None:
    """The organisation where a person of the staff works."""
    place: int | None = connection.execute(PLACE_OF, {"staff": staff}).scalar_one_or_none()
    return place
