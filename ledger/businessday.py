"""The business date: the accounting day that postings are booked on."""

from datetime import date, datetime

from sqlalchemy import Connection, text

__all__ = ["advance", "business_date"]

OPEN_DAY = text("SELECT date FROM business_day WHERE status = 'open'")
LOCK_OPEN_DAY = text("SELECT date FROM business_day WHERE status = 'open' FOR UPDATE")
CLOSE = text("UPDATE business_day SET status = 'closed', closed_at = :now WHERE status = 'open'")
OPEN = text("INSERT INTO business_day (date, opened_at) VALUES (:date, :now) ON CONFLICT DO NOTHING")


def business_date(connection: Connection) -> date | None:
    """The open business date, or None before the first."""
    return connection.execute(OPEN_DAY).scalar_one_or_none()


def advance(connection: Connection, to: date, now: datetime) -> date:
    """Close the open day and open `to`, when `to` is later; returns the date that is open afterwards.

    The row's exclusive lock waits for running postings, which hold it shared; a date never goes back.
    """
    present: date | None = connection.execute(LOCK_OPEN_DAY).scalar_one_or_none()
    if present is not None and present >= to:
        return present
    connection.execute(CLOSE, {"now": now})
    connection.execute(OPEN, {"date": to, "now": now})
    opened: date = connection.execute(OPEN_DAY).scalar_one()
    return opened
