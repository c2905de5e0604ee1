"""The terminal rules of the protocol as a pure state machine: no I/O, no clock, no randomness.

A purchase is one operation (terminal_operations) and everything that may still have to be said about it.
`next_action` says what to do with it now; `acting`, `answered` and `undo` give the purchase after it.
Times are seconds of one monotonic clock, whose zero does not matter. A Redeem or a Hold:

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

Nothing leads from ASKING or REVERSING back to OPEN: the original is never sent again. A Refund goes the
same way and is never reversed: after 60 s nobody waits for it any more, and it stays ASKING until there
is an answer; one that settles nothing makes it DISPUTED. A Capture or a Release tells what has happened:
it stays OPEN, and is repeated, until it is answered.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec.structs import replace

from protocol.errors import LocalProtocolError
from protocol.messages import Reply, ReversalAdvice, ReversalAdviceReply, TransactionStatusReply
from txserver.terminal_operations import (
    ADVICES,
    REPLIES,
    REVERSIBLE,
    Answer,
    Operation,
    Purchase,
    State,
    answer_of,
    content_of,
)

__all__ = [
    "APPROVED_CODE", "GIVE_UP_S", "NOT_FOUND", "NOT_RECORDED", "REPLY_S", "STANDS", "UNKNOWN_S",
    "Action", "Answer", "Purchase", "State",
    "acting", "after_restart", "answer_of", "answered", "backoff_s", "begin", "content_of", "deadline",
    "left", "next_action", "owed_first", "undo",
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

STANDS = ("captured", "refunded", "not_a_purchase")
"""Outcomes of a ReversalAdvice that leave its original as it is."""


class Action(Enum):
    """What to do with a purchase now."""

    SEND = "send"  # the request, for the first time
    REPEAT = "repeat"  # the same request with `repeat` set
    ASK = "ask"  # TransactionStatus with fence
    LEAVE = "leave"  # wait for it no longer: it is asked about in the background
    GIVE_UP = "give up"  # make a ReversalAdvice and `undo`
    ADVISE = "advise"  # the stored ReversalAdvice
    NOTHING = "nothing"


def begin(request: Operation, now: float) -> Purchase:
    """A purchase about to be stored and sent. LocalProtocolError when the PIN was not taken out."""
    if getattr(request, "pin", None) is not None:
        raise LocalProtocolError("a purchase is stored without its PIN")
    return Purchase(request=request, started=now)


def after_restart(purchase: Purchase) -> Purchase:
    """What a stored purchase is when the program starts.

    With an unknown outcome it is asked about; what only tells the server something is told again.
    """
    if purchase.kind in ADVICES and purchase.state is State.OPEN:
        return replace(purchase, started=None, sent=True)
    state = State.ASKING if purchase.state in (State.OPEN, State.UNDECIDED) else purchase.state
    return replace(purchase, state=state, started=None, sent=False)


def next_action(purchase: Purchase, now: float) -> Action:
    """What the rules want now. After a restart (`started` is None) there is no hurry."""
    match purchase.state:
        case State.OPEN:
            unknown = purchase.started is None or now >= purchase.started + UNKNOWN_S
            if unknown and purchase.kind not in ADVICES:
                return Action.ASK
            return Action.REPEAT if purchase.sent else Action.SEND
        case State.ASKING:
            if now < deadline(purchase):
                return Action.ASK
            return Action.GIVE_UP if purchase.kind in REVERSIBLE else Action.LEAVE
        case State.UNDECIDED:
            return Action.GIVE_UP
        case State.REVERSING:
            return Action.ADVISE
        case _:
            return Action.NOTHING


def deadline(purchase: Purchase) -> float:
    """Until when the present action may go on, in seconds of the clock; infinite when it has all the time."""
    if purchase.started is None or purchase.kind in ADVICES:
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
            if purchase.state not in (State.OPEN, State.ASKING) or purchase.kind in ADVICES:
                raise LocalProtocolError("only an unknown outcome is asked about")
            return replace(purchase, state=State.ASKING)
        case Action.LEAVE:
            return left(purchase)
        case _:
            return purchase


def left(purchase: Purchase) -> Purchase:
    """A Refund for which nobody waits any more: from now on only its outcome is asked, without hurry."""
    if purchase.state not in (State.OPEN, State.ASKING):
        return purchase
    return replace(purchase, state=State.ASKING, started=None)


def answered(purchase: Purchase, reply: Reply) -> Purchase:
    """The purchase after a reply. One that it does not wait for, such as a late approval, changes nothing."""
    if reply.code == NOT_RECORDED:
        return purchase
    match purchase.state, reply:
        case State.ASKING, TransactionStatusReply():
            return _status_answered(purchase, reply)
        case State.REVERSING, ReversalAdviceReply():
            return _advice_answered(purchase, reply)
        case State.OPEN, _ if isinstance(reply, REPLIES[purchase.kind]):
            return _request_answered(purchase, reply)
        case _:
            return purchase


def _request_answered(purchase: Purchase, reply: Reply) -> Purchase:
    answer = answer_of(reply, reply.code)
    if reply.code == APPROVED_CODE:
        return replace(purchase, state=State.APPROVED, answer=answer, booked=answer.points)
    if reply.code != TXID_REUSED:
        return replace(purchase, state=State.REFUSED, answer=answer)
    # Our own stored request is called another one: nobody may conclude that nothing was spent.
    if purchase.kind in ADVICES:
        return replace(purchase, state=State.DISPUTED, answer=answer)
    return replace(purchase, state=State.ASKING)


def _status_answered(purchase: Purchase, reply: TransactionStatusReply) -> Purchase:
    """With a fence the status is final; an answer that is neither "found" nor "not found" settles nothing."""
    if reply.code == NOT_FOUND:
        return replace(purchase, state=State.NEVER, answer=answer_of(reply, NOT_FOUND))
    if reply.code != APPROVED_CODE or reply.original_code is None:
        if purchase.kind in REVERSIBLE:
            return replace(purchase, state=State.UNDECIDED)
        return replace(purchase, state=State.DISPUTED, answer=answer_of(reply, reply.code))
    answer = answer_of(reply, reply.original_code)
    if reply.original_code != APPROVED_CODE:
        return replace(purchase, state=State.REFUSED, answer=answer)
    state = State.REVERSED if reply.reversed else State.APPROVED
    return replace(purchase, state=state, answer=answer, booked=answer.points)


def _advice_answered(purchase: Purchase, reply: ReversalAdviceReply) -> Purchase:
    """Accepted does not mean undone: what was captured or refunded before stands, and a person must know."""
    answer = answer_of(reply, reply.code)
    if reply.code != APPROVED_CODE or reply.outcome in STANDS:
        return replace(purchase, state=State.DISPUTED, answer=answer)
    booked = purchase.booked
    if booked is None and reply.points:
        booked = reply.points  # its approval was lost; the reversal tells what it was
    return replace(purchase, state=State.REVERSED, answer=answer, booked=booked, returned=reply.points)


def undo(purchase: Purchase, advice: ReversalAdvice) -> Purchase:
    """The purchase with its reversal. One that is being reversed, or was, keeps the advice it has."""
    if advice.original != purchase.txid:
        raise LocalProtocolError("the advice is about another purchase")
    if purchase.kind not in REVERSIBLE:
        raise LocalProtocolError(f"a {purchase.kind} cannot be taken back")
    if purchase.state in (State.REVERSING, State.REVERSED, State.DISPUTED):
        return purchase
    return replace(purchase, state=State.REVERSING, advice=advice)


def owed_first(purchases: Iterable[Purchase]) -> list[Purchase]:
    """What has to be settled before any new debit, in the order in which it goes out.

    First what the server has to be told: reversals, captures, releases, each by the id of its message,
    which begins with the time at which it was made. Then, by their txids, purchases for which nobody
    waits and whose outcome is unknown: those of an earlier run, and refunds.
    """
    owed = [p for p in purchases if _told(p) or (not p.state.final and p.started is None)]
    return sorted(owed, key=lambda p: (not _told(p), p.advice.id if p.advice is not None else p.txid))


def _told(purchase: Purchase) -> bool:
    return purchase.state is State.REVERSING or (purchase.state is State.OPEN and purchase.kind in ADVICES)


def backoff_s(failures: int, fraction: float) -> float:
    """Seconds to wait after `failures` (from 0) attempts, full jitter: `fraction` is uniform in [0, 1)."""
    return fraction * min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(failures, 16))
