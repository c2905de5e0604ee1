"""What a terminal does with points, as plain data: one operation, where it stands, what the server said.

An operation is a Redeem, Hold, Capture, Release or Refund, and everything that may still have to be said
about it. The rules that move it are in terminal_rules.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from protocol.messages import (
    Capture,
    CaptureReply,
    Hold,
    HoldReply,
    Redeem,
    RedeemReply,
    Refund,
    RefundReply,
    Release,
    ReleaseReply,
    Reply,
    ReversalAdvice,
    TransactionStatusReply,
)

__all__ = [
    "ADVICES", "OPERATIONS", "REPLIES", "REVERSIBLE", "Answer", "Operation", "Purchase", "State",
    "answer_of", "content_of", "kind_of",
]  # fmt: skip

Operation: TypeAlias = Redeem | Hold | Capture | Release | Refund

OPERATIONS: Mapping[str, type[Operation]] = MappingProxyType(
    {"redeem": Redeem, "hold": Hold, "capture": Capture, "release": Release, "refund": Refund}
)
"""The kinds by name: what the store, a receipt and the totals of a batch call them."""

REPLIES: Mapping[str, type[Reply]] = MappingProxyType(
    {
        "redeem": RedeemReply,
        "hold": HoldReply,
        "capture": CaptureReply,
        "release": ReleaseReply,
        "refund": RefundReply,
    }
)

ADVICES = frozenset({"capture", "release"})
"""Kinds that tell the server what has happened: repeated until they are answered, never asked about."""

REVERSIBLE = frozenset({"redeem", "hold", "capture"})
"""Kinds that a ReversalAdvice undoes."""

_KINDS = {operation: kind for kind, operation in OPERATIONS.items()}
_NOT_CONTENT = frozenset({"id", "stan", "batch", "at", "repeat", "pin"})
_TOLD = ("approval", "points", "balance", "receipt", "expires_at", "released", "remaining", "outcome")


class State(Enum):
    """Where a purchase stands. The values are what the store holds."""

    OPEN = "open"  # stored; sent or about to be; outcome unknown
    ASKING = "asking"  # outcome unknown; only TransactionStatus with fence is sent
    UNDECIDED = "undecided"  # no outcome was to be had; a ReversalAdvice has to be made
    REVERSING = "reversing"  # a ReversalAdvice is stored and not answered yet
    APPROVED = "approved"
    REFUSED = "refused"
    NEVER = "never"  # fenced: it did not happen and cannot happen any more
    REVERSED = "reversed"
    DISPUTED = "disputed"  # the server did not do what was asked, or does not say: a person must look

    @property
    def final(self) -> bool:
        """Whether nothing remains to be said about the purchase."""
        return self not in (State.OPEN, State.ASKING, State.UNDECIDED, State.REVERSING)


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server said last about a purchase, whichever message asked. Points are whole numbers.

    `expires_at` (ms since 1970) of a hold; `released` of a capture; `remaining`, to refund, of a refund;
    `outcome` of a reversal.
    """

    code: int
    text: str
    server_at: int
    business_date: str
    recorded: bool = False
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    receipt: list[str] = []
    expires_at: int | None = None
    released: int = 0
    remaining: int | None = None
    outcome: str | None = None


class Purchase(Struct, frozen=True, kw_only=True):
    """One operation. `request` is without its PIN: what is in here is what the store writes to the disk.

    `booked`: points that the server has under this txid, None when it never said; `returned`: points that
    its reversal moved. `started` and `sent` belong to this run of the program; the store leaves them out.
    """

    request: Operation
    state: State = State.OPEN
    advice: ReversalAdvice | None = None
    answer: Answer | None = None
    booked: int | None = None
    returned: int = 0
    started: float | None = None
    sent: bool = False

    @property
    def txid(self) -> bytes:
        """16 bytes: the id of the original request."""
        return self.request.id

    @property
    def kind(self) -> str:
        """redeem, hold, capture, release or refund."""
        return kind_of(self.request)

    @property
    def service(self) -> str | None:
        """Code of the service that is bought or reserved; None for what follows a purchase."""
        return self.request.service if isinstance(self.request, Redeem | Hold) else None

    @property
    def about(self) -> bytes | None:
        """The txid of the hold that is captured or released, or of the purchase that is refunded."""
        match self.request:
            case Capture() | Release():
                return self.request.hold
            case Refund():
                return self.request.original
            case _:
                return None


def kind_of(request: Operation) -> str:
    """The name of an operation's kind."""
    return _KINDS[type(request)]


def content_of(request: Operation) -> tuple[object, ...]:
    """What makes an operation the same one: all that the member and the shop agreed on."""
    agreed = (getattr(request, name) for name in request.__struct_fields__ if name not in _NOT_CONTENT)
    return (kind_of(request), *agreed)


def answer_of(reply: Reply, code: int) -> Answer:
    """A reply as a purchase keeps it, under the code of the purchase itself."""
    told = {name: getattr(reply, name) for name in _TOLD if name in reply.__struct_fields__}
    answer = Answer(
        code=code,
        text=reply.text,
        server_at=reply.server_at,
        business_date=reply.business_date,
        # A status tells what stands in the record, by its nature.
        recorded=reply.recorded or isinstance(reply, TransactionStatusReply),
    )
    return replace(answer, **told)
