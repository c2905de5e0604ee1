"""What can be asked of the books: plain data. Points are whole numbers, times aware datetimes."""

import hashlib
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from msgspec import Struct, structs

from ledger.postings.discreet import Discreet

__all__ = [
    "MAX_POINTS", "MAX_QUANTITY", "Adjust", "Capture", "Expire", "Grant", "Hold", "Inquiry", "Key",
    "PinChange", "Redeem", "Refund", "Release", "Request", "Reversal", "Spend", "Status", "TerminalRequest",
    "meaning_of",
]  # fmt: skip

MAX_POINTS = 10**12  # of one posting: far above any real one, far below what bigint overflows at
MAX_QUANTITY = 9_999  # of one purchase: a till's four digits

Key = tuple[int, int, int, UUID]  # slot, account, terminal, txid: the key of a purchase, for ever


class Request(Discreet, Struct, frozen=True, kw_only=True, gc=False):
    """What every request carries: the account that the card names, and who asks."""

    kind: ClassVar[str]
    slot: int
    account: int
    terminal: int
    txid: UUID

    @property
    def key(self) -> Key:
        return (self.slot, self.account, self.terminal, self.txid)


class TerminalRequest(Request, frozen=True, kw_only=True, gc=False):
    """One that a terminal numbers and dates itself; none of that decides anything."""

    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None


class Spend(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """What Redeem and Hold share. `pin_proof` is the keyed hash of the PIN that was typed, or None."""

    card: int
    issue: int
    service: str
    quantity: int | None = None
    amount: int | None = None
    pin_proof: bytes | None = None
    reference: str | None = None


class Redeem(Spend, frozen=True, kw_only=True, gc=False):
    """Spend points."""

    kind = "redeem"


class Hold(Spend, frozen=True, kw_only=True, gc=False):
    """Reserve points for `seconds` (None: HOLD_SECONDS), as a Redeem would take them."""

    kind = "hold"
    seconds: int | None = None


class Capture(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """Spend `points` of those that this terminal held as `hold`; the rest is released."""

    kind = "capture"
    hold: UUID
    points: int
    reference: str | None = None


class Release(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """Give back what this terminal held as `hold`."""

    kind = "release"
    hold: UUID


class Refund(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """Give `points` (None: all that remain) back of what terminal `seller` sold as `original`."""

    kind = "refund"
    original: UUID
    seller: int
    points: int | None = None
    reference: str | None = None


class Reversal(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """Undo the transaction that this terminal made as `original`; always accepted."""

    kind = "reversal"
    original: UUID
    reason: str


class PinChange(TerminalRequest, frozen=True, kw_only=True, gc=False):
    """Set the card's PIN to `verifier`, on the word of the present PIN or of a one-time code (their hashes).

    `fit` is whether the new PIN, which the books never see, may be one.
    """

    kind = "pin_change"
    card: int
    issue: int
    verifier: bytes
    fit: bool = True
    pin_proof: bytes | None = None
    code_proof: bytes | None = None


class Status(Request, frozen=True, kw_only=True, gc=False):
    """What became of `original`. With `fence` an unseen one can never happen later. Not recorded."""

    kind = "status"
    original: UUID
    fence: bool = False


class Inquiry(Request, frozen=True, kw_only=True, gc=False):
    """The balance. Not recorded, but a wrong PIN is counted. `pin_needed`: details, not only the balance."""

    kind = "inquiry"
    card: int
    issue: int
    pin_proof: bytes | None = None
    pin_needed: bool = False


class Grant(Request, frozen=True, kw_only=True, gc=False):
    """New points from `funder`: one lot. `lot_kind`: granted, purchased or promotional."""

    kind = "grant"
    funder: int
    points: int
    lot_kind: str = "granted"
    expires_on: date | None = None
    priority: int = 0
    detail: str | None = None
    staff: int | None = None


class Adjust(Request, frozen=True, kw_only=True, gc=False):
    """Points taken back to who funded them, from what can be spent: a correction. More points are a Grant."""

    kind = "adjustment"
    points: int
    detail: str | None = None
    staff: int | None = None


class Expire(Request, frozen=True, kw_only=True, gc=False):
    """Book the breakage: what expired goes back to who funded it. Holds whose time is over end too."""

    kind = "expiry"


_NOT_MEANING = frozenset({"pin_proof", "code_proof", "verifier", "fit", "terminal_at", "stan", "batch"})


_SHORT = 64
_LENGTHS = [f"{length}:" for length in range(_SHORT)]  # looked up, as this is done for every debit
# Of each kind, what it may say: the field, "field=", whether it must be said, and what is meant otherwise.
_MEANING_FIELDS: dict[type[Request], tuple[tuple[str, str, bool, object], ...]] = {
    cls: tuple(
        (f.name, f"{f.name}=", f.required, f.default)
        for f in structs.fields(cls)
        if f.name not in _NOT_MEANING
    )
    for cls in (
        Redeem, Hold, Capture, Release, Refund, Reversal, PinChange, Status, Inquiry, Grant, Adjust, Expire,
    )
}  # fmt: skip


def meaning_of(request: Request) -> bytes:
    """16 bytes that are equal exactly when two requests ask for the same thing.

    BLAKE2b over the kind and each field that differs from its default, name=value behind its length. So
    a field that a later version adds changes nothing for requests without it: rows are asked for ever.
    PINs, the clock and the trace numbers are not part of it: a repeat may carry other ones.
    """
    told = f"1 {request.kind}"
    for name, label, required, default in _MEANING_FIELDS[type(request)]:
        value = getattr(request, name)
        if required or value != default:
            part = f"{label}{value}"
            length = len(part)
            told += (_LENGTHS[length] if length < _SHORT else f"{length}:") + part
    return hashlib.blake2b(told.encode(), digest_size=16).digest()
