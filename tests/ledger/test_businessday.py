"""The business date: one open day, which never goes back, and waits for running postings."""

import threading
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from ledger import businessday
from ledger.books import post
from ledger.database import Scope
from tests.conftest import TestDatabase
from tests.desk import PATIENCE_S, Books, opened_books, until_somebody_waits
from tests.factories import NOW, TODAY, create_redeem

TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


def test_a_day_opens_once_and_never_goes_back(books: Books) -> None:
    with books.database.transaction(Scope.everything()) as connection:
        assert businessday.business_date(connection) == TODAY
        assert businessday.advance(connection, TODAY, NOW) == TODAY
        assert businessday.advance(connection, TOMORROW, NOW) == TOMORROW
        assert businessday.advance(connection, TODAY, NOW) == TOMORROW
    assert books.ask("SELECT date, status FROM business_day ORDER BY 1") == [
        (TODAY, "closed"), (TOMORROW, "open"),
    ]  # fmt: skip


def test_a_day_closes_after_the_postings_that_are_under_way(books: Books) -> None:
    holder = books.holder()
    closed = threading.Event()

    def close() -> None:
        with books.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TOMORROW, NOW)
        closed.set()

    with books.database.transaction(Scope.everything()) as connection:
        (before,) = post(connection, [create_redeem(books.house, holder)], NOW)
        thread = threading.Thread(target=close)
        thread.start()
        until_somebody_waits(connection)
        assert not closed.is_set()
    thread.join()
    assert before.business_date == TODAY
    assert books.one(create_redeem(books.house, holder)).business_date == TOMORROW


def test_two_that_open_the_next_day_at_once_open_one(books: Books) -> None:
    gate = threading.Barrier(2)
    opened = []

    def advance() -> None:
        gate.wait()
        with books.database.transaction(Scope.everything()) as connection:
            opened.append(businessday.advance(connection, TOMORROW, NOW))

    threads = [threading.Thread(target=advance) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [TOMORROW, TOMORROW]


def test_a_day_closes_although_batches_overlap_without_a_gap(books: Books) -> None:
    """Two posters take turns so that one of them always holds the day; the closing still gets in."""
    holders = [books.holder(points=120 * 1_000) for _ in range(2)]
    closed = threading.Event()
    holding = [threading.Event(), threading.Event()]
    days: list[list[object]] = [[], []]

    def keep_posting(place: int) -> None:
        while not closed.is_set():
            with books.database.transaction(Scope.everything()) as connection:
                (outcome,) = post(connection, [create_redeem(books.house, holders[place])], NOW)
                days[place].append(outcome.business_date)
                holding[place].set()
                # Held until the other holds it too, or waits behind the closing.
                holding[1 - place].wait(0.05)
                holding[1 - place].clear()

    posters = [threading.Thread(target=keep_posting, args=(place,)) for place in range(2)]
    for poster in posters:
        poster.start()
    holding[0].wait(PATIENCE_S)
    try:
        with books.database.transaction(Scope.everything()) as connection:
            connection.execute(text("SET LOCAL statement_timeout = '10s'"))
            businessday.advance(connection, TOMORROW, NOW)
    finally:
        closed.set()
        for poster in posters:
            poster.join()
    for seen in days:
        assert seen == sorted(seen, key=str)


def test_a_transaction_that_hangs_keeps_the_day_open_and_stops_no_debit(books: Books) -> None:
    """The closing gives up soon, so that debits do not queue behind it; the next try may close."""
    holder = books.holder()
    with books.database.transaction(Scope.everything()) as hanging:
        post(hanging, [create_redeem(books.house, holder)], NOW)
        with pytest.raises(businessday.DayBusy), books.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TOMORROW, NOW)
        other = books.holder()
        assert books.one(create_redeem(books.house, other)).business_date == TODAY
    with books.database.transaction(Scope.everything()) as connection:
        assert businessday.advance(connection, TOMORROW, NOW) == TOMORROW


def test_a_wrong_clock_does_not_close_days_for_good(books: Books) -> None:
    with (
        pytest.raises(businessday.ClockWrong, match="2099-01-01 is ahead"),
        books.database.transaction(Scope.everything()) as connection,
    ):
        businessday.advance(connection, date(2099, 1, 1), NOW)
    assert books.ask("SELECT date FROM business_day") == [(TODAY,)]
