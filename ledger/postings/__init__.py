"""What can be asked of the books, what they know while deciding, and what they answer: plain data.

Structs of msgspec, which are dataclasses that are made ten times faster: a debit makes ten of them. None can
refer back to itself, so the garbage collector need not look at them (`gc=False`).
Points are whole numbers, money whole minor units, times aware datetimes.
"""

from ledger.postings.codes import Code, approval_number
from ledger.postings.requests import (
    MAX_POINTS,
    MAX_QUANTITY,
    Adjust,
    Capture,
    Expire,
    Grant,
    Hold,
    Inquiry,
    Key,
    PinChange,
    Redeem,
    Refund,
    Release,
    Request,
    Reversal,
    Spend,
    Status,
    TerminalRequest,
    meaning_of,
)
from ledger.postings.rows import EntryRow, HoldLotRow, HoldRow, MisuseRow, TransactionRow
from ledger.postings.state import (
    GRACE_DAYS,
    HOLD_SECONDS,
    MAX_OPEN_HOLDS,
    PIN_TRIES,
    AccountKey,
    AccountState,
    CardState,
    HoldState,
    LotState,
    Outcome,
    PriceState,
    State,
    TerminalState,
    Writes,
)

__all__ = [
    "GRACE_DAYS", "HOLD_SECONDS", "MAX_OPEN_HOLDS", "MAX_POINTS", "MAX_QUANTITY", "PIN_TRIES",
    "AccountKey", "AccountState", "Adjust", "Capture", "CardState", "Code", "EntryRow", "Expire", "Grant",
    "Hold", "HoldLotRow", "HoldRow", "HoldState", "Inquiry", "Key", "LotState", "MisuseRow", "Outcome",
    "PinChange", "PriceState", "Redeem", "Refund", "Release", "Request", "Reversal", "Spend", "State",
    "Status", "TerminalRequest", "TerminalState", "TransactionRow", "Writes", "approval_number",
    "meaning_of",
]  # fmt: skip
