"""The baseline of the bench does what the books do: the same rows, the same refusals, the same guarantees."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text

from ledger import businessday, organisations
from ledger.books import post
from ledger.database import Database, DatabaseAway, Scope
from ledger.embedded import EmbeddedPostgres
from ledger.postings import Code, Redeem, meaning_of
from scripts.bench_baseline import Baseline
from tests.conftest import TestDatabase
from tests.desk import Books, interleaved, opened_books_of_today
from tests.factories import (
    NOW,
    PIN,
    Holder,
    create_active_terminal,
    create_redeem,
    create_reversal,
    grant_points,
    new_txid,
)  # fmt: skip

CALL = text(
    """SELECT * FROM bench.redeem(
           CAST(:slot AS smallint), :account, :card, :issue, :terminal, :txid, :pin_proof, :service,
           :quantity, :reference, :terminal_at, :stan, :batch, :meaning)"""
)
WRITTEN = {
    "transaction": "SELECT * FROM transaction WHERE account_id = :account AND kind = 'redeem' ORDER BY id",
    "entry": "SELECT * FROM entry WHERE account_id = :account ORDER BY transaction_id, lot_id",
    "lot": "SELECT * FROM lot WHERE account_id = :account ORDER BY id",
    "account": "SELECT * FROM account WHERE id = :account",
    "card": "SELECT * FROM card WHERE account_id = :account ORDER BY id",
    "misuse": "SELECT * FROM misuse WHERE account_id = :account ORDER BY id",
}
Rows = dict[str, list[dict[str, Any]]]  # of each table, by column
NEVER_EQUAL = {
    "transaction": ("id", "posted_at"),
    "entry": ("transaction_id",),
    "misuse": ("id", "happened_at"),
}


class Desk:
    """The same debit at two counters: the books', and the stored function's, as the server's role."""

    def __init__(self, books: Books, server: Database) -> None:
        self.books = books
        self.server = server

    def call(self, connection: Connection, request: Redeem) -> dict[str, Any]:
        values = {
            name: getattr(request, name)
            for name in (
                "slot", "account", "card", "issue", "terminal", "txid", "pin_proof", "service", "quantity",
                "reference", "terminal_at", "stan", "batch",
            )
        }  # fmt: skip
        return dict(connection.execute(CALL, values | {"meaning": meaning_of(request)}).one()._mapping)

    def both(self, request: Redeem, *, keep: bool = True) -> tuple[dict[str, Any], Rows]:
        """What the function answers and has written, once the books have answered and written the same."""
        with self.server.transaction(Scope.everything()) as connection:
            undone = connection.begin_nested()
            (outcome,) = post(connection, [request], None)
            by_books = _written(connection, request)
            undone.rollback()
            undone = connection.begin_nested()
            answer = self.call(connection, request)
            by_function = _written(connection, request)
            if not keep:
                undone.rollback()
        for name in ("code", "points", "balance", "business_date", "recorded"):
            assert answer[name] == getattr(outcome, name)
        assert list(_differences(by_books, by_function)) == []
        return answer, by_function

    def holder(self, *lots: int, **fields: Any) -> Holder:
        holder = self.books.holder(points=0, **fields)
        for points in lots:
            self.grant(holder, points)
        return holder

    def grant(self, holder: Holder, points: int, **fields: Any) -> None:
        self.books.change(
            lambda connection: grant_points(
                connection, self.books.house, holder.account, points, now=self.books.now, **fields
            )
        )

    def redeem(self, holder: Holder, **fields: Any) -> Redeem:
        return create_redeem(self.books.house, holder, **fields)

    def change(self, sql: str, about: int) -> None:
        self.books.change(lambda connection: connection.execute(text(sql), {"id": about}))


def _written(connection: Connection, request: Redeem) -> Rows:
    """Every row of the request's account."""
    return {
        table: [dict(row._mapping) for row in connection.execute(text(sql), {"account": request.account})]
        for table, sql in WRITTEN.items()
    }


def _differences(by_books: Rows, by_function: Rows) -> Iterator[tuple[object, ...]]:
    for table, rows in by_books.items():
        if len(rows) != len(by_function[table]):
            yield table, len(rows), len(by_function[table])
        for row, other in zip(rows, by_function[table], strict=False):
            for column, value in row.items():
                if column not in NEVER_EQUAL.get(table, ()) and other[column] != value:
                    yield table, column, value, other[column]


@contextmanager
def opened_desk(urls: TestDatabase, postgres: EmbeddedPostgres) -> Iterator[Desk]:
    """A desk with two rich members, whom pgbench knows. Every invariant is asked when it closes."""
    server = Database(urls.server)
    with opened_books_of_today(urls) as books:
        for _ in range(2):
            books.holder(points=10**9)
        Baseline(postgres, 2, database=urls.name).prepare()
        with psycopg.connect(urls.owner) as connection:
            # Who waits for whom is told to the same role only, and the tests of waiting are the site's.
            connection.execute("GRANT USAGE ON SCHEMA bench TO tessera_site")
        yield Desk(books, server)
        with psycopg.connect(urls.owner) as connection:
            # pgbench is quick: these are thousands of rows that the planner knows nothing of.
            connection.execute("ANALYZE")
    server.close()


@pytest.fixture(scope="module")
def desk(module_database_urls: TestDatabase, postgres: EmbeddedPostgres) -> Iterator[Desk]:
    with opened_desk(module_database_urls, postgres) as opened:
        yield opened


# ---- the same rows ------------------------------------------------------------------------------


def test_a_debit_from_one_lot_writes_what_the_books_write(desk: Desk) -> None:
    request = desk.redeem(desk.holder(1_000), quantity=2)
    answer, rows = desk.both(replace(request, reference="order 7", stan=3, batch=4, terminal_at=NOW))
    assert (answer["code"], answer["points"], answer["balance"]) == (0, 240, 760)
    assert [row["remaining"] for row in rows["lot"]] == [760]
    assert [row["posted"] for row in rows["account"]] == [760]
    (transaction,) = desk.books.ask("SELECT id FROM transaction WHERE txid = :txid", txid=request.txid)
    assert transaction == (answer["transaction_id"],)


def test_a_debit_may_take_all_there_is(desk: Desk) -> None:
    answer, _ = desk.both(desk.redeem(desk.holder(120)))
    assert (answer["code"], answer["balance"]) == (0, 0)


def test_a_debit_over_lots_uses_them_in_their_order(desk: Desk) -> None:
    holder = desk.holder(50)
    today = desk.books.now.date()
    desk.grant(holder, 30, expires_on=today + timedelta(days=9))
    desk.grant(holder, 20, expires_on=today + timedelta(days=5))
    desk.grant(holder, 25, priority=-1)
    answer, rows = desk.both(desk.redeem(holder))
    assert (answer["code"], answer["balance"]) == (0, 5)
    assert [row["remaining"] for row in rows["lot"]] == [5, 0, 0, 0]
    assert [row["points"] for row in rows["entry"] if row["to_side"] == "merchant"] == [45, 30, 20, 25]


def test_of_several_lots_one_may_be_enough(desk: Desk) -> None:
    _, rows = desk.both(desk.redeem(desk.holder(500, 500)))
    assert [row["remaining"] for row in rows["lot"]] == [380, 500]


def test_points_that_expired_are_not_spent(desk: Desk) -> None:
    holder = desk.holder(100, 130)
    desk.change(
        "UPDATE lot SET expires_on = '2020-01-01' WHERE account_id = :id AND granted = 100", holder.account.id
    )
    assert desk.both(desk.redeem(holder))[0]["balance"] == 10
    assert desk.both(desk.redeem(holder, quantity=9))[0]["code"] == Code.POINTS_INSUFFICIENT
    answer, _ = desk.both(desk.redeem(holder, service="cinema"))
    assert answer["code"] == Code.AMOUNT_INVALID
    desk.grant(holder, 20)
    assert desk.both(desk.redeem(holder))[0]["code"] == Code.POINTS_EXPIRED


def test_too_few_points_are_refused_with_the_balance(desk: Desk) -> None:
    answer, rows = desk.both(desk.redeem(desk.holder(100)))
    assert (answer["code"], answer["points"], answer["balance"]) == (Code.POINTS_INSUFFICIENT, 0, 100)
    assert len(rows["transaction"]) == 1
    assert desk.both(desk.redeem(desk.holder()))[0]["balance"] == 0


def test_a_wrong_pin_is_counted_and_a_right_one_forgives(desk: Desk) -> None:
    holder = desk.holder(1_000)
    for pin, code, tries in (
        ("000000", Code.PIN_WRONG, 1),
        ("000001", Code.PIN_WRONG, 2),
        (None, Code.PIN_REQUIRED, 2),
        (PIN, Code.APPROVED, 0),
        ("000000", Code.PIN_WRONG, 1),
        ("000000", Code.PIN_WRONG, 2),
        ("000000", Code.PIN_WRONG, 3),
        (PIN, Code.PIN_BLOCKED, 3),
    ):
        answer, rows = desk.both(desk.redeem(holder, pin=pin))
        assert (answer["code"], rows["card"][0]["pin_tries"]) == (code, tries)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"service": "no such thing"}, Code.SERVICE_UNKNOWN),
        ({"quantity": 0}, Code.AMOUNT_INVALID),
        ({"quantity": 10_000}, Code.AMOUNT_INVALID),
        ({"issue": 2}, Code.CARD_UNKNOWN),
        ({"terminal": 10**9}, Code.TERMINAL_NOT_PERMITTED),
        ({"terminal": 0}, Code.SERVICE_UNKNOWN),
    ],
)
def test_what_a_request_gets_wrong_is_refused_alike(desk: Desk, fields: dict[str, Any], code: Code) -> None:
    """Nothing is kept: no server posts for a terminal that is not there, and the invariants say so."""
    assert desk.both(desk.redeem(desk.holder(1_000), **fields), keep=False)[0]["code"] == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE card SET status = 'lost', issue = 2 WHERE account_id = :id", Code.CARD_LOST),
        ("UPDATE card SET issue = 2 WHERE account_id = :id", Code.CARD_REPLACED),
        ("UPDATE card SET status = 'suspended' WHERE account_id = :id", Code.CARD_BLOCKED),
        ("UPDATE card SET status = 'issued' WHERE account_id = :id", Code.CARD_BLOCKED),
        ("UPDATE card SET expires_on = '2020-01-01' WHERE account_id = :id", Code.CARD_EXPIRED),
        ("UPDATE card SET status = 'expired' WHERE account_id = :id", Code.CARD_EXPIRED),
        ("UPDATE card SET status = 'closed' WHERE account_id = :id", Code.ACCOUNT_CLOSED),
        ("UPDATE account SET status = 'closed' WHERE id = :id", Code.ACCOUNT_CLOSED),
    ],
)
def test_a_card_that_may_not_spend_is_refused_alike(desk: Desk, change: str, code: Code) -> None:
    """With a wrong PIN, which counts for the card that is shown and for no other."""
    holder = desk.holder(1_000)
    desk.change(change, holder.account.id)
    assert desk.both(desk.redeem(holder, pin="000000"))[0]["code"] == code


def test_a_card_that_is_not_there_is_refused_alike(desk: Desk) -> None:
    request = desk.redeem(desk.holder(1_000))
    assert desk.both(replace(request, card=10**9))[0]["code"] == Code.CARD_UNKNOWN
    assert desk.both(replace(request, account=10**9))[0]["code"] == Code.CARD_UNKNOWN


def test_a_terminal_that_may_not_sell_is_refused_alike(desk: Desk) -> None:
    def opened(connection: Connection) -> tuple[int, int]:
        merchant = desk.books.house.merchant
        store = organisations.create_child(connection, parent=merchant, kind="store", code="S9", name="S9")
        return store, create_active_terminal(connection, store)

    store, terminal = desk.books.change(opened)
    request = desk.redeem(desk.holder(1_000), terminal=terminal)
    assert desk.both(request)[0]["code"] == Code.APPROVED
    for change, code in (
        ("UPDATE organisation SET status = 'closed' WHERE id = :id", Code.MERCHANT_CLOSED),
        ("UPDATE terminal SET status = 'revoked' WHERE store_id = :id", Code.TERMINAL_NOT_PERMITTED),
    ):
        desk.change(change, store)
        assert desk.both(replace(request, txid=new_txid()))[0]["code"] == code


# ---- the same guarantees ------------------------------------------------------------------------


def test_a_repeat_is_answered_from_the_record_and_books_nothing(desk: Desk) -> None:
    holder = desk.holder(1_000)
    request = desk.redeem(holder)
    first, rows = desk.both(request)
    desk.both(desk.redeem(holder))
    again, all_rows = desk.both(replace(request, pin_proof=None, stan=9))
    assert again == first | {"recorded": True}
    assert desk.books.one(request).recorded
    assert len(all_rows["transaction"]) == len(rows["transaction"]) + 1


def test_a_key_that_comes_with_another_meaning_is_refused_and_noted(desk: Desk) -> None:
    request = desk.redeem(desk.holder(1_000))
    desk.both(request)
    answer, rows = desk.both(replace(request, quantity=2))
    assert (answer["code"], len(rows["misuse"])) == (Code.TXID_REUSED, 1)
    assert [row["remaining"] for row in rows["lot"]] == [880]


def test_what_was_undone_before_it_came_stays_undone(desk: Desk) -> None:
    request = desk.redeem(desk.holder(1_000))
    desk.books.one(create_reversal(request))
    assert desk.both(request)[0]["code"] == Code.UNDONE_BEFORE


def test_the_day_cannot_be_closed_while_a_debit_is_under_way(desk: Desk) -> None:
    with desk.server.transaction(Scope.everything()) as connection:
        desk.call(connection, desk.redeem(desk.holder(1_000)))
        with pytest.raises(DatabaseAway, match="lock"), desk.server.transaction(Scope.everything()) as other:
            other.execute(text("LOCK TABLE business_day IN EXCLUSIVE MODE NOWAIT"))


def test_a_debit_that_waited_for_the_closing_is_booked_on_the_new_day(
    database_urls: TestDatabase, postgres: EmbeddedPostgres
) -> None:
    with opened_desk(database_urls, postgres) as desk:
        request = desk.redeem(desk.holder(1_000))
        tomorrow = business_date(desk) + timedelta(days=1)
        _, answer = interleaved(
            desk.books,
            lambda connection: businessday.advance(connection, tomorrow, datetime.now(UTC)),
            lambda connection: desk.call(connection, request),
        )
        assert (answer["code"], answer["business_date"]) == (0, tomorrow)


def business_date(desk: Desk) -> date:
    day = desk.books.change(businessday.business_date)
    assert day is not None
    return day


def test_debits_on_one_account_wait_for_each_other(desk: Desk) -> None:
    holder = desk.holder(200)
    answers = interleaved(
        desk.books,
        lambda connection: (
            connection.execute(
                text("SELECT FROM account WHERE id = :id FOR UPDATE"), {"id": holder.account.id}
            ).rowcount
        ),
        *[lambda connection: desk.call(connection, desk.redeem(holder))] * 2,
    )[1:]
    assert sorted(answer["code"] for answer in answers) == [Code.APPROVED, Code.POINTS_INSUFFICIENT]


# ---- pgbench ------------------------------------------------------------------------------------


def booked(desk: Desk) -> list[int]:
    """Debits of each account, the richest first."""
    return [
        debits
        for (debits,) in desk.books.ask(
            """SELECT count(*) FROM transaction t JOIN account a ON a.slot = t.slot AND a.id = t.account_id
               WHERE t.kind = 'redeem' AND t.code = 0 AND a.posted > 1000000 GROUP BY a.id ORDER BY a.id"""
        )
    ]


def test_what_pgbench_reports_is_what_the_books_have(
    desk: Desk, module_database_urls: TestDatabase, postgres: EmbeddedPostgres
) -> None:
    baseline = Baseline(postgres, 2, database=module_database_urls.name)
    spread = baseline.run(1, 4)
    both = booked(desk)
    assert len(both) == 2
    assert spread.booked == sum(both) >= spread.debits > 0
    assert spread.per_second == spread.debits / spread.elapsed_s
    (account,) = desk.books.ask("SELECT min(id) FROM account")[0]
    hot = baseline.run(0, 4, account)
    assert booked(desk) == [both[0] + hot.booked, both[1]]


def test_a_refused_debit_is_no_measurement(
    desk: Desk, module_database_urls: TestDatabase, postgres: EmbeddedPostgres
) -> None:
    baseline = Baseline(postgres, 2, service="no such thing", database=module_database_urls.name)
    with pytest.raises(SystemExit, match="debits were refused, with code 1030"):
        baseline.run(0, 1)


def test_without_members_or_function_there_is_one_clear_sentence(
    database_urls: TestDatabase, postgres: EmbeddedPostgres
) -> None:
    baseline = Baseline(postgres, 1, database=database_urls.name)
    with pytest.raises(SystemExit, match=r"pgbench failed: .*bench\.terminal"):
        baseline.run(1, 1)
    with pytest.raises(SystemExit, match="finds 0 cards and 0 terminals"):
        baseline.prepare()
