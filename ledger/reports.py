"""What pages show of the books. Reading only; row level security decides whose rows there are."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection, text

from ledger.postings import approval_number

__all__ = ["NO_BOUND", "Outcome", "TransactionLine", "latest_transactions"]

Outcome: TypeAlias = Literal["all", "approved", "refused"]

NO_BOUND = 2**63 - 1  # above every id

# The inner SELECT walks the index on id backwards and stops at the limit; only its rows are joined.
# LATERAL with a limit and not EXISTS, which the planner may answer by hashing the whole table.
LATEST = """
SELECT t.id, t.posted_at, t.business_date, t.kind, t.code, t.points, t.balance, t.card_tail,
       merchant.name AS merchant, store.name AS store, t.terminal_id, terminal.name AS terminal,
       service.name AS service, service.name_zh AS service_zh,
       undone.id IS NOT NULL AS reversed
FROM (SELECT * FROM transaction WHERE id < :before{outcome} ORDER BY id DESC LIMIT :limit) t
LEFT JOIN organisation merchant ON merchant.id = t.merchant_id
LEFT JOIN organisation store ON store.id = t.store_id
LEFT JOIN terminal ON terminal.id = t.terminal_id
LEFT JOIN service ON service.id = t.service_id
LEFT JOIN LATERAL (
    SELECT r.id FROM transaction r
    WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.reverses = t.id LIMIT 1
) undone ON true
ORDER BY t.id DESC
"""
LATEST_BY_OUTCOME: dict[Outcome, str] = {
    "all": LATEST.format(outcome=""),
    "approved": LATEST.format(outcome=" AND code = 0"),
    "refused": LATEST.format(outcome=" AND code <> 0"),
}


@dataclass(frozen=True, slots=True)
class TransactionLine:
    """One transaction as a list shows it. `posted_at` is aware; `points` as booked, never negative.

    `kind`: redeem, reversal, tombstone or grant. `code` 0 is approved, every other a refusal
    (protocol.codes). `card_tail` is the card's last four digits. `reversed`: another row undid it.
    `terminal` is None where the scope does not show the terminal, as to an enterprise.
    """

    id: int
    posted_at: datetime
    business_date: date
    kind: str
    code: int
    points: int
    balance: int | None
    card_tail: str | None
    merchant: str | None
    store: str | None
    terminal_id: int
    terminal: str | None
    service: str | None
    service_zh: str | None
    reversed: bool

    @property
    def number(self) -> str:
        """How receipts and replies name it too."""
        return approval_number(self.id)

    @property
    def change(self) -> int:
        """What the transaction did to the member's points: a redemption takes, everything else gives."""
        return -self.points if self.kind == "redeem" else self.points


def latest_transactions(
    connection: Connection, *, outcome: Outcome = "all", before: int | None = None, limit: int = 30
) -> list[TransactionLine]:
    """At most `limit` transactions, newest first; with `before`, only those with a smaller id."""
    rows = connection.execute(
        text(LATEST_BY_OUTCOME[outcome]), {"before": NO_BOUND if before is None else before, "limit": limit}
    )
    return [TransactionLine(**row._asdict()) for row in rows]
