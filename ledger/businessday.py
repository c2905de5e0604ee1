"""The business date: the accounting day that postings are booked on, and the calendar that turns it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from ledger.events import Event, announce

__all__ = [
    "Calendar", "ClockWrong", "DayBusy", "advance", "begins_at", "business_date", "date_at", "hold_date",
    "keep", "read_calendar", "set_calendar",
]  # fmt: skip

# While the closing waits for the lock every debit waits behind it; a posting takes milliseconds, so what
# holds it longer is a transaction that hangs, and the closing tries again later.
LOCK_WAIT = text("SET LOCAL lock_timeout = '500ms'")
# The database's clock is the second witness.
CLOCK = text("SELECT clock_timestamp()")

OPEN_DAY = text("SELECT date FROM business_day WHERE status = 'open'")
HOLD_DAY = text("SELECT date FROM business_day WHERE status = 'open' FOR SHARE")
CALENDAR = text("SELECT time_zone, cut_off FROM calendar")
SET_CALENDAR = text("UPDATE calendar SET time_zone = :time_zone, cut_off = :cut_off RETURNING one")
# A posting keeps the table by a ROW SHARE lock (KEEP_DAY), which this one conflicts with. The row's own locks
# would do, but never be had while batches overlap: table locks queue fairly, row locks do not.
LOCK = text("LOCK TABLE business_day IN EXCLUSIVE MODE")
CLOSE = text(
    """UPDATE business_day SET status = 'closed', closed_at = coalesce(:now, clock_timestamp())
       WHERE status = 'open'"""
)
# Under the lock nobody posts, so every row of the new day has an id above this one.
OPEN = text(
    """INSERT INTO business_day (date, opened_at, first_transaction)
       VALUES (:date, coalesce(:now, clock_timestamp()), nextval('transaction_id_seq'))"""
)

NOON = time(12)
AHEAD = timedelta(days=1)  # how far a day may be opened before the calendar says so


class DayBusy(Exception):
    """A transaction that posted has not ended; the day stays open, and the next try may close it."""


class ClockWrong(Exception):
    """The date asked for lies ahead of the database's own clock; the day stays as it is."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where and when the business date turns: `cut_off` is a local time of day, to the minute.

    Before noon: a date lasts until its cut-off the next morning. From noon on: the next date begins at it.
    ValueError for a time zone that does not exist.
    """

    time_zone: str
    cut_off: time

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (OSError, ValueError, LookupError) as error:  # no such file, no such name, a folder
            raise ValueError(f"there is no time zone {self.time_zone!r}; one is Asia/Shanghai") from error
        if self.cut_off.tzinfo is not None or self.cut_off != self.cut_off.replace(second=0, microsecond=0):
            raise ValueError("a cut-off is a local time in hours and minutes")


def read_calendar(connection: Connection) -> Calendar:
    """The calendar in force."""
    time_zone, cut_off = connection.execute(CALENDAR).one()
    return Calendar(time_zone, cut_off)


def set_calendar(connection: Connection, calendar: Calendar) -> None:
    """Another calendar, from now on. A date that is open already stays: it never goes back.

    NoResultFound for a scope other than everything: it is everybody's.
    """
    asked = {"time_zone": calendar.time_zone, "cut_off": calendar.cut_off}
    connection.execute(SET_CALENDAR, asked).scalar_one()


def begins_at(day: date, calendar: Calendar) -> datetime:
    """The moment, in UTC, at which a business date begins by the calendar.

    A cut-off that clocks show twice that night counts the first time; one that they skip, as if they had not.
    """
    turns_on = day if calendar.cut_off < NOON else day - timedelta(days=1)
    local = datetime.combine(turns_on, calendar.cut_off, ZoneInfo(calendar.time_zone))
    return local.astimezone(UTC)


def date_at(moment: datetime, calendar: Calendar) -> date:
    """The business date of a moment by the calendar: the last one that has begun. It never goes back."""
    # In any zone, at any time of the year, the date that begins after the next one is still to come.
    day = moment.astimezone(ZoneInfo(calendar.time_zone)).date() + timedelta(days=2)
    while begins_at(day, calendar) > moment:
        day -= timedelta(days=1)
    return day


def business_date(connection: Connection) -> date | None:
    """The open business date, or None before the first."""
    return connection.execute(OPEN_DAY).scalar_one_or_none()


def hold_date(connection: Connection) -> date | None:
    """The open business date, which stays open until the transaction ends: a posting holds it so, too."""
    return connection.execute(HOLD_DAY).scalar_one_or_none()


def keep(connection: Connection, now: datetime | None) -> date:
    """Open the calendar's date when it is later than the open one; returns the one that is open afterwards.

    The date has come by `now` and by the database's own clock: a process whose clock is fast opens none too
    soon. `now` None is the database's clock. Harmless however often, and in how many processes, it is done.
    Raises DayBusy as `advance` does; the transaction is then of no more use.
    """
    present = business_date(connection)
    clock: datetime = connection.execute(CLOCK).scalar_one()
    due = date_at(clock if now is None else min(now, clock), read_calendar(connection))
    if present is not None and present >= due:
        return present
    return advance(connection, due, now)


def advance(connection: Connection, to: date, now: datetime | None) -> date:
    """Close the open day and open `to`, when `to` is later; returns the date that is open afterwards.

    `now`, when it happens, is the database's clock where it is None, as it is for postings. Waits for running
    postings, and those that come later wait for it; a date never goes back. Raises
    DayBusy, and ClockWrong for more than a day beyond the calendar's date by the database's own clock: a
    day that was closed by mistake cannot be opened again.
    """
    clock: datetime = connection.execute(CLOCK).scalar_one()
    if to > date_at(clock, read_calendar(connection)) + AHEAD:
        raise ClockWrong(f"{to} is ahead of the database's clock; the business date stays as it is")
    connection.execute(LOCK_WAIT)
    try:
        connection.execute(LOCK)
    except OperationalError as error:
        raise DayBusy("a transaction holds the business day; it is closed later") from error
    present = business_date(connection)
    if present is not None and present >= to:
        return present
    connection.execute(CLOSE, {"now": now})
    connection.execute(OPEN, {"date": to, "now": now})
    announce(connection, Event("day"))
    return to
