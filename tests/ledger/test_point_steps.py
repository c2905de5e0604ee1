"""Who decides about an order of points: of whose members it is."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ledger import point_steps
from ledger.database import Scope
from ledger.organisations import create_child
from ledger.point_orders import PointOrder, waiting_for
from ledger.point_steps import Refused
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import NOW, Holder, House
from tests.ordering import create_order, create_staff_row


@pytest.fixture(scope="module")
def books(module_database_urls: TestDatabase) -> Iterator[Books]:
    """The books must be right at the end."""
    with opened_books(module_database_urls) as opened:
        yield opened


def state(found: PointOrder | Refused) -> str:
    return found.state if isinstance(found, PointOrder) else f"refused: {found.why}"


def test_an_order_is_decided_by_who_reaches_the_units_of_all_its_members(books: Books) -> None:
    maker, other = (books.change(lambda c: create_staff_row(c, books.house.enterprise)) for _ in range(2))
    first, second = books.holder(points=0), books.holder(points=0)
    units = {name: books.change(partial(branch, books.house, name)) for name in ("N", "S")}
    for name, holder in (("N", first), ("S", second)):
        belongs(books, holder, units[name])
    north, south = units["N"], units["S"]
    lines = [(first, 10_000), (second, 1)]
    order = books.change(lambda c: create_order(c, books.house, maker, lines, unit=north))
    assert state(books.change(lambda c: point_steps.confirm(c, order, by=maker, now=NOW))) == "waiting"

    def decided(*reached: int) -> list[str]:
        told: Any = {"by": other, "now": NOW, "note": "-", "units": frozenset(reached)}

        def act(connection: Connection) -> list[str]:
            return [
                state(point_steps.approve(connection, order, "approval", **told)),
                state(point_steps.refuse(connection, order, "approval", **told)),
            ]

        return books.change(act)

    for reached in ((), (north,), (south,), (books.house.enterprise,)):
        assert decided(*reached) == ["refused: units"] * 2
    belongs(books, second, None)  # of no unit: the enterprise's own
    assert decided(north, south) == ["refused: units"] * 2
    counted = []
    for seen in ({north}, {north, south}, {north, books.house.enterprise}):
        with books.database.transaction(Scope.tenant(books.house.enterprise, frozenset(seen))) as scoped:
            may = frozenset({"points.approve"})
            counted.append(waiting_for(scoped, staff=other.staff_id or 0, permissions=may))
    assert counted == [0, 0, 1]
    assert decided(north, books.house.enterprise) == ["done", "refused: changed"]
    assert (books.posted(first), books.posted(second)) == (10_000, 1)


def branch(house: House, name: str, connection: Connection) -> int:
    return create_child(connection, parent=house.enterprise, kind="branch", code=name, name=name)


def belongs(books: Books, holder: Holder, unit: int | None) -> None:
    books.change(
        lambda c: c.execute(
            text(
                "UPDATE member SET organisation_id = :unit WHERE id ="
                " (SELECT member_id FROM account WHERE id = :account)"
            ),
            {"unit": unit, "account": holder.account.id},
        )
    )
