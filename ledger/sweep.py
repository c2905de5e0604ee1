"""The sweep: holds whose time is over end, points whose last day is past go back to who funded them.

It decides nothing and nothing waits for it: a posting judges both for itself. It books what nobody asks
about, so that the books say by evening what is true.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger import books
from ledger.businessday import business_date, hold_date
from ledger.database import Database, Scope
from ledger.model import OFFICE_TERMINAL
from ledger.postings import Expire

__all__ = ["MOST_ACCOUNTS", "Swept", "sweep"]

MOST_ACCOUNTS = 500  # locked together: short enough that a debit never waits long behind a sweep

# Who waits for an account keeps those that it has already from their debits, so a sweep waits for none.
FREE = text(
    """SELECT a.slot, a.id FROM unnest(CAST(:slots AS int2[]), CAST(:accounts AS int8[])) AS k(slot, id)
       JOIN account a ON a.slot = k.slot AND a.id = k.id
       ORDER BY a.slot, a.id FOR UPDATE OF a SKIP LOCKED"""
)

# Of the same mind as ledger.rules: a lot expires when its last day is past, but not what is held of it. The
# date is a value, and no subquery, for the planner to see that hardly a lot is due.
DUE = text(
    """SELECT h.slot, h.account_id FROM account a
       JOIN hold h ON h.slot = a.slot AND h.account_id = a.id
            AND h.expires_at <= coalesce(CAST(:now AS timestamptz), clock_timestamp())
       WHERE a.held > 0
         AND NOT EXISTS (SELECT FROM transaction e WHERE e.slot = h.slot AND e.account_id = h.account_id
                         AND e.ends = h.transaction_id)
       UNION ALL
       SELECT l.slot, l.account_id FROM lot l
       WHERE l.open AND l.remaining > l.held AND l.expires_on < CAST(:today AS date)"""
)
# The ends of holds that this sweep wrote; whoever swept at another moment wrote others.
LAPSED = text(
    """SELECT t.slot, t.account_id, count(*) AS holds
       FROM unnest(CAST(:slots AS int2[]), CAST(:accounts AS int8[])) AS k(slot, account_id)
       JOIN transaction t ON t.slot = k.slot AND t.account_id = k.account_id
            AND t.id >= (SELECT first_transaction FROM business_day WHERE status = 'open')
            AND t.kind = 'lapse' AND t.posted_at = :now
       GROUP BY 1, 2"""
)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: accounts that it changed, holds that it ended, points that it booked as expired."""

    accounts: int
    holds: int
    points: int


def sweep(
    database: Database,
    now: datetime | None,
    new_txid: Callable[[], UUID],
    *,
    most_accounts: int = MOST_ACCOUNTS,
) -> Swept:
    """Sweep at most `most_accounts` accounts in one transaction; repeat it until none was changed.

    `now` None is the database's clock. An account that somebody else holds is left for the next sweep.
    Harmless at any time, twice, and in several processes at once. Raises DatabaseAway; NoOpenDay when
    there is something to book and no day to book it on.
    """
    with database.transaction(Scope.everything()) as connection:
        due = _free(connection, _due(connection, now, most_accounts))
        if not due:
            return Swept(0, 0, 0)
        requests = [
            Expire(slot=slot, account=account, terminal=OFFICE_TERMINAL, txid=new_txid())
            for slot, account in due
        ]
        outcomes = books.post(connection, requests, now)
        expired = {key for key, outcome in zip(due, outcomes, strict=True) if outcome.points}
        swept = connection.execute(LAPSED, {**_columns(due), "now": outcomes[0].at})
        lapsed = {(row.slot, row.account_id): row.holds for row in swept}
        return Swept(
            accounts=len(expired | lapsed.keys()),
            holds=sum(lapsed.values()),
            points=sum(outcome.points for outcome in outcomes),
        )


def _free(connection: Connection, due: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that nobody else has locked; they are ours until the transaction ends."""
    if not due:
        return []
    # In the order of the books, the day before the accounts: a sweep that waited for the day with accounts in
    # its hands would stop their debits.
    hold_date(connection)
    return [(slot, account) for slot, account in connection.execute(FREE, _columns(due))]


def _columns(keys: list[tuple[int, int]]) -> dict[str, list[int]]:
    return {"slots": [slot for slot, _ in keys], "accounts": [account for _, account in keys]}


def _due(connection: Connection, now: datetime | None, most: int) -> list[tuple[int, int]]:
    """Accounts with something to sweep, each once. Of a long list only the beginning is read."""
    seen: dict[tuple[int, int], None] = {}
    asked = {"now": now, "today": business_date(connection)}
    with connection.execute(DUE.execution_options(yield_per=most), asked) as rows:
        for slot, account in rows:
            seen[slot, account] = None
            if len(seen) == most:
                break
    return list(seen)
