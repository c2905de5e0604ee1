"""Terminals as pages show them."""

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from ledger import logins, organisations, terminals
from ledger.database import Database, Scope
from ledger.reconciliation import BatchTotal, Item, compare, reconcile
from ledger.terminal_lists import (
    Batch,
    KindTotals,
    Store,
    batches,
    count_by_status,
    find_terminal,
    list_terminals,
    stores,
)
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import NOW, TODAY, create_house, create_redeem, new_txid


@pytest.fixture
def server(database_urls: TestDatabase) -> Iterator[Database]:
    """The books as the transaction server sees them: it alone ends batches."""
    database = Database(database_urls.server, pool_size=1)
    yield database
    database.close()


def names(books: Books, *, tenant: int | None = None, **asked: object) -> list[str]:
    scope = Scope.everything() if tenant is None else Scope.tenant(tenant)
    with books.database.transaction(scope) as connection:
        return [line.name for line in list_terminals(connection, **asked)]  # type: ignore[arg-type]


def create_named(books: Books, name: str, store: int | None = None) -> int:
    return books.change(
        lambda connection: terminals.create_terminal(
            connection, store=store or books.house.store, kind="phone", name=name
        )
    )


def test_a_terminal_is_shown_with_its_place_its_device_and_its_last_batch(
    books: Books, server: Database
) -> None:
    with server.transaction(Scope.everything()) as connection:
        key = os.urandom(32)
        connection.execute(
            text("UPDATE terminal SET public_key = :key WHERE id = :id"),
            {"key": key, "id": books.house.terminal},
        )
        logins.login(
            connection,
            public_key=key,
            software="2.1",
            now=NOW,
            terminal_at=NOW - timedelta(seconds=90),
        )
        terminals.ask_key_change(connection, books.house.terminal)
        reconcile(connection, books.house.terminal, 4, [BatchTotal("redeem", 1, 5)], txid=new_txid(), now=NOW)
    line = books.change(lambda connection: find_terminal(connection, books.house.terminal))
    assert line is not None
    assert (line.kind, line.status, line.store, line.merchant_id) == (
        "pos",
        "active",
        "Store 1",
        books.house.merchant,
    )
    assert (line.model, line.software, line.last_login_at, line.clock_off_s) == ("test", "2.1", NOW, -90)
    assert (line.key_since, line.key_change_asked) == (NOW, True)
    assert (line.last_batch, line.balanced) == (4, False)


def test_one_that_waits_for_its_device_has_none_of_that(books: Books) -> None:
    waiting = create_named(books, "New")
    line = books.change(lambda connection: find_terminal(connection, waiting))
    assert line is not None
    assert (line.status, line.kind) == ("created", "phone")
    assert {line.model, line.software, line.last_login_at, line.key_since} == {None}
    assert {line.clock_off_s, line.last_batch, line.balanced} == {None}


def test_the_list_is_in_order_of_merchant_store_and_name_and_leaves_the_office_out(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        second = organisations.create_child(
            connection, parent=books.house.merchant, kind="store", code="S2", name="Annex"
        )
        connection.execute(text("UPDATE terminal SET name = 'Till 1' WHERE kind <> 'office'"))
    create_named(books, "Till 0")
    create_named(books, "Till 9", second)
    assert names(books) == ["Till 9", "Till 0", "Till 1"]
    assert names(books, most=2) == ["Till 9", "Till 0"]


def test_words_are_a_part_of_any_of_the_three_names(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection)
        connection.execute(
            text("UPDATE organisation SET name = 'Star 星光' WHERE id = :id"), {"id": other.merchant}
        )
        connection.execute(
            text("UPDATE terminal SET name = 'Till ' || id WHERE kind <> 'office'"),
        )
    create_named(books, "Gate 100%")
    assert names(books, words="星光") == [f"Till {other.terminal}"]
    assert names(books, words="gate") == ["Gate 100%"]
    assert names(books, words="%") == ["Gate 100%"]
    assert len(names(books, words="store")) == 3
    assert names(books, words="\x00") == []


def test_a_status_can_be_chosen_and_each_is_counted(books: Books) -> None:
    create_named(books, "New")
    gone = create_named(books, "Gone")
    books.change(lambda connection: terminals.revoke(connection, gone))
    assert names(books, status="created") == ["New"]
    assert names(books, status="revoked") == ["Gone"]
    assert len(names(books, status="active")) == 1
    counts = {"all": 3, "created": 1, "active": 1, "revoked": 1}
    assert books.change(count_by_status) == counts


def test_a_merchant_sees_its_own_terminals_and_an_enterprise_none(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection)
    assert len(names(books)) == 2
    assert len(names(books, tenant=books.house.merchant)) == 1
    assert names(books, tenant=books.house.enterprise) == []
    with books.database.transaction(Scope.tenant(books.house.merchant)) as connection:
        assert find_terminal(connection, other.terminal) is None
        assert count_by_status(connection)["all"] == 1
        assert batches(connection, other.terminal) == []


def test_open_stores_may_get_a_terminal_of_one_merchant_or_of_all(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        other = create_house(connection)
        closed = organisations.create_child(
            connection, parent=books.house.merchant, kind="store", code="S9", name="Closed"
        )
        organisations.set_status(connection, closed, "closed")
        (merchant,) = connection.execute(
            text("SELECT name FROM organisation WHERE id = :id"), {"id": books.house.merchant}
        ).one()
        assert {store.id for store in stores(connection)} == {books.house.store, other.store}
        organisations.set_status(connection, other.merchant, "closed")
        assert {store.id for store in stores(connection)} == {books.house.store}
    with books.database.transaction(Scope.tenant(books.house.merchant)) as connection:
        own = stores(connection, merchant=books.house.merchant)
    assert own == [Store(books.house.store, "Store 1", merchant)]


def test_batches_come_with_both_sides_totals_and_each_difference(books: Books, server: Database) -> None:
    terminal, holder = books.house.terminal, books.holder()
    redeem = replace(create_redeem(books.house, holder), batch=2)
    books.post(redeem)
    lost, later = new_txid(), NOW + timedelta(hours=9)
    with server.transaction(Scope.everything()) as connection:
        reconcile(connection, terminal, 1, [], txid=new_txid(), now=NOW)
        reconcile(connection, terminal, 2, [BatchTotal("redeem", 1, 300)], txid=new_txid(), now=later)
        items = [Item(redeem.txid, "redeem", 120, "unknown"), Item(lost, "redeem", 300, "approved")]
        items.sort(key=lambda item: item.txid.bytes)
        compare(connection, terminal, 2, items, after=None, last=True, now=later, most=9)
    second, first = books.change(lambda connection: batches(connection, terminal))
    assert first == Batch(1, True, TODAY, NOW, [], [])
    assert (second.batch, second.balanced, second.reconciled_at) == (2, False, later)
    assert second.totals == [KindTotals("redeem", 1, 300, 1, 120)]
    assert not second.totals[0].agree
    named = {difference.txid: difference for difference in second.differences}
    assert set(named) == {redeem.txid, lost}
    assert (named[redeem.txid].outcome, named[redeem.txid].terminal_state) == ("reply_lost", "unknown")
    assert (named[redeem.txid].server_code, named[redeem.txid].server_points) == (0, 120)
    assert (named[lost].outcome, named[lost].terminal_points) == ("unknown_here", 300)
    assert (named[lost].server_code, named[lost].server_points) == (None, None)
    newest = books.change(lambda connection: batches(connection, terminal, most=1))
    assert [batch.batch for batch in newest] == [2]
