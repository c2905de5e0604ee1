"""Organisations: the trees of the operator, the enterprises and the merchants."""

from sqlalchemy import Connection, text

from ledger.model import OFFICE_TERMINAL

__all__ = ["create_child", "create_tenant", "set_status"]

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


def create_tenant(connection: Connection, *, kind: str, code: str, name: str) -> int:
    """A new top organisation: `operator`, `enterprise` or `merchant`. Returns its id.

    The operator comes with the office terminal, under which the site and its jobs post.
    """
    new: int = connection.execute(NEXT_ID).scalar_one()
    connection.execute(
        INSERT, {"id": new, "tenant_id": new, "parent_id": None, "kind": kind, "code": code, "name": name}
    )
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
