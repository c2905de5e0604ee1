"""What days come to: closed ones once, the open one now, and both the sum of their transactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import event

from ledger import totals as totals_room
from ledger.database import Database, Scope
from ledger.totals import add_up_next, figures, parts, totals
from ledger.walks import Whose
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import (
    NOW,
    TODAY,
    create_capture,
    create_hold,
    create_house,
    create_redeem,
    create_refund,
    create_reversal,
)

TOMORROW = TODAY + timedelta(days=1)
SUMS = """
SELECT business_date, count(*), count(*) FILTER (WHERE code <> 0),
       coalesce(sum(points) FILTER (WHERE kind IN ('redeem', 'capture')), 0),
       coalesce(sum(points) FILTER (WHERE kind = 'refund' OR reverses IS NOT NULL), 0),
       coalesce(sum(points) FILTER (WHERE kind = 'grant'), 0)
FROM transaction WHERE :tenant IN (0, enterprise_id, merchant_id) GROUP BY 1
"""


@dataclass
class World:
    books: Books
    server: Database
    other_enterprise: int


@pytest.fixture(scope="module")
def world(module_database_urls: TestDatabase) -> Iterator[World]:
    """Two houses with sales, refusals, refunds, reversals and holds, today and tomorrow."""
    books = Books(module_database_urls)
    ours = books.house
    theirs = books.change(create_house)
    for day in (TODAY, TOMORROW):
        books.open_day(day)
        for house in (ours, theirs):
            books.house = house
            holder = books.holder(points=1_000)
            sale, undone, hold = (
                create_redeem(house, holder), create_redeem(house, holder), create_hold(house, holder),
            )  # fmt: skip
            freed = create_hold(house, holder, amount=20)
            books.post(sale, undone, hold, freed, create_redeem(house, holder, quantity=50))
            books.post(
                create_refund(sale, 50), create_reversal(undone), create_capture(hold, 250),
                create_reversal(freed),
            )  # fmt: skip
    books.house = ours
    server = Database(module_database_urls.server)
    yield World(books, server, theirs.enterprise)
    server.close()
    books.database.close()


def askers(world: World) -> list[tuple[Scope, Whose]]:
    house = world.books.house
    return [
        (Scope.everything(), Whose(house.operator, "operator")),
        (Scope.tenant(house.enterprise), Whose(house.enterprise, "enterprise")),
        (Scope.tenant(house.merchant), Whose(house.merchant, "merchant")),
    ]


def check(world: World) -> None:
    """For every asker, each day's figures are the sums of what they may see."""
    for scope, whose in askers(world):
        with world.books.database.transaction(scope) as connection:
            found = totals(connection, whose, TODAY)
        expected = world.books.ask(SUMS, tenant=0 if whose.everybody else whose.tenant_id)
        assert len(expected) == 2
        for day, *sums in expected:
            got = figures(line for line in found.lines if line.date == day)
            assert [got.count, got.refused, got.spent, got.back, got.granted] == sums
        assert sum(part.figures.spent for part in parts(found.parts, most=99)) == sum(
            sums[2] for _, *sums in expected
        )
        assert (found.open_date, found.behind) == (TOMORROW, 0)
        assert found.terminals == (2 if whose.everybody else 1)


def test_totals_are_the_sums_of_transactions_before_and_after_a_day_is_added_up(world: World) -> None:
    check(world)
    added = []
    for _ in range(3):
        with world.server.transaction(Scope.everything()) as connection:
            added.append(add_up_next(connection, NOW))
    assert added == [TODAY, None, None]
    check(world)
    written = world.books.ask("SELECT DISTINCT tenant_id, part FROM day_total")
    assert (0, "enterprise") in written
    assert (world.books.house.merchant, "store") in written


@pytest.mark.parametrize("place", range(6))
def test_a_day_that_is_added_up_meanwhile_is_counted_once(
    world: World, module_database_urls: TestDatabase, place: int
) -> None:
    with psycopg.connect(module_database_urls.owner) as owner:  # as if nobody had added it up yet
        owner.execute("ALTER TABLE day_total NO FORCE ROW LEVEL SECURITY")
        owner.execute("DELETE FROM day_total")
        owner.execute("ALTER TABLE day_total FORCE ROW LEVEL SECURITY")
        owner.execute("UPDATE business_day SET added_up_at = NULL")
    whose, added = Whose(world.books.house.operator, "operator"), []
    seen: list[None] = []

    def before(*_anything: object) -> None:
        if len(seen) == place:
            with world.server.transaction(Scope.everything()) as server:
                added.append(add_up_next(server, NOW))
        seen.append(None)

    with world.books.database.transaction(Scope.everything()) as connection:
        expected = totals(connection, whose, TODAY)
        event.listen(connection, "before_cursor_execute", before)
        found = totals(connection, whose, TODAY)
    assert added == [TODAY], "a place that does not exist"
    assert figures(found.lines) == figures(expected.lines)
    sold = [
        [(part.part_id, part.figures.spent, part.figures.owed) for part in parts(each.parts, most=9)]
        for each in (expected, found)
    ]
    assert sold[0] == sold[1] != []


def test_a_tenant_sees_its_own_totals_and_a_store_keeper_those_of_the_store(world: World) -> None:
    house = world.books.house
    with world.server.transaction(Scope.everything()) as connection:
        add_up_next(connection, NOW)
    seen = {}
    for name, scope in {
        "enterprise": Scope.tenant(house.enterprise),
        "store": Scope.tenant(house.merchant, frozenset({house.store})),
        "elsewhere": Scope.tenant(house.merchant, frozenset({house.merchant})),
    }.items():
        with world.books.database.transaction(scope) as connection:
            whose = Whose(scope.tenant_id, "merchant", narrowed=True)
            seen[name] = {line.date for line in totals(connection, whose, TODAY).lines}
            rows = connection.exec_driver_sql("SELECT DISTINCT tenant_id, part FROM day_total").all()
            assert {tenant for tenant, _ in rows} <= {scope.tenant_id}, name
    assert seen["store"] == {TODAY, TOMORROW}
    assert TODAY not in seen["elsewhere"]


def test_many_days_that_nobody_added_up_are_named_and_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.books.change(lambda c: c.exec_driver_sql("UPDATE business_day SET added_up_at = NULL"))
    monkeypatch.setattr(totals_room, "LIVE_DAYS", 1)
    with world.books.database.transaction(Scope.everything()) as connection:
        assert totals(connection, Whose(1, "operator"), TODAY).behind == 1
