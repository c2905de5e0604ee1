"""The terminal rules of the protocol as a pure state machine: no I/O, no clock, no randomness.

A purchase is one Redeem and everything that may still have to be said about it. `next_action` says
what to do with it now; `acting`, `answered` and `undo` give the purchase after it. Times are seconds of
one monotonic clock, whose zero does not matter. The states, and what leads from one to the next:

    OPEN ──reply──▶ APPROVED | REFUSED
      │ 45 s, or a restart
      ▼
    ASKING ──status──▶ APPROVED | REFUSED | NEVER | REVERSED
      │ 60 s, or a status that settles nothing          APPROVED
      ▼                                                    │ service not given
    REVERSING ◀────────────────────────────────────────────┘
      │ the advice is answered
      ▼
    REVERSED | DISPUTED

Nothing leads from ASKING or REVERSING back to OPEN: the original is never sent again.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from protocol.errors import LocalProtocolError
from protocol.messages import (
    Redeem,
    RedeemReply,
    Reply,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatusReply,
)

__all__ = [
    "APPROVED_CODE", "GIVE_UP_S", "NOT_FOUND", "NOT_RECORDED", "REPLY_S", "UNKNOWN_S",
    "Action", "Answer", "Purchase", "State",
    "acting", "after_restart", "answer_of", "answered", "backoff_s", "begin", "deadline", "next_action",
    "reversals_first", "undo",
]  # fmt: skip

APPROVED_CODE = 0
NOT_RECORDED = 1811
NOT_FOUND = 3010
TXID_REUSED = 3008

REPLY_S = 10.0
"""Without a reply for this long the session is taken for dead: a debit takes milliseconds."""

UNKNOWN_S = 45.0
"""From the first attempt until the original is asked about, not repeated: some tries on a bad network."""

GIVE_UP_S = 60.0
"""From the first attempt until a reversal is stored instead: longer than this nobody waits at a counter."""

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
"""Pauses between attempts double from the first to the last: a server that starts again is not stormed."""


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
    DISPUTED = "disputed"  # the server answered the advice with a refusal: a person must look

    @property
    def final(self) -> bool:
        """Whether nothing remains to be said about the purchase."""
        return self not in (State.OPEN, State.ASKING, State.UNDECIDED, State.REVERSING)


class Action(Enum):
    """What to do with a purchase now."""

    SEND = "send"  # the Redeem, for the first time
    REPEAT = "repeat"  # the same Redeem with `repeat` set
    ASK = "ask"  # TransactionStatus with fence
    GIVE_UP = "give up"  # make a ReversalAdvice and `undo`
    ADVISE = "advise"  # the stored ReversalAdvice
    NOTHING = "nothing"


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server said last about a purchase, whichever message asked. `points` and `balance`: points."""

    code: int
    text: str
    server_at: int
    business_date: str
    recorded: bool = False
    approval: str | None = None
    points: int = 0
    balance: int | None = None
    receipt: list[str] = []


class Purchase(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One purchase. `request` is without its PIN: this struct is what the store writes to the disk.

    `started` and `sent` belong to this run of the program; the store leaves them out.
    """

    request: Redeem
    state: State = State.OPEN
    advice: ReversalAdvice | None = None
    answer: Answer | None = None
    started: float | None = None
    sent: bool = False

    @property
    def txid(self) -> bytes:
        """16 bytes: the id of the original request."""
        return self.request.id


def begin(request: Redeem, now: float) -> Purchase:
    """A purchase about to be stored and sent. LocalProtocolError when the PIN was not taken out."""
    if request.pin is not None:
        raise LocalProtocolError("a purchase is stored without its PIN")
    return Purchase(request=request, started=now)


def after_restart(purchase: Purchase) -> Purchase:
    """What a stored purchase is when the program starts: with an unknown outcome it is asked about."""
    state = State.ASKING if purchase.state in (State.OPEN, State.UNDECIDED) else purchase.state
    return replace(purchase, state=state, started=None, sent=False)


def next_action(purchase: Purchase, now: float) -> Action:
    """What the rules want now. After a restart (`started` is None) there is no hurry."""
    match purchase.state:
        case State.OPEN:
            if purchase.started is None or now >= purchase.started + UNKNOWN_S:
                return Action.ASK
            return Action.REPEAT if purchase.sent else Action.SEND
        case State.ASKING:
            if purchase.started is not None and now >= purchase.started + GIVE_UP_S:
                return Action.GIVE_UP
            return Action.ASK
        case State.UNDECIDED:
            return Action.GIVE_UP
        case State.REVERSING:
            return Action.ADVISE
        case _:
            return Action.NOTHING


def deadline(purchase: Purchase) -> float:
    """Until when the present action may go on, in seconds of the clock; infinite when it has all the time."""
    if purchase.started is None:
        return float("inf")
    if purchase.state is State.OPEN:
        return purchase.started + UNKNOWN_S
    if purchase.state is State.ASKING:
        return purchase.started + GIVE_UP_S
    return float("inf")


def acting(purchase: Purchase, action: Action) -> Purchase:
    """The purchase from the moment at which the first byte of `action` may leave."""
    match action:
        case Action.SEND | Action.REPEAT:
            if purchase.state is not State.OPEN:
                raise LocalProtocolError("the original is never sent again")
            return replace(purchase, sent=True)
        case Action.ASK:
            if purchase.state not in (State.OPEN, State.ASKING):
                raise LocalProtocolError("only an unknown outcome is asked about")
            return replace(purchase, state=State.ASKING)
        case _:
            return purchase


def answered(purchase: Purchase, reply: Reply) -> Purchase:
    """The purchase after a reply. One that it does not wait for, such as a late approval, changes nothing."""
    if reply.code == NOT_RECORDED:
        return purchase
    match purchase.state, reply:
        case State.OPEN, RedeemReply() if reply.code == TXID_REUSED:
            # Our own stored request is called another one: nobody may conclude that nothing was spent.
            return replace(purchase, state=State.ASKING)
        case State.OPEN, RedeemReply():
            state = State.APPROVED if reply.code == APPROVED_CODE else State.REFUSED
        case State.ASKING, TransactionStatusReply():
            return _status_answered(purchase, reply)
        case State.REVERSING, ReversalAdviceReply():
            state = State.REVERSED if reply.code == APPROVED_CODE else State.DISPUTED
        case _:
            return purchase
    return replace(purchase, state=state, answer=answer_of(reply, reply.code))


def _status_answered(purchase: Purchase, reply: TransactionStatusReply) -> Purchase:
    """With a fence the status is final; an answer that is neither "found" nor "not found" settles nothing."""
    if reply.code == NOT_FOUND:
        return replace(purchase, state=State.NEVER, answer=answer_of(reply, NOT_FOUND))
    if reply.code != APPROVED_CODE or reply.original_code is None:
        return replace(purchase, state=State.UNDECIDED)
    if reply.reversed:
        state = State.REVERSED
    else:
        state = State.APPROVED if reply.original_code == APPROVED_CODE else State.REFUSED
    return replace(purchase, state=state, answer=answer_of(reply, reply.original_code))


def content_of(request: Redeem) -> tuple[object, ...]:
    """What makes a purchase the same purchase: all that the member and the shop agreed on."""
    return (
        request.credential,
        request.chip,
        request.service,
        request.quantity,
        request.amount,
        request.reference,
    )


def answer_of(reply: Reply, code: int) -> Answer:
    answer = Answer(
        code=code,
        text=reply.text,
        server_at=reply.server_at,
        business_date=reply.business_date,
        recorded=reply.recorded,
    )
    match reply:
        case RedeemReply():
            return replace(
                answer,
                approval=reply.approval,
                points=reply.points,
                balance=reply.balance,
                receipt=reply.receipt,
            )
        case TransactionStatusReply():
            return replace(
                answer, recorded=True, approval=reply.approval, points=reply.points, balance=reply.balance
            )
        case ReversalAdviceReply():
            return replace(answer, points=reply.points, balance=reply.balance)
        case _:
            return answer


def undo(purchase: Purchase, advice: ReversalAdvice) -> Purchase:
    """The purchase with its reversal. One that is being reversed, or was, keeps the advice it has."""
    if advice.original != purchase.txid:
        raise LocalProtocolError("the advice is about another purchase")
    if purchase.state in (State.REVERSING, State.REVERSED, State.DISPUTED):
        return purchase
    return replace(purchase, state=State.REVERSING, advice=advice)


def reversals_first(purchases: Iterable[Purchase]) -> list[Purchase]:
    """What has to be settled before any new debit, in the order in which it goes out.

    Reversals come first, then purchases of an earlier run whose outcome is unknown; each by its txid,
    which begins with the time at which it was made.
    """
    owed = [p for p in purchases if p.state is State.REVERSING or (not p.state.final and p.started is None)]
    return sorted(owed, key=lambda p: (p.state is not State.REVERSING, p.txid))


def backoff_s(failures: int, fraction: float) -> float:
    """Seconds to wait after `failures` (from 0) attempts, full jitter: `fraction` is uniform in [0, 1)."""
    return fraction * min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 16))
