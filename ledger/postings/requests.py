"""What can be asked of the books: plain data. Points are whole numbers, times aware datetimes."""

import hashlib
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

__all__ = [
    "MAX_POINTS", "MAX_QUANTITY", "Capture", "Expire", "Grant", "Hold", "Inquiry", "Key", "PinChange",
    "Redeem", "Refund", "Release", "Request", "Reversal", "Spend", "Status", "TerminalRequest",
    "meaning_of",
]  # fmt: skip

MAX_POINTS = 10**12  # of one posting: far above any real one, far below what bigint overflows at
MAX_QUANTITY = 9_999  # of one purchase: a till's four digits

Key = tuple[int, int, int, UUID]  # slot, account, terminal, txid: the key of a purchase, for ever


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
class TerminalRequest(Request):
    """One that a terminal numbers and dates itself; none of that decides anything."""

    terminal_at: datetime | None = None
    stan: int | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend(TerminalRequest):
    """What Redeem and Hold share. `pin_proof` is the keyed hash of the PIN that was typed, or None."""

    card: int
    issue: int
    service: str
    quantity: int | None = None
    amount: int | None = None
    pin_proof: bytes | None = field(default=None, repr=False)
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem(Spend):
    """Spend points."""

    kind = "redeem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Spend):
    """Reserve points for `seconds` (None: HOLD_SECONDS), as a Redeem would take them."""

    kind = "hold"
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(TerminalRequest):
    """Spend `points` of those that this terminal held as `hold`; the rest is released."""

    kind = "capture"
    hold: UUID
    points: int
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(TerminalRequest):
    """Give back what this terminal held as `hold`."""

    kind = "release"
    hold: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(TerminalRequest):
    """Give `points` (None: all that remain) back of what terminal `seller` sold as `original`."""

    kind = "refund"
    original: UUID
    seller: int
    points: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal(TerminalRequest):
    """Undo the transaction that this terminal made as `original`; always accepted."""

    kind = "reversal"
    original: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinChange(TerminalRequest):
    """Set the card's PIN to `verifier`, on the word of the present PIN or of a one-time code (their hashes).

    `fit` is whether the new PIN, which the books never see, may be one.
    """

    kind = "pin_change"
    card: int
    issue: int
    verifier: bytes = field(repr=False)
    fit: bool = True
    pin_proof: bytes | None = field(default=None, repr=False)
    code_proof: bytes | None = field(default=None, repr=False)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(Request):
    """Book the breakage: what expired goes back to who funded it. Holds whose time is over end too."""

    kind = "expiry"


_NOT_MEANING = frozenset({"pin_proof", "code_proof", "verifier", "fit", "terminal_at", "stan", "batch"})
_MEANING_FIELDS: dict[type[Request], tuple[tuple[str, object], ...]] = {
    cls: tuple((f.name, f.default) for f in fields(cls) if f.name not in _NOT_MEANING)
    for cls in (
        Redeem, Hold, Capture, Release, Refund, Reversal, PinChange, Status, Inquiry, Grant, Expire,
    )
}  # fmt: skip


def meaning_of(request: Request) -> bytes:
    """16 bytes that are equal exactly when two requests ask for the same thing.

    BLAKE2b over the kind and each field that differs from its default, name=value behind its length. So
    a field that a later version adds changes nothing for requests without it: rows are asked for ever.
    PINs, the clock and the trace numbers are not part of it: a repeat may carry other ones.
    """
    cls = type(request)
    told = [f"1 {cls.kind}"]
    for name, default in _MEANING_FIELDS[cls]:
        value = getattr(request, name)
        if value != default:
            part = f"{name}={value}"
            told.append(f"{len(part)}:{part}")
    return hashlib.blake2b("".join(told).encode(), digest_size=16).digest()
