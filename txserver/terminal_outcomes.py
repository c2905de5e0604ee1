"""How an operation came out, for whoever stands at the counter."""

from dataclasses import dataclass
from enum import Enum

from txserver.terminal_link import Trouble
from txserver.terminal_operations import ADVICES, Answer, Purchase, State

__all__ = ["Outcome", "Result", "UnknownPurchase", "Unreachable", "outcome_of"]


class UnknownPurchase(Exception):
    """This terminal's store has no purchase with that txid."""


class Unreachable(Exception):
    """A request that is not a purchase got no reply, or a refusal. `trouble`: why, if known."""

    def __init__(self, trouble: Trouble | None) -> None:
        super().__init__("the server does not answer" if trouble is None else trouble.detail)
        self.trouble = trouble


class Outcome(Enum):
    """How an operation, or an attempt to take one back, came out."""

    APPROVED = "approved"
    REFUSED = "refused"
    NEVER = "never"  # it did not happen and cannot happen any more: nothing was moved
    REVERSED = "reversed"
    REVERSAL_STORED = (
        "reversal_stored"  # no outcome was to be had: it is taken back as soon as the server is there
    )
    STORED = "stored"  # a capture or a release: kept, and sent as soon as the server is there
    UNKNOWN = "unknown"  # a refund: the server is asked, as soon as it is there, whether it was booked
    DISPUTED = "disputed"  # the server did not do what was asked (`answer` tells): a person must look
    OFFLINE = "offline"  # no line, or something earlier is not through yet: nothing was stored or sent
    UNANSWERED = "unanswered"  # a repeat of a finished purchase got no reply: nothing changed


_OUTCOMES = {
    State.APPROVED: Outcome.APPROVED,
    State.REFUSED: Outcome.REFUSED,
    State.NEVER: Outcome.NEVER,
    State.REVERSED: Outcome.REVERSED,
    State.REVERSING: Outcome.REVERSAL_STORED,
    State.DISPUTED: Outcome.DISPUTED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """`answer` is what the server said last; None when it said nothing. `service`: code of the service.

    `kind`: redeem, hold, capture, release or refund.
    """

    outcome: Outcome
    txid: bytes | None
    service: str | None = None
    answer: Answer | None = None
    kind: str = "redeem"


def outcome_of(purchase: Purchase) -> Outcome:
    """What the state of a purchase means for whoever waits for it."""
    if purchase.state is State.OPEN and purchase.kind in ADVICES:
        return Outcome.STORED
    if purchase.state in (State.OPEN, State.ASKING) and purchase.kind == "refund":
        return Outcome.UNKNOWN
    return _OUTCOMES.get(purchase.state, Outcome.UNANSWERED)
