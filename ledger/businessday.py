"""The business date: the accounting day that postings are booked on."""

from datetime import date, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

__all__ = ["DayBusy", "ClockWrong", "advance", "business_date"]

# While the closing waits for the lock every debit waits behind it; a posting takes milliseconds, so what
# holds it longer is a transaction that hangs, and the closing tries again later.
LOCK_WAIT = text("SET LOCAL lock_timeout = '500ms'")
# The database's clock is the second witness. No zone is more than a day ahead of UTC.
TOO_FAR = text("SELECT CAST(:date AS date) > (now() AT TIME ZONE 'UTC')::date + 1")

OPEN_DAY = text("SELECT date FROM business_day WHERE status = 'open'")
# A posting's FOR SHARE takes the table's ROW SHARE lock, which this one conflicts with. The row's own
# exclusive lock would do, but never be had while batches overlap: table locks queue fairly, row locks do not.
LOCK = text("LOCK TABLE business_day IN EXCLUSIVE MODE")
CLOSE = text("UPDATE business_day SET status = 'closed', closed_at = :now WHERE status = 'open'")
OPEN = text("INSERT INTO business_day (date, opened_at) VALUES (:date, :now)")


class DayBusy(Exception):
    """A transaction that posted has not ended; the day stays open, and the next try may close it."""


class ClockWrong(Exception):
    """The date asked for lies ahead of the database's own clock; the day stays as it is."""


def business_date(connection: Connection) -> date | None:
    """The open business date, or None before the first."""
    return connection.execute(OPEN_DAY).scalar_one_or_none()


def advance(connection: Connection, to: date, now: datetime) -> date:
    """Close the open day and open `to`, when `to` is later; returns the date that is open afterwards.

    Waits for running postings, and those that come later wait for it; a date never goes back. Raises
    DayBusy, and ClockWrong: a day that was closed by mistake cannot be opened again.
    """
    if connection.execute(TOO_FAR, {"date": to}).scalar_one():
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
    opened: date = connection.execute(OPEN_DAY).scalar_one()
    return opened
