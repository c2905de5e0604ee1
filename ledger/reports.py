"""What pages show of the books. Reading only; row level security decides whose rows there are."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.history import change_of
from ledger.postings import approval_number

__all__ = ["Expiring", "MemberExpiring", "TransactionLine", "expiring", "member_expiring"]

# `rows` stops at its limit, and only what it gives is joined.
# LATERAL with a limit and not EXISTS, which the planner may answer by hashing the whole table.
JOINED = """
SELECT t.id, t.posted_at, t.business_date, t.kind, t.code, t.points, t.balance, t.card_tail,
       merchant.name AS merchant, store.name AS store, t.terminal_id, terminal.name AS terminal,
       service.name AS service, service.name_zh AS service_zh, t.reverses IS NOT NULL AS undoes,
       undone.id IS NOT NULL OR last.kind IS NOT DISTINCT FROM 'reversal' AS reversed,
       refund.points AS refunded, last.kind AS ended_by, held.expires_at AS held_until, t.txid, t.batch,
       t.reference, t.settlement_minor, t.currency
FROM ({rows}) t
LEFT JOIN organisation merchant ON merchant.id = t.merchant_id
LEFT JOIN organisation store ON store.id = t.store_id
LEFT JOIN terminal ON terminal.id = t.terminal_id
LEFT JOIN service ON service.id = t.service_id
LEFT JOIN LATERAL (
    SELECT r.id FROM transaction r
    WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.reverses = t.id LIMIT 1
) undone ON true
LEFT JOIN LATERAL (
    SELECT e.kind FROM transaction e
    WHERE e.slot = t.slot AND e.account_id = t.account_id AND e.ends = t.id LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(g.points), 0)::bigint AS points FROM transaction g
    WHERE g.slot = t.slot AND g.account_id = t.account_id AND g.refunds = t.id
) refund ON true
LEFT JOIN LATERAL (
    SELECT h.expires_at FROM hold h
    WHERE h.slot = t.slot AND h.account_id = t.account_id AND h.transaction_id = t.id LIMIT 1
) held ON true
ORDER BY t.id DESC
"""

# Days in the order of the index, each one added up when it is complete: what lies after the last group
# that is asked for is never read. What expired before the open date and is not yet swept is no news.
EXPIRING = text(
    """SELECT l.expires_on, l.funder_id, f.name AS funder, l.points, l.held, l.accounts
       FROM (SELECT expires_on, funder_id, sum(remaining)::bigint AS points, sum(held)::bigint AS held,
                    count(DISTINCT account_id) AS accounts
             FROM lot
             WHERE open AND expires_on >= (SELECT date FROM business_day WHERE status = 'open')
               AND expires_on <= :until
             GROUP BY expires_on, funder_id ORDER BY expires_on, funder_id LIMIT :most) l
       LEFT JOIN organisation f ON f.id = l.funder_id
       ORDER BY l.expires_on, l.funder_id"""
)
MEMBER_EXPIRING = text(
    """SELECT expires_on, kind, sum(remaining)::bigint AS points, sum(held)::bigint AS held
       FROM lot
       WHERE slot = :slot AND account_id = :account AND open
         AND expires_on >= (SELECT date FROM business_day WHERE status = 'open')
       GROUP BY expires_on, kind ORDER BY expires_on, kind"""
)

HOW_A_HOLD_ENDED = {
    "capture": "captured", "release": "released", "reversal": "reversed", "lapse": "expired",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransactionLine:
    """One transaction as a list shows it. `posted_at` is aware; `points` as booked, never negative.

    `kind`: redeem, hold, capture, release, lapse, refund, reversal, tombstone, grant, expiry or
    pin_change. `code` 0 is approved, every other a refusal (protocol.codes). `card_tail` is the card's
    last four digits. `reversed`: another row undid it. `refunded`: the points given back for it since.
    `undoes`: it is a reversal of a purchase, and not of a hold. `ended_by`: of a hold, the kind of the row
    that ended it; `held_until`: when its time is over, None where the scope does not show it, as to a
    merchant. `terminal` is None where the scope does not show the terminal, as to an enterprise.
    `settlement_minor`: money to the merchant, in minor units of `currency`.
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
    undoes: bool
    reversed: bool
    refunded: int
    ended_by: str | None
    held_until: datetime | None
    txid: UUID
    batch: int | None
    reference: str | None
    settlement_minor: int | None
    currency: str | None

    @property
    def number(self) -> str:
        """How receipts and replies name it too."""
        return approval_number(self.id)

    @property
    def change(self) -> int:
        """What the transaction did to the member's points; 0 for what only reserves them or frees them."""
        return change_of(self.kind, self.points, undoes=self.undoes)

    def hold_state(self, now: datetime) -> str | None:
        """Of an approved hold: open, captured, released, reversed or expired; None for anything else.

        A hold whose time is over has expired, whether or not that has been booked yet.
        """
        if self.kind != "hold" or self.code != 0:
            return None
        if self.ended_by is not None:
            return HOW_A_HOLD_ENDED[self.ended_by]
        return "expired" if self.held_until is not None and self.held_until <= now else "open"


@dataclass(frozen=True, slots=True)
class Expiring:
    """What is lost when `last_day` ends: `points` of so many `accounts`, `held` of them reserved just now.

    They go back to `funder_id`, whose name is None where the scope does not show it.
    """

    last_day: date
    funder_id: int
    funder: str | None
    points: int
    held: int
    accounts: int


@dataclass(frozen=True, slots=True)
class MemberExpiring:
    """What an account loses when `last_day` ends, by kind of points: granted, purchased or promotional."""

    last_day: date
    kind: str
    points: int
    held: int


def expiring(connection: Connection, *, until: date = date.max, most: int = 60) -> list[Expiring]:
    """What expires in the scope, by last day and funder, soonest first, up to the day `until`.

    At most `most` lines. Lots that are used before are not lost; this is what it comes to as of now.
    """
    return [Expiring(*row) for row in connection.execute(EXPIRING, {"until": until, "most": most})]


def member_expiring(connection: Connection, slot: int, account: int) -> list[MemberExpiring]:
    """What one account loses and when, soonest first."""
    rows = connection.execute(MEMBER_EXPIRING, {"slot": slot, "account": account})
    return [MemberExpiring(*row) for row in rows]
