"""Rows of the books, read or to be written.

Fields begin with the columns that ledger.statements writes, in their order: so rows become columns without
asking for names.
"""

from datetime import date, datetime
from uuid import UUID

from msgspec import Struct

from ledger.postings.requests import Key

__all__ = ["EntryRow", "HoldLotRow", "HoldRow", "MisuseRow", "TransactionRow"]


class TransactionRow(Struct, kw_only=True, gc=False):
    """A row of `transaction`, read or to be written, and what later rows made of it.

    `rest`: of a capture, the points it released; of a refund, those that could still be refunded then.
    `reversed`: another row undid it. `refunded`: points given back for it since. `ended`: the kind of
    the row that ended it, a hold; `expires_at` when a hold's time is over;
    `held_on` the business date of the hold that this row ended.
    """

    slot: int
    account_id: int
    id: int
    terminal_id: int
    txid: UUID
    kind: str
    code: int
    posted_at: datetime
    business_date: date
    enterprise_id: int
    merchant_id: int | None = None
    store_id: int | None = None
    card_id: int | None = None
    card_tail: str | None = None
    service_id: int | None = None
    price_id: int | None = None
    quantity: int | None = None
    points: int = 0
    settlement_minor: int | None = None
    currency: str | None = None
    balance: int | None = None
    meaning: bytes
    reverses: int | None = None
    ends: int | None = None
    refunds: int | None = None
    rest: int | None = None
    detail: str | None = None
    reference: str | None = None
    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None
    staff_id: int | None = None
    reversed: bool = False
    refunded: int = 0
    ended: str | None = None
    expires_at: datetime | None = None
    held_on: date | None = None

    @property
    def key(self) -> Key:
        return (self.slot, self.account_id, self.terminal_id, self.txid)


class EntryRow(Struct, frozen=True, kw_only=True, gc=False):
    """A row of `entry`: points of one lot, from one side to another."""

    slot: int
    account_id: int
    transaction_id: int
    lot_id: int
    from_side: str
    to_side: str
    points: int
    enterprise_id: int
    funder_id: int
    merchant_id: int | None
    business_date: date


class HoldRow(Struct, frozen=True, kw_only=True, gc=False):
    """A row of `hold`: points reserved until `expires_at`."""

    slot: int
    account_id: int
    transaction_id: int
    enterprise_id: int
    merchant_id: int
    points: int
    expires_at: datetime


class HoldLotRow(Struct, frozen=True, kw_only=True, gc=False):
    """A row of `hold_lot`: the part of a hold that one lot bears."""

    slot: int
    account_id: int
    transaction_id: int
    lot_id: int
    enterprise_id: int
    points: int


class MisuseRow(Struct, frozen=True, kw_only=True, gc=False):
    """A row of `misuse`: a key that came again with another meaning."""

    slot: int
    account_id: int
    enterprise_id: int
    terminal_id: int
    txid: UUID
    kind: str
    code: int
    meaning: bytes
    happened_at: datetime
