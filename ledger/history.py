"""What happened on one account, newest first, by pages."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

__all__ = ["NEWEST", "Happening", "account_history", "change_of"]

# The primary key (slot, account, id) read backwards: a page costs the same however long the history.
# Holds, and what ends them without a purchase, only set points aside; a reversal of a hold does so too.
HISTORY = text(
    """SELECT t.id, t.posted_at, t.kind, t.points, t.reverses IS NOT NULL AS undoes, m.name AS merchant,
              s.code AS service,
              EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                      AND r.reverses = t.id) AS reversed
       FROM transaction t
       LEFT JOIN organisation m ON m.id = t.merchant_id
       LEFT JOIN service s ON s.id = t.service_id
       WHERE t.slot = :slot AND t.account_id = :account AND t.id < :before AND t.code = 0 AND t.points > 0
         AND (t.kind IN ('redeem', 'capture', 'refund', 'grant', 'adjustment', 'expiry')
              OR t.reverses IS NOT NULL)
         AND t.business_date BETWEEN :since AND :until
       ORDER BY t.slot DESC, t.account_id DESC, t.id DESC LIMIT :most"""
)
NEWEST = 2**63 - 1

TAKES = frozenset({"redeem", "capture", "expiry", "adjustment"})
GIVES = frozenset({"grant", "refund"})


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


def change_of(kind: str, points: int, *, undoes: bool) -> int:
    """What a transaction did to the member's points: less, more, or nothing for what only reserves them.

    `undoes`: it is a reversal of a purchase, and not of a hold.
    """
    if kind in TAKES:
        return -points
    return points if kind in GIVES or undoes else 0


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
            points=change_of(row.kind, row.points, undoes=row.undoes),
            merchant=row.merchant,
            service=row.service,
            reversed=row.reversed,
        )
        for row in rows
    ]
