"""What happened on one account, newest first, by pages."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

__all__ = ["Happening", "account_history"]

# The primary key (slot, account, id) read backwards: a page costs the same however long the history.
HISTORY = text(
    """SELECT t.id, t.posted_at, t.kind, t.points, m.name AS merchant, s.code AS service,
              EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                      AND r.reverses = t.id) AS reversed
       FROM transaction t
       LEFT JOIN organisation m ON m.id = t.merchant_id
       LEFT JOIN service s ON s.id = t.service_id
       WHERE t.slot = :slot AND t.account_id = :account AND t.id < :before AND t.code = 0 AND t.points > 0
         AND t.business_date BETWEEN :since AND :until
       ORDER BY t.slot DESC, t.account_id DESC, t.id DESC LIMIT :most"""
)
NEWEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Happening:
    """One transaction that moved points. `points` is signed, as the member sees it."""

    id: int
    at: datetime
    kind: str
    points: int
    merchant: str | None
    service: str | None
    reversed: bool


def account_history(
    connection: Connection,
    slot: int,
    account: int,
    *,
    since: date = date.min,
    until: date = date.max,
    before: int = NEWEST,
    most: int,
) -> list[Happening]:
    """At most `most` transactions of the account with ids below `before`, booked from `since` to `until`."""
    rows = connection.execute(
        HISTORY,
        {"slot": slot, "account": account, "since": since, "until": until, "before": before, "most": most},
    )
    return [
        Happening(
            id=row.id,
            at=row.posted_at,
            kind=row.kind,
            points=-row.points if row.kind == "redeem" else row.points,
            merchant=row.merchant,
            service=row.service,
            reversed=row.reversed,
        )
        for row in rows
    ]
