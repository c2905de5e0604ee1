"""The business date: one open day, which never goes back, waits for postings, and turns by a calendar."""

import threading
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ledger import businessday
from ledger.books import post
from ledger.businessday import Calendar, begins_at, date_at
from ledger.database import Database, Scope
from ledger.events import CHANNEL
from tests.conftest import TestDatabase
from tests.desk import PATIENCE_S, Books, opened_books, until_somebody_waits
from tests.factories import NOW, TODAY, create_redeem

TOMORROW = TODAY + timedelta(days=1)


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
        began = monotonic()
        with pytest.raises(businessday.DayBusy), books.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TOMORROW, NOW)
        # Half a second; a session's own patience with locks is ten times as long.
        assert monotonic() - began < 3, "as long as the closing waits, every debit waits behind it"
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


def test_without_a_moment_a_day_turns_at_the_databases(books: Books) -> None:
    ((before,),) = books.ask("SELECT clock_timestamp()")
    books.change(lambda connection: businessday.advance(connection, TOMORROW, None))
    ((after,),) = books.ask("SELECT clock_timestamp()")
    ((closed,),) = books.ask("SELECT closed_at FROM business_day WHERE status = 'closed'")
    ((opened,),) = books.ask("SELECT opened_at FROM business_day WHERE status = 'open'")
    assert before <= closed <= opened <= after


# ---- the day and the books ----------------------------------------------------------------------


def test_no_transaction_of_a_day_has_a_smaller_id_than_the_days_first(books: Books) -> None:
    holder = books.holder()
    before = books.one(create_redeem(books.house, holder))
    books.open_day(TOMORROW)
    after = books.one(create_redeem(books.house, holder))
    assert before.transaction is not None
    assert after.transaction is not None
    ((first,),) = books.ask("SELECT first_transaction FROM business_day WHERE status = 'open'")
    assert before.transaction.id < first < after.transaction.id


def test_a_posting_that_waited_for_the_close_of_its_day_is_booked_on_the_next(books: Books) -> None:
    holder = books.holder()
    outcomes: list[Any] = []

    def spend() -> None:
        outcomes.append(books.one(create_redeem(books.house, holder)))

    with books.database.transaction(Scope.everything()) as connection:
        businessday.advance(connection, TOMORROW, NOW)
        ((first,),) = connection.execute(
            text("SELECT first_transaction FROM business_day WHERE status = 'open'")
        )
        thread = threading.Thread(target=spend)
        thread.start()
        until_somebody_waits(connection)
    thread.join()
    assert outcomes[0].business_date == TOMORROW
    assert outcomes[0].transaction.id > first


def test_an_opened_day_is_announced_and_a_day_that_stays_is_not(
    books: Books, database_urls: TestDatabase
) -> None:
    with psycopg.connect(database_urls.server, autocommit=True) as ear:
        ear.execute(f"LISTEN {CHANNEL}")
        for day in (TODAY, TOMORROW, TOMORROW, TODAY):
            books.open_day(day)
        ear.execute(f"SELECT pg_notify('{CHANNEL}', 'enough')")
        heard = ear.notifies(timeout=PATIENCE_S)
        assert [next(heard).payload for _ in range(2)] == ['{"kind": "day"}', "enough"]
        heard.close()


# ---- the calendar -------------------------------------------------------------------------------

SHANGHAI = Calendar("Asia/Shanghai", time(0, 0))


def keep(books: Books, now: datetime | None) -> date:
    return books.change(lambda connection: businessday.keep(connection, now))


def set_calendar(books: Books, calendar: Calendar) -> None:
    books.change(lambda connection: businessday.set_calendar(connection, calendar))


def test_the_day_turns_by_the_calendar_and_never_back(books: Books) -> None:
    turn = begins_at(TOMORROW, SHANGHAI)
    assert books.change(businessday.read_calendar) == SHANGHAI
    assert turn == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    second = timedelta(seconds=1)
    found = [keep(books, moment) for moment in (turn - second, turn, turn, turn - second)]
    assert found == [TODAY, TOMORROW, TOMORROW, TOMORROW]
    assert books.ask("SELECT date, status FROM business_day ORDER BY 1") == [
        (TODAY, "closed"), (TOMORROW, "open"),
    ]  # fmt: skip


def test_a_process_whose_clock_is_fast_opens_no_day_too_soon(books: Books) -> None:
    """The day turns when both clocks say so. By hand it may be opened one day ahead."""
    here = Calendar("UTC", time(0))
    set_calendar(books, here)

    def clock() -> date:
        ((moment,),) = books.ask("SELECT clock_timestamp()")
        assert isinstance(moment, datetime)
        return max(TODAY, date_at(moment, here))

    for fast in (datetime.now(UTC) + timedelta(days=1), datetime(2400, 1, 1, tzinfo=UTC), None):
        before = clock()
        kept = keep(books, fast)
        assert before <= kept <= clock()


def test_another_calendar_holds_from_the_next_look_on_and_takes_no_day_back(books: Books) -> None:
    set_calendar(books, Calendar("Asia/Shanghai", time(20, 30)))
    # 20:29 and 20:30 in Shanghai.
    assert keep(books, datetime(2026, 11, 22, 12, 29, tzinfo=UTC)) == TODAY
    assert keep(books, datetime(2026, 11, 22, 12, 30, tzinfo=UTC)) == TOMORROW
    set_calendar(books, Calendar("America/Los_Angeles", time(4, 0)))
    assert keep(books, datetime(2026, 11, 22, 12, 31, tzinfo=UTC)) == TOMORROW


def test_the_first_day_of_all_is_the_calendars(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as books:
        books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
        turn = begins_at(TOMORROW, SHANGHAI)
        assert keep(books, turn) == TOMORROW


def test_the_server_keeps_the_day_with_its_own_rights(books: Books, database_urls: TestDatabase) -> None:
    database = Database(database_urls.server)
    with database.transaction(Scope.everything()) as connection:
        assert businessday.keep(connection, begins_at(TOMORROW, SHANGHAI)) == TOMORROW
    database.close()


def test_a_day_is_opened_by_hand_at_most_one_ahead_of_the_databases_calendar(books: Books) -> None:
    west, east = Calendar("Etc/GMT+12", time(0)), Calendar("Etc/GMT-14", time(0))
    two = date_at(datetime.now(UTC), west) + timedelta(days=2)
    set_calendar(books, west)
    with pytest.raises(businessday.ClockWrong, match=f"{two} is ahead of the database's clock"):
        books.open_day(two)
    books.open_day(two - timedelta(days=1))
    # 26 hours further east the same moment lies at least a day later.
    set_calendar(books, east)
    books.open_day(two)
    assert books.ask("SELECT date FROM business_day WHERE status = 'open'") == [(two,)]


@pytest.mark.parametrize(
    "name", ["", "Nowhere/At_all", "Asia", "../Asia/Shanghai", "/etc/localtime", "a" * 300]
)
def test_a_calendar_of_no_sense_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        Calendar(name, time(0))


@pytest.mark.parametrize("cut_off", [time(0, 0, 1), time(0, 0, 0, 1), time(1, tzinfo=UTC)])
def test_a_cut_off_is_a_local_time_to_the_minute(cut_off: time) -> None:
    with pytest.raises(ValueError, match="hours and minutes"):
        Calendar("UTC", cut_off)


# What clocks of the world do: half hours and quarters, an hour of summer, half an hour, two; a day skipped.
ZONES = (
    "UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York", "Europe/London", "Africa/Casablanca",
    "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Pacific/Kwajalein", "Pacific/Kiritimati",
)  # fmt: skip
CUT_OFFS = st.builds(time, st.integers(0, 23), st.integers(0, 59))
CALENDARS = st.builds(Calendar, st.sampled_from(ZONES), CUT_OFFS)
MOMENTS = st.datetimes(datetime(1970, 1, 3), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
# Around the days on which some of these clocks changed.
NEAR_CHANGES = st.builds(
    lambda day, minutes: day + timedelta(minutes=minutes),
    st.sampled_from(
        [
            datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC),
            datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC),
            datetime(2026, 4, 4, tzinfo=UTC), datetime(2011, 12, 30, tzinfo=UTC),
            datetime(1993, 8, 21, tzinfo=UTC), datetime(1994, 12, 31, tzinfo=UTC),
        ]
    ),
    st.integers(-3_000, 3_000),
)  # fmt: skip
ANY_MOMENT = MOMENTS | NEAR_CHANGES


@given(CALENDARS, ANY_MOMENT, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_the_date_never_goes_back(calendar: Calendar, moment: datetime, later: timedelta) -> None:
    assert date_at(moment, calendar) <= date_at(moment + later, calendar)


@given(CALENDARS, ANY_MOMENT)
def test_a_moment_lies_between_the_beginning_of_its_date_and_of_the_next(
    calendar: Calendar, moment: datetime
) -> None:
    day = date_at(moment, calendar)
    assert begins_at(day, calendar) <= moment < begins_at(day + timedelta(days=1), calendar)


@given(CUT_OFFS, MOMENTS, st.integers(-12, 14))
def test_before_noon_a_date_lasts_until_the_cut_off_and_from_noon_on_the_next_begins_at_it(
    cut_off: time, moment: datetime, hours: int
) -> None:
    # Etc/GMT counts westwards; these clocks never change.
    zone = f"Etc/GMT{-hours:+d}"
    local = moment.astimezone(ZoneInfo(zone))
    expected = local.date()
    if cut_off.hour < 12 and local.time() < cut_off:
        expected -= timedelta(days=1)
    if cut_off.hour >= 12 and local.time() >= cut_off:
        expected += timedelta(days=1)
    assert date_at(moment, Calendar(zone, cut_off)) == expected


def test_midnight_is_before_noon_and_noon_is_not() -> None:
    at_noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert date_at(at_noon, Calendar("UTC", time(0, 0))) == TODAY
    assert date_at(at_noon, Calendar("UTC", time(11, 59))) == TODAY
    assert date_at(at_noon, Calendar("UTC", time(12, 0))) == TOMORROW
    assert date_at(at_noon, Calendar("UTC", time(12, 1))) == TODAY


def test_a_cut_off_that_clocks_show_twice_turns_the_date_once() -> None:
    """In New York on 1 November 2026 it is 01:30 at 05:30 and again at 06:30 UTC."""
    calendar = Calendar("America/New_York", time(1, 30))
    night = datetime(2026, 11, 1, tzinfo=UTC)
    moments = [night + timedelta(hours=hours) for hours in (5.25, 5.5, 6.25, 6.5, 29.5, 30.5)]
    assert [date_at(moment, calendar).day for moment in moments] == [31, 1, 1, 1, 1, 2]


def test_a_cut_off_that_clocks_skip_turns_the_date_as_if_they_had_not() -> None:
    """In New York on 8 March 2026 there is no 02:30; a day after the last one it is 03:30, 07:30 UTC."""
    calendar = Calendar("America/New_York", time(2, 30))
    turn = datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert begins_at(date(2026, 3, 8), calendar) == turn
    assert date_at(turn - timedelta(seconds=1), calendar) == date(2026, 3, 7)
    assert date_at(turn, calendar) == date(2026, 3, 8)
    assert begins_at(date(2026, 3, 9), calendar) == datetime(2026, 3, 9, 6, 30, tzinfo=UTC)
