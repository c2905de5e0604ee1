"""Day's end: totals against ours, the same answer again, batches that go backwards, two at once."""

import dataclasses
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import TextClause, text

from ledger import reconciliation
from ledger.books import NoOpenDay, post
from ledger.database import Database, Scope
from ledger.postings import Code
from ledger.reconciliation import BatchTotal, Reconciled, reconcile
from tests.conftest import TestDatabase
from tests.desk import Books, until_somebody_waits
from tests.factories import (
    NOW,
    TODAY,
    create_active_terminal,
    create_capture,
    create_grant,
    create_hold,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    new_txid,
)

BATCH = 7


@pytest.fixture
def server(database_urls: TestDatabase) -> Iterator[Database]:
    """Terminals are answered by tessera_server."""
    database = Database(database_urls.server)
    yield database
    database.close()


def close(
    server: Database,
    books: Books,
    *totals: BatchTotal,
    batch: int = BATCH,
    terminal: int | None = None,
    txid: UUID | None = None,
    now: datetime | None = NOW,
) -> Reconciled:
    with server.transaction(Scope.everything()) as connection:
        return reconcile(
            connection, terminal or books.house.terminal, batch, totals, txid=txid or new_txid(), now=now
        )


def closed_batches(books: Books) -> list[tuple[Any, ...]]:
    return books.ask("SELECT batch, code, business_date, reconciled_at FROM terminal_batch ORDER BY 1")


def totals_kept(books: Books) -> list[tuple[Any, ...]]:
    return books.ask(
        "SELECT kind, terminal_count, terminal_points, server_count, server_points"
        " FROM terminal_batch_total ORDER BY 1"
    )


def spend_all_kinds(books: Books) -> None:
    """One of everything in BATCH, and beside it all that does not count."""
    house, holder = books.house, books.holder(points=10_000)
    redeem = replace(create_redeem(house, holder), batch=BATCH)
    sold = replace(create_redeem(house, holder, "cinema", amount=200), batch=BATCH)
    hold, released = (replace(create_hold(house, holder), batch=BATCH) for _ in range(2))
    for request in (
        redeem,
        sold,
        replace(create_refund(sold, 50), batch=BATCH),
        replace(create_reversal(redeem), batch=BATCH),
        hold,
        released,
        replace(create_capture(hold, 100), batch=BATCH),
        replace(create_release(released), batch=BATCH),
        replace(create_redeem(house, holder, pin="000000"), batch=BATCH),  # refused
        replace(create_reversal(create_redeem(house, holder)), batch=BATCH),  # of what was never seen
        replace(create_redeem(house, holder), batch=BATCH + 1),
        create_redeem(house, holder),  # of no batch
        replace(create_redeem(house, holder, terminal=other_terminal(books)), batch=BATCH),
        create_grant(house, holder, 5),
        replace(create_inquiry(house, holder), terminal=house.terminal),
    ):
        books.one(request)


def other_terminal(books: Books) -> int:
    return books.change(lambda connection: create_active_terminal(connection, books.house.store))


ALL_KINDS = (
    BatchTotal("redeem", 2, 320),
    BatchTotal("hold", 2, 600),
    BatchTotal("capture", 1, 100),
    BatchTotal("release", 1, 300),
    BatchTotal("refund", 1, 50),
    BatchTotal("reversal", 1, 120),
)


def test_equal_totals_close_the_batch(books: Books, server: Database) -> None:
    spend_all_kinds(books)
    assert close(server, books, *reversed(ALL_KINDS)) == Reconciled(0, list(ALL_KINDS), BATCH, TODAY)
    assert closed_batches(books) == [(BATCH, 0, TODAY, NOW)]
    assert totals_kept(books) == sorted(
        (each.kind, each.count, each.points, each.count, each.points) for each in ALL_KINDS
    )
    assert books.ask("SELECT last_batch FROM terminal WHERE id = :id", id=books.house.terminal) == [(BATCH,)]


def test_a_batch_with_nothing_in_it_agrees(books: Books, server: Database) -> None:
    assert close(server, books, BatchTotal("redeem", 0, 0)) == Reconciled(0, [], BATCH, TODAY)
    assert totals_kept(books) == []


@pytest.mark.parametrize(
    "changed",
    [
        ALL_KINDS[1:],
        (*ALL_KINDS[1:], BatchTotal("redeem", 2, 321)),
        (*ALL_KINDS[1:], BatchTotal("redeem", 3, 320)),
        (*ALL_KINDS, BatchTotal("redeem", 1, 0)),
        (),
    ],
)
def test_totals_that_differ_in_anything_close_the_batch_out_of_balance(
    books: Books, server: Database, changed: tuple[BatchTotal, ...]
) -> None:
    spend_all_kinds(books)
    assert close(server, books, *changed) == Reconciled(1401, list(ALL_KINDS), BATCH, TODAY)
    assert closed_batches(books) == [(BATCH, 1401, TODAY, NOW)]


def test_both_sides_totals_are_kept_also_of_a_kind_that_only_one_has(books: Books, server: Database) -> None:
    books.one(replace(create_redeem(books.house, books.holder()), batch=BATCH))
    told = (BatchTotal("hold", 1, 10), BatchTotal("hold", 2, 20))
    assert close(server, books, *told).totals == [BatchTotal("redeem", 1, 120)]
    assert totals_kept(books) == [("hold", 3, 30, 0, 0), ("redeem", 0, 0, 1, 120)]


def test_the_same_request_again_gets_the_same_answer_whatever_happened_since(
    books: Books, server: Database
) -> None:
    holder, txid = books.holder(), new_txid()
    books.one(replace(create_redeem(books.house, holder), batch=BATCH))
    told = (BatchTotal("redeem", 1, 100),)
    first = close(server, books, *told, txid=txid)
    assert (first.code, first.recorded) == (1401, False)
    books.one(replace(create_redeem(books.house, holder), batch=BATCH))
    later = NOW + timedelta(days=1)
    books.open_day(TODAY + timedelta(days=1))
    assert close(server, books, *told, txid=txid, now=later) == dataclasses.replace(first, recorded=True)
    # Also after the next batch has been closed; the newest is what the terminal is told.
    close(server, books, batch=BATCH + 3)
    assert close(server, books, *told, txid=txid, now=later) == dataclasses.replace(
        first, recorded=True, last_batch=BATCH + 3
    )
    assert len(closed_batches(books)) == 2


def test_the_same_txid_for_something_else_is_refused(books: Books, server: Database) -> None:
    txid = new_txid()
    told = (BatchTotal("redeem", 1, 100),)
    close(server, books, *told, txid=txid)
    refused = Reconciled(Code.TXID_REUSED, [], BATCH, TODAY)
    assert close(server, books, *told, txid=txid, batch=BATCH + 1) == refused
    assert close(server, books, BatchTotal("redeem", 1, 101), txid=txid) == refused
    assert close(server, books, txid=txid) == refused
    # Another terminal's id is its own business.
    assert close(server, books, *told, txid=txid, terminal=other_terminal(books)).code == 1401
    assert len(closed_batches(books)) == 2


@pytest.mark.parametrize("batch", [BATCH, BATCH - 1, 0])
def test_a_batch_that_goes_backwards_is_refused_and_closes_nothing(
    books: Books, server: Database, batch: int
) -> None:
    close(server, books)
    assert close(server, books, batch=batch) == Reconciled(3023, [], BATCH, TODAY)
    assert closed_batches(books) == [(BATCH, 0, TODAY, NOW)]
    assert close(server, books, batch=BATCH + 1).code == 0


def test_the_first_batch_may_have_any_number_and_numbers_may_be_left_out(
    books: Books, server: Database
) -> None:
    for batch in (0, 1, 5, 2**31 - 1):
        assert close(server, books, batch=batch) == Reconciled(0, [], batch, TODAY)


def test_what_comes_after_the_close_is_booked_on_the_open_day_and_changes_no_total(
    books: Books, server: Database
) -> None:
    holder = books.holder()
    close(server, books)
    tomorrow = TODAY + timedelta(days=1)
    books.open_day(tomorrow)
    late = books.one(replace(create_redeem(books.house, holder), batch=BATCH), now=NOW + timedelta(days=1))
    assert (late.code, late.business_date) == (0, tomorrow)
    assert totals_kept(books) == []


def test_two_that_close_one_batch_at_once_close_it_once(books: Books, server: Database) -> None:
    txid, found = new_txid(), []

    def again(**fields: Any) -> None:
        found.append(close(server, books, **fields))

    with server.transaction(Scope.everything()) as connection:
        first = reconcile(connection, books.house.terminal, BATCH, [], txid=txid, now=NOW)
        threads = [
            threading.Thread(target=again, kwargs={"txid": txid}),
            threading.Thread(target=again, kwargs={"txid": new_txid()}),
        ]
        for thread in threads:
            thread.start()
        until_somebody_waits(connection)
    for thread in threads:
        thread.join()
    assert first == Reconciled(0, [], BATCH, TODAY)
    assert sorted(found, key=lambda each: each.code) == [
        dataclasses.replace(first, recorded=True), Reconciled(3023, [], BATCH, TODAY),
    ]  # fmt: skip
    assert len(closed_batches(books)) == 1


def test_what_is_being_posted_is_waited_for_and_counted(books: Books, server: Database) -> None:
    """Its rows are dated before the closing, so nobody would name them afterwards."""
    found: list[Reconciled] = []
    request = replace(create_redeem(books.house, books.holder()), batch=BATCH)
    with server.transaction(Scope.everything()) as connection:
        (posted,) = post(connection, [request], None)
        thread = threading.Thread(target=lambda: found.append(close(server, books, now=None)))
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    assert found == [Reconciled(1401, [BatchTotal("redeem", 1, 120)], BATCH, TODAY)]
    ((_, _, _, closed_at),) = closed_batches(books)
    assert posted.at < closed_at


def test_what_is_posted_while_the_batch_is_closed_waits_and_is_dated_after_it(
    books: Books, server: Database
) -> None:
    request = replace(create_redeem(books.house, books.holder()), batch=BATCH)

    def spend() -> None:
        with server.transaction(Scope.everything()) as connection:
            post(connection, [request], None)

    with server.transaction(Scope.everything()) as connection:
        totals = reconcile(connection, books.house.terminal, BATCH, [], txid=new_txid(), now=None).totals
        thread = threading.Thread(target=spend)
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    assert totals == []
    ((_, _, _, closed_at),) = closed_batches(books)
    ((posted_at,),) = books.ask("SELECT posted_at FROM transaction WHERE txid = :txid", txid=request.txid)
    assert posted_at > closed_at


def test_another_terminals_postings_are_not_waited_for(books: Books, server: Database) -> None:
    request = replace(create_redeem(books.house, books.holder(), terminal=other_terminal(books)), batch=BATCH)
    with books.database.transaction(Scope.everything()) as connection:
        post(connection, [request], None)
        assert close(server, books, now=None).code == 0


def test_without_an_open_day_nothing_is_closed(books: Books, server: Database) -> None:
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    with pytest.raises(NoOpenDay):
        close(server, books)
    assert closed_batches(books) == []


@pytest.mark.parametrize(
    "statement",
    [reconciliation.TOTALS, reconciliation.LISTED, reconciliation.EXPECTED, reconciliation.ELSEWHERE],
)
def test_a_shops_batch_is_found_without_reading_everybodys(books: Books, statement: TextClause) -> None:
    asked = {
        "terminal": 1, "batch": BATCH, "kinds": ["redeem"], "txids": [new_txid()], "after": None,
        "until": None, "oldest": 0, "most": 30,
    }  # fmt: skip
    with books.database.transaction(Scope.everything()) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(
            row[0]
            for row in connection.execute(
                text(f"EXPLAIN {statement.text}"),
                {name: value for name, value in asked.items() if f":{name}" in statement.text},
            )
        )
    assert "transaction_batch_idx" in plan
    assert "Seq Scan" not in plan


def test_of_a_long_batch_only_what_is_answered_is_looked_into(books: Books) -> None:
    """What became of a row is asked once for each that is kept, and of none by reading the whole table."""
    holder, rows, most = books.holder(points=100_000), 200, 5
    books.post(*(replace(create_redeem(books.house, holder), batch=BATCH) for _ in range(rows)))
    asked = {
        "terminal": books.house.terminal, "batch": BATCH, "kinds": ["redeem"], "after": None, "until": None,
        "most": most,
    }  # fmt: skip
    with books.database.transaction(Scope.everything()) as connection:
        explain = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {reconciliation.EXPECTED.text}")
        ((((plan,),),),) = [connection.execute(explain, asked).all()]
    nodes = list(_nodes(plan["Plan"]))
    assert max(node["Actual Rows"] for node in nodes) == rows, "the batch itself is read"
    looked_into = [node["Actual Loops"] for node in nodes if node.get("Parent Relationship") == "SubPlan"]
    assert looked_into
    assert max(looked_into) <= most + 1
    assert not [node for node in nodes if "hashed" in node.get("Subplan Name", "")]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)
