"""What tests of orders of points make: somebody who orders, an order, points taken back."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from ledger import point_orders
from ledger.point_lines import Line
from ledger.postings import Adjust
from ledger.trail import Actor
from tests.factories import NOW, Holder, House, new_txid

__all__ = ["create_adjust", "create_order", "create_staff_row"]


def create_adjust(holder: Holder, points: int, *, txid: UUID | None = None) -> Adjust:
    """Points taken back by the office."""
    return Adjust(
        slot=holder.account.slot, account=holder.account.id, terminal=0, txid=txid or new_txid(),
        points=points,
    )  # fmt: skip


def create_staff_row(connection: Connection, organisation: int) -> Actor:
    """Somebody of an organisation, who cannot log in."""
    new = connection.execute(
        text(
            "INSERT INTO staff (tenant_id, organisation_id, login, name, password_hash)"
            " SELECT tenant_id, id, :login, :name, '-' FROM organisation WHERE id = :id RETURNING id"
        ),
        {"id": organisation, "login": f"person-{new_txid().hex}", "name": "Person"},
    ).scalar_one()
    return Actor(new, "Person")


def create_order(
    connection: Connection, house: House, maker: Actor, lines: Sequence[tuple[Holder, int]], **fields: Any
) -> int:
    """A draft of points for the house's members, a grant unless `fields` say otherwise. Returns its id."""
    told: dict[str, Any] = {"kind": "grant", "reason": "Welcome", "unit": house.enterprise} | fields
    order = point_orders.NewOrder(
        tenant=house.enterprise, funder=house.enterprise,
        staff=maker.staff_id or 0, staff_name=maker.name, **told,
    )  # fmt: skip
    accounts = [Line(holder.account.slot, holder.account.id, points) for holder, points in lines]
    return point_orders.draft(connection, order, accounts, NOW)
