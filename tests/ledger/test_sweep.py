"""The sweep: what nobody asks about is booked too, once, by whoever comes first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from ledger.books import NoOpenDay, post
from ledger.database import Database, DatabaseAway, Scope
from ledger.sweep import DUE, Swept, sweep
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books, until_somebody_waits
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    create_capture,
    create_hold,
    create_redeem,
    create_release,
    grant_points,
    new_txid,
)

NOTHING = Swept(0, 0, 0)


@dataclass
class Sweeping:
    """The books, and the server's view of them: it is what sweeps."""

    books: Books
    server: Database

    def sweep(self, now: datetime | None = NOW, most_accounts: int = 500) -> Swept:
        return sweep(self.server, now, new_txid, most_accounts=most_accounts)

    def granted(self, holder: Holder, points: int, *, days: int) -> None:
        """A lot whose last day is `days` after today."""
        self.books.change(
            lambda connection: grant_points(
                connection, self.books.house, holder.account, points, expires_on=TODAY + timedelta(days=days)
            )
        )

    def expiries(self) -> list[tuple[int, int]]:
        """Points and balance of each row of breakage, in order."""
        return [
            (points, balance)
            for points, balance in self.books.ask(
                "SELECT points, balance FROM transaction WHERE kind = 'expiry' ORDER BY id"
            )
        ]

    def count(self, kind: str) -> int:
        ((count,),) = self.books.ask("SELECT count(*) FROM transaction WHERE kind = :kind", kind=kind)
        assert isinstance(count, int)
        return count


@pytest.fixture
def sweeping(database_urls: TestDatabase) -> Iterator[Sweeping]:
    server = Database(database_urls.server)
    with opened_books(database_urls) as books:
        yield Sweeping(books, server)
    server.close()


def tomorrow(sweeping: Sweeping, days: int = 1) -> datetime:
    """Open a later day; returns a moment on it."""
    sweeping.books.open_day(TODAY + timedelta(days=days))
    return NOW + timedelta(days=days)


def test_with_nothing_due_nothing_is_written(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=500, expires_on=TODAY)
    books.one(create_hold(books.house, holder))
    before = books.ask("SELECT count(*), max(id) FROM transaction")
    assert sweeping.sweep() == NOTHING
    assert books.ask("SELECT count(*), max(id) FROM transaction") == before


def test_points_whose_last_day_is_past_go_back_to_who_funded_them(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=500, expires_on=TODAY)
    sweeping.granted(holder, 70, days=0)
    sweeping.granted(holder, 30, days=1)
    other = books.holder(points=9, expires_on=TODAY)
    books.holder(points=1_000)
    assert sweeping.sweep() == NOTHING
    now = tomorrow(sweeping)
    assert sweeping.sweep(now) == Swept(2, 0, 579)
    assert (books.posted(holder), books.posted(other)) == (30, 0)
    assert sorted(sweeping.expiries()) == [(9, 0), (570, 30)]
    assert books.ask(
        "SELECT DISTINCT e.from_side, e.to_side, e.business_date, t.terminal_id FROM entry e"
        " JOIN transaction t ON t.id = e.transaction_id WHERE t.kind = 'expiry'"
    ) == [("member", "funder", TODAY + timedelta(days=1), 0)]
    assert sweeping.sweep(now) == NOTHING


def test_holds_whose_time_is_over_end_and_their_points_are_free(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=1_000)
    books.one(create_hold(books.house, holder, seconds=60))
    books.one(create_hold(books.house, holder, seconds=60))
    books.one(create_hold(books.house, holder, seconds=61))
    assert sweeping.sweep(NOW + timedelta(seconds=59)) == NOTHING
    assert sweeping.sweep(NOW + timedelta(seconds=60)) == Swept(1, 2, 0)
    assert books.held(holder) == 300
    assert sweeping.count("expiry") == 0
    assert sweeping.sweep(NOW + timedelta(seconds=61)) == Swept(1, 1, 0)
    assert (books.held(holder), books.posted(holder)) == (0, 1_000)
    assert sweeping.sweep(NOW + timedelta(seconds=61)) == NOTHING


def test_holds_that_ended_otherwise_are_left_alone(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=1_000)
    captured, released = (create_hold(books.house, holder, seconds=60) for _ in range(2))
    books.post(captured, released)
    books.post(create_capture(captured, 100), create_release(released))
    books.one(create_hold(books.house, holder, amount=10, seconds=3_600))
    assert sweeping.sweep(NOW + timedelta(seconds=61)) == NOTHING


def test_expired_points_that_are_held_expire_when_the_hold_ends(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=500, expires_on=TODAY)
    books.one(create_hold(books.house, holder, amount=300, seconds=90_000))
    now = tomorrow(sweeping)
    assert sweeping.sweep(now) == Swept(1, 0, 200)
    # What is held waits, and is not swept again and again.
    assert sweeping.sweep(now) == NOTHING
    assert sweeping.sweep(NOW + timedelta(seconds=90_000)) == Swept(1, 1, 300)
    assert sweeping.expiries() == [(200, 0), (300, 0)]
    assert books.posted(holder) == 0


def test_a_long_list_is_swept_a_part_at_a_time(sweeping: Sweeping) -> None:
    holders = [sweeping.books.holder(points=10, expires_on=TODAY) for _ in range(5)]
    for holder in holders:
        sweeping.granted(holder, 1, days=0)
    now = tomorrow(sweeping)
    found = [sweeping.sweep(now, most_accounts=2) for _ in range(4)]
    assert found == [Swept(2, 0, 22), Swept(2, 0, 22), Swept(1, 0, 11), NOTHING]


@contextmanager
def day_held(sweeping: Sweeping) -> Iterator[Connection]:
    """While this lasts, a sweep that has looked what is due waits before it locks any account."""
    with sweeping.server.transaction(Scope.everything()) as connection:
        connection.execute(text("LOCK TABLE business_day IN EXCLUSIVE MODE"))
        yield connection


@contextmanager
def account_held(sweeping: Sweeping, *holders: Holder) -> Iterator[Connection]:
    """While this lasts, somebody else is busy with these accounts."""
    with sweeping.server.transaction(Scope.everything()) as connection:
        for holder in holders:
            key = {"id": holder.account.id}
            connection.execute(text("SELECT FROM account WHERE id = :id FOR UPDATE"), key)
        yield connection


def test_two_sweeps_at_once_book_everything_once(sweeping: Sweeping) -> None:
    books = sweeping.books
    for _ in range(3):
        books.holder(points=100, expires_on=TODAY)
    held = books.holder(points=400)
    books.one(create_hold(books.house, held, seconds=60))
    now = tomorrow(sweeping)
    found: list[Swept] = []

    def other(place: int) -> None:
        found.append(sweeping.sweep(now + timedelta(microseconds=place)))

    with day_held(sweeping) as connection:
        # Both have looked when the first of them may lock.
        threads = [threading.Thread(target=other, args=(place,)) for place in range(2)]
        for thread in threads:
            thread.start()
        until_somebody_waits(connection, sessions=2)
    for thread in threads:
        thread.join()
    found.append(sweeping.sweep(now))
    assert sum(each.points for each in found) == 300
    assert sum(each.holds for each in found) == 1
    assert sweeping.count("expiry") == 3
    assert sweeping.count("lapse") == 1
    assert sweeping.sweep(now) == NOTHING


def test_a_sweep_that_looked_before_a_purchase_books_what_that_left(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=500)
    sweeping.granted(holder, 70, days=0)
    hold = create_hold(books.house, holder, amount=30, seconds=60)
    books.one(hold)
    now = tomorrow(sweeping)
    found: list[Swept] = []

    def other() -> None:
        found.append(sweeping.sweep(now + timedelta(milliseconds=1)))

    with day_held(sweeping) as connection:
        # The purchase ends the hold, whose time is over, before it spends; the sweep has looked already.
        post(connection, [create_redeem(books.house, holder)], now)
        thread = threading.Thread(target=other)
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    assert found == [Swept(1, 0, 70)]
    assert (sweeping.count("lapse"), books.posted(holder)) == (1, 380)


def test_an_account_that_somebody_holds_is_left_for_the_next_sweep(sweeping: Sweeping) -> None:
    """It stops neither the others nor, through locks of a sweep that waits, their debits."""
    books = sweeping.books
    stuck, *others = (books.holder(points=100, expires_on=TODAY) for _ in range(3))
    held = books.holder(points=400)
    books.one(create_hold(books.house, held, seconds=60))
    now = tomorrow(sweeping)
    with account_held(sweeping, stuck):
        assert sweeping.sweep(now) == Swept(3, 1, 200)
        assert sweeping.sweep(now) == NOTHING
        assert [books.posted(holder) for holder in (stuck, *others)] == [100, 0, 0]
    assert sweeping.sweep(now) == Swept(1, 0, 100)


def test_a_sweep_that_waits_for_the_day_holds_no_account(sweeping: Sweeping) -> None:
    holder = sweeping.books.holder(points=100, expires_on=TODAY)
    now = tomorrow(sweeping)
    found: list[Swept] = []
    with day_held(sweeping) as connection:
        thread = threading.Thread(target=lambda: found.append(sweeping.sweep(now)))
        thread.start()
        until_somebody_waits(connection)
        free = "SELECT id FROM account WHERE id = :id FOR UPDATE NOWAIT"
        assert sweeping.books.ask(free, id=holder.account.id) == [(holder.account.id,)]
    thread.join()
    assert found == [Swept(1, 0, 100)]


def test_without_a_moment_it_is_the_databases(sweeping: Sweeping) -> None:
    books = sweeping.books
    holder = books.holder(points=1_000)
    ((clock,),) = books.ask("SELECT clock_timestamp()")
    books.one(create_hold(books.house, holder, seconds=3_600), now=clock)
    books.one(create_hold(books.house, holder, seconds=1), now=clock - timedelta(seconds=1))
    assert sweeping.sweep(None) == Swept(1, 1, 0)
    assert books.held(holder) == 300
    assert sweeping.sweep(None) == NOTHING


def test_only_what_is_due_is_picked(sweeping: Sweeping) -> None:
    """What is picked and not due would take the place of what is."""
    books = sweeping.books
    wholly_held = books.holder(points=300, expires_on=TODAY)
    books.one(create_hold(books.house, wholly_held, seconds=61))
    expired, lapsing = books.holder(points=10, expires_on=TODAY), books.holder()
    books.one(create_hold(books.house, lapsing, seconds=60))
    tomorrow(sweeping)
    books.holder(points=10, expires_on=TODAY + timedelta(days=1))
    asked = {"now": NOW + timedelta(seconds=60), "today": TODAY + timedelta(days=1)}
    picked = {account for _, account in books.ask(DUE.text, **asked)}
    assert picked == {expired.account.id, lapsing.account.id}


def test_a_database_that_goes_while_it_is_swept_is_told(sweeping: Sweeping) -> None:
    books = sweeping.books
    books.holder(points=10, expires_on=TODAY)
    now = tomorrow(sweeping)
    failed: list[DatabaseAway] = []

    def other() -> None:
        try:
            sweeping.sweep(now)
        except DatabaseAway as error:
            failed.append(error)

    with day_held(sweeping) as connection:
        thread = threading.Thread(target=other)
        thread.start()
        until_somebody_waits(connection)
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        )
        thread.join()
    assert len(failed) == 1
    assert sweeping.sweep(now) == Swept(1, 0, 10)


def test_without_an_open_day_nothing_is_booked(sweeping: Sweeping) -> None:
    books = sweeping.books
    books.one(create_hold(books.house, books.holder(), seconds=60))
    books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
    with pytest.raises(NoOpenDay):
        sweeping.sweep(NOW + timedelta(days=1))
    assert sweeping.count("lapse") == 0


def test_what_is_due_is_found_by_its_indexes(sweeping: Sweeping) -> None:
    """It is asked every few seconds, of however many members there are."""
    with sweeping.server.transaction(Scope.everything()) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = connection.execute(text(f"EXPLAIN {DUE.text}"), {"now": NOW, "today": TODAY})
        plan = "\n".join(row[0] for row in rows)
    assert "account_held_idx" in plan
    assert "lot_expires_on_idx" in plan
