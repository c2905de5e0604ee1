"""The open business day and those before it, as a page shows them. Reading only."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

__all__ = ["Day", "latest_days"]

LATEST = text("SELECT date, opened_at, closed_at FROM business_day ORDER BY date DESC LIMIT :most")


@dataclass(frozen=True, slots=True)
class Day:
    """A business date with the moments at which it was opened and closed; `closed_at` None: it is open."""

    date: date
    opened_at: datetime
    closed_at: datetime | None


def latest_days(connection: Connection, *, most: int = 31) -> list[Day]:
    """The open day and those before it, newest first; empty before the first."""
    return [Day(*row) for row in connection.execute(LATEST, {"most": most})]
