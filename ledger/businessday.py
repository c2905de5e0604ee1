"""The business date: the accounting day that postings are booked on."""

from datetime import date, datetime

from sqlalchemy import Connection, text

__all__ = ["advance", "business_date"]

OPEN_DAY = text("SELECT date FROM business_day WHERE status = 'open'")
# A posting's FOR SHARE takes the table's ROW SHARE lock, which this one conflicts with. The row's own
# exclusive lock would do, but never be had while batches overlap: table locks queue fairly, row locks do not.
LOCK = text("LOCK TABLE business_day IN EXCLUSIVE MODE")
CLOSE = text("UPDATE business_day SET status = 'closed', closed_at = :now WHERE status = 'open'")
OPEN = text("INSERT INTO business_day (date, opened_at) VALUES (:date, :now)")


def business_date(connection: Connection) -> date | None:
    """The open business date, or None before the first."""
    return connection.execute(OPEN_DAY).scalar_one_or_none()


def advance(connection: Connection, to: date, now: datetime) -> date:
    """Close the open day and open `to`, when `to` is later; returns the date that is open afterwards.

    Waits for running postings, and those that come later wait for it; a date never goes back.
    """
    connection.execute(LOCK)
    present = business_date(connection)
    if present is not None and present >= to:
        return present
    connection.execute(CLOSE, {"now": now})
    connection.execute(OPEN, {"date": to, "now": now})
    opened: date = connection.execute(OPEN_DAY).scalar_one()
    return opened
