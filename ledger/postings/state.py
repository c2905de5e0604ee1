"""What the books know while deciding, what changes, and what they answer: plain data."""

from datetime import date, datetime

from msgspec import Struct, field

from ledger.postings.codes import Code
from ledger.postings.discreet import Discreet
from ledger.postings.requests import Key
from ledger.postings.rows import EntryRow, HoldLotRow, HoldRow, MisuseRow, TransactionRow

__all__ = [
    "GRACE_DAYS", "HOLD_SECONDS", "MAX_OPEN_HOLDS", "PIN_TRIES", "AccountKey", "AccountState",
    "CardState", "HoldState", "LotState", "Outcome", "PriceState", "State", "TerminalState", "Writes",
]  # fmt: skip

PIN_TRIES = 3  # wrong PINs in a row that block the PIN; wrong one-time codes that spoil the code
HOLD_SECONDS = 86_400  # of a hold that names no time: what is ordered today is done by tomorrow
MAX_OPEN_HOLDS = 20  # of one account: far more jobs than one member has under way
GRACE_DAYS = 30  # for points refunded to an expired lot, unless the enterprise's terms say otherwise

AccountKey = tuple[int, int]  # slot, account

# Fields in the order of the columns that ledger.statements reads, so that a row makes one without names.


class AccountState(Struct, gc=False):
    slot: int
    id: int
    enterprise_id: int
    posted: int
    held: int
    status: str


class CardState(Discreet, Struct, gc=False):
    """A card with the limits that hold for it, its own or those above it; None is no limit.

    `spent_today` is read for a card with a limit for the day only.
    """

    slot: int
    id: int
    account_id: int
    number: str
    issue: int
    status: str
    expires_on: date | None
    pin_verifier: bytes | None
    pin_tries: int
    limit_points: int | None
    day_limit_points: int | None = None
    pin_above_points: int = 0
    pin_code: bytes | None = None
    pin_code_until: datetime | None = None
    pin_code_tries: int = 0
    spent_today: int = 0


class LotState(Struct, gc=False):
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


class HoldState(Struct, gc=False):
    """An open hold: its transaction, and its points by lot.

    `lapse_id` is there when its time is over: the id of the transaction that is to say so.
    """

    transaction: TransactionRow
    expires_at: datetime
    lots: dict[int, int]
    lapse_id: int | None = None


class TerminalState(Struct, frozen=True, gc=False):
    """A terminal with what stands above it; `open` only when its store and its merchant are."""

    id: int
    status: str
    merchant_id: int
    store_id: int
    open: bool


class PriceState(Struct, frozen=True, gc=False):
    """The agreement for (merchant, service) on the business date."""

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


class State(Struct, kw_only=True):
    """All that one batch may need, read under the accounts' locks. `decide` changes it as it goes.

    `holds` has the open ones of each account by the id of their transaction. `entries` has those of a
    transaction by (slot, account, transaction); `given_back` what refunds of it returned, by lot.
    """

    now: datetime
    business_date: date
    accounts: dict[AccountKey, AccountState] = field(default_factory=dict)
    cards: dict[tuple[int, int], CardState] = field(default_factory=dict)
    lots: dict[AccountKey, list[LotState]] = field(default_factory=dict)
    holds: dict[AccountKey, dict[int, HoldState]] = field(default_factory=dict)
    transactions: dict[Key, TransactionRow] = field(default_factory=dict)
    entries: dict[tuple[int, int, int], list[EntryRow]] = field(default_factory=dict)
    given_back: dict[tuple[int, int, int], dict[int, int]] = field(default_factory=dict)
    grace_days: dict[AccountKey, int] = field(default_factory=dict)
    terminals: dict[int, TerminalState] = field(default_factory=dict)
    prices: dict[tuple[int, str], PriceState] = field(default_factory=dict)
    transaction_ids: list[int] = field(default_factory=list)
    lot_ids: list[int] = field(default_factory=list)


class Writes(Struct, kw_only=True):
    """What the batch changes: rows to insert, and the last state of what it touched."""

    transactions: list[TransactionRow] = field(default_factory=list)
    entries: list[EntryRow] = field(default_factory=list)
    holds: list[HoldRow] = field(default_factory=list)
    hold_lots: list[HoldLotRow] = field(default_factory=list)
    misuses: list[MisuseRow] = field(default_factory=list)
    new_lots: list[LotState] = field(default_factory=list)
    lots: dict[tuple[int, int], LotState] = field(default_factory=dict)
    accounts: dict[AccountKey, AccountState] = field(default_factory=dict)
    cards: dict[tuple[int, int], CardState] = field(default_factory=dict)


class Outcome(Struct, frozen=True, kw_only=True, gc=False):
    """The answer to one request. `transaction` is its row, new or (`recorded`) of an earlier equal request.

    For a Status it is the row of the original. `balance` is what can be spent, `expiring` the
    points and last day of the lots that expire, soonest first. `rest`: what a Capture released, or
    what can still be refunded after a Refund.
    """

    code: Code
    business_date: date
    at: datetime
    recorded: bool = False
    transaction: TransactionRow | None = None
    points: int = 0
    rest: int | None = None
    balance: int | None = None
    held: int | None = None
    detail: str | None = None
    expires_at: datetime | None = None
    expiring: tuple[tuple[int, date], ...] = ()
