"""What can be asked of the books, what they know while deciding, and what they answer: plain data.

Only the standard library. Points are whole numbers, money whole minor units, times aware datetimes.
"""

import hashlib
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import IntEnum
from typing import ClassVar
from uuid import UUID

__all__ = [
    "MAX_POINTS", "MAX_QUANTITY", "PIN_TRIES", "AccountState", "CardState", "Code", "EntryRow", "Grant",
    "Inquiry", "LotState", "MisuseRow", "Outcome", "PriceState", "Redeem", "Request", "Reversal", "State",
    "Status", "TerminalState", "TransactionRow", "Writes", "approval_number", "meaning_of",
]  # fmt: skip

MAX_POINTS = 10**12  # of one posting: far above any real one, far below what bigint overflows at
MAX_QUANTITY = 9_999  # of one purchase: a till's four digits
PIN_TRIES = 3  # wrong PINs in a row that block the PIN

AccountKey = tuple[int, int]  # slot, account
Key = tuple[int, int, int, UUID]  # slot, account, terminal, txid: the key of a purchase, for ever


class Code(IntEnum):
    """Outcome codes, in order of precedence; the wire's table is protocol.codes, and a test compares them."""

    APPROVED = 0
    TXID_REUSED = 3008
    UNDONE_BEFORE = 3009
    NOT_FOUND = 3010
    TERMINAL_NOT_PERMITTED = 1020
    MERCHANT_CLOSED = 1009
    CARD_UNKNOWN = 1011
    CARD_LOST = 1032
    CARD_REPLACED = 1025
    CARD_BLOCKED = 1004
    CARD_EXPIRED = 1001
    ACCOUNT_CLOSED = 1014
    PIN_BLOCKED = 1006
    PIN_REQUIRED = 1012
    PIN_WRONG = 1017
    SERVICE_UNKNOWN = 1030
    AMOUNT_INVALID = 1010
    LIMIT_EXCEEDED = 1021
    POINTS_EXPIRED = 1036
    POINTS_INSUFFICIENT = 1016


# ---- requests -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What every request carries: the account that the card names, and who asks."""

    kind: ClassVar[str]
    slot: int
    account: int
    terminal: int
    txid: UUID

    @property
    def key(self) -> Key:
        return (self.slot, self.account, self.terminal, self.txid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem(Request):
    """Spend points. `pin_proof` is the keyed hash of the PIN that was typed, or None (ledger.cards)."""

    kind = "redeem"
    card: int
    issue: int
    service: str
    quantity: int | None = None
    amount: int | None = None
    pin_proof: bytes | None = field(default=None, repr=False)
    reference: str | None = None
    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal(Request):
    """Undo the transaction that this terminal made as `original`; always accepted."""

    kind = "reversal"
    original: UUID
    reason: str
    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Request):
    """What became of `original`. With `fence` an unseen one can never happen later. Not recorded."""

    kind = "status"
    original: UUID
    fence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry(Request):
    """The balance. Not recorded, but a wrong PIN is counted. `pin_needed`: details, not only the balance."""

    kind = "inquiry"
    card: int
    issue: int
    pin_proof: bytes | None = field(default=None, repr=False)
    pin_needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Request):
    """New points from `funder`: one lot. `lot_kind`: granted, purchased or promotional."""

    kind = "grant"
    funder: int
    points: int
    lot_kind: str = "granted"
    expires_on: date | None = None
    priority: int = 0
    detail: str | None = None
    staff: int | None = None


_NOT_MEANING = frozenset({"pin_proof", "terminal_at", "stan", "batch"})
_MEANING_FIELDS: dict[type[Request], tuple[tuple[str, object], ...]] = {
    cls: tuple((f.name, f.default) for f in fields(cls) if f.name not in _NOT_MEANING)
    for cls in (Redeem, Reversal, Status, Inquiry, Grant)
}


def meaning_of(request: Request) -> bytes:
    """16 bytes that are equal exactly when two requests ask for the same thing.

    BLAKE2b over the kind and each field that differs from its default, name=value behind its length. So
    a field that a later version adds changes nothing for requests without it: rows are asked for ever.
    The PIN, the clock and the trace numbers are not part of it: a repeat may carry other ones.
    """
    cls = type(request)
    told = [f"1 {cls.kind}"]
    for name, default in _MEANING_FIELDS[cls]:
        value = getattr(request, name)
        if value != default:
            part = f"{name}={value}"
            told.append(f"{len(part)}:{part}")
    return hashlib.blake2b("".join(told).encode(), digest_size=16).digest()


def approval_number(transaction_id: int) -> str:
    """How a transaction is named on receipts, replies and pages: at least six digits."""
    return f"{transaction_id:06d}"


# ---- rows ---------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class TransactionRow:
    """A row of `transaction`, read or to be written. `reversed` is whether another row undid it."""

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
    detail: str | None = None
    reference: str | None = None
    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None
    staff_id: int | None = None
    reversed: bool = False

    @property
    def key(self) -> Key:
        return (self.slot, self.account_id, self.terminal_id, self.txid)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MisuseRow:
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


# ---- what is known while deciding ---------------------------------------------------------------
# Fields in the order of the columns that ledger.books reads, so that a row makes one without names.


@dataclass(slots=True)
class AccountState:
    slot: int
    id: int
    enterprise_id: int
    posted: int
    held: int
    status: str


@dataclass(slots=True)
class CardState:
    slot: int
    id: int
    account_id: int
    number: str
    issue: int
    status: str
    expires_on: date | None
    pin_verifier: bytes | None = field(repr=False)
    pin_tries: int
    limit_points: int | None


@dataclass(slots=True)
class LotState:
    slot: int
    id: int
    account_id: int
    enterprise_id: int
    funder_id: int
    kind: str
    granted: int
    remaining: int
    held: int
    expires_on: date | None
    priority: int


@dataclass(frozen=True, slots=True)
class TerminalState:
    """A terminal with what stands above it; `open` only when its store and its merchant are."""

    id: int
    status: str
    merchant_id: int
    store_id: int
    open: bool


@dataclass(frozen=True, slots=True)
class PriceState:
    """The agreement for (merchant, service) on the business date; None as id: offered, but no price today."""

    id: int
    merchant_id: int
    service_id: int
    service: str
    points: int
    settlement_minor: int
    currency: str
    open: bool
    min_points: int | None
    max_points: int | None


@dataclass(slots=True, kw_only=True)
class State:
    """All that one batch may need, read under the accounts' locks. `decide` changes it as it goes."""

    now: datetime
    business_date: date
    accounts: dict[AccountKey, AccountState] = field(default_factory=dict)
    cards: dict[tuple[int, int], CardState] = field(default_factory=dict)
    lots: dict[AccountKey, list[LotState]] = field(default_factory=dict)
    transactions: dict[Key, TransactionRow] = field(default_factory=dict)
    entries: dict[tuple[int, int, int], list[EntryRow]] = field(default_factory=dict)
    terminals: dict[int, TerminalState] = field(default_factory=dict)
    prices: dict[tuple[int, str], PriceState] = field(default_factory=dict)
    transaction_ids: list[int] = field(default_factory=list)
    lot_ids: list[int] = field(default_factory=list)


# ---- answers ------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Writes:
    """What the batch changes: rows to insert, and the last state of what it touched."""

    transactions: list[TransactionRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    misuses: list[MisuseRow] = field(default_factory=list)
    new_lots: list[LotState] = field(default_factory=list)
    lots: dict[tuple[int, int], LotState] = field(default_factory=dict)
    accounts: dict[AccountKey, AccountState] = field(default_factory=dict)
    cards: dict[tuple[int, int], CardState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to one request. `transaction` is its row, new or (`recorded`) of an earlier equal request.

    For a Status it is the row of the original. `balance` is what can be spent, `expiring` the
    points and last day of the lots that expire, soonest first.
    """

    code: Code
    business_date: date
    at: datetime
    recorded: bool = False
    transaction: TransactionRow | None = None
    points: int = 0
    balance: int | None = None
    held: int | None = None
    detail: str | None = None
    reversed: bool = False
    expiring: tuple[tuple[int, date], ...] = ()
