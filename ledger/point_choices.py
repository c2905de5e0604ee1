"""What a form of an order of points offers: enterprises, units, and who the operator is."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

__all__ = ["Choice", "enterprises", "operator_id", "units_of"]

ENTERPRISES = text(
    "SELECT id, name FROM organisation WHERE kind = 'enterprise' AND status = 'open' ORDER BY name, id"
)
OPERATOR = text("SELECT id FROM organisation WHERE kind = 'operator'")
UNITS = text(
    """SELECT id, name FROM organisation
       WHERE tenant_id = :tenant AND status = 'open'
         AND (CAST(:units AS bigint[]) IS NULL OR id = ANY(CAST(:units AS bigint[])))
       ORDER BY parent_id IS NOT NULL, name, id"""
)


@dataclass(frozen=True, slots=True)
class Choice:
    """An organisation to choose."""

    id: int
    name: str


def enterprises(connection: Connection) -> list[Choice]:
    """The open enterprises of the scope, by name."""
    return [Choice(*row) for row in connection.execute(ENTERPRISES)]


def operator_id(connection: Connection) -> int:
    """The operator. Only a scope of everything shows it to all."""
    return int(connection.execute(OPERATOR).scalar_one())


def units_of(connection: Connection, tenant: int, units: frozenset[int] | None) -> list[Choice]:
    """A tenant's open units, the top one first; of these only `units` unless that is None."""
    told = {"tenant": tenant, "units": None if units is None else sorted(units)}
    return [Choice(*row) for row in connection.execute(UNITS, told)]
