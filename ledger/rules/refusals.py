"""Why a request is refused: pure questions about the state.

Each answers with a code or None; the rules put the answers in their order of precedence.
"""

from hmac import compare_digest

from ledger.postings import (
    MAX_POINTS,
    MAX_QUANTITY,
    PIN_TRIES,
    AccountState,
    CardState,
    Code,
    Inquiry,
    LotState,
    PinChange,
    PriceState,
    Spend,
    State,
    TerminalState,
    TransactionRow,
    Writes,
)
from ledger.rules.points import expired_lots, spendable

__all__ = [
    "account_refusal", "card_refusal", "check_pin", "hold_refusal", "original_refusal", "own_card",
    "points_refusal", "present", "terminal_refusal", "units_bought",
]  # fmt: skip

_CARD_REFUSALS = {
    "lost": Code.CARD_LOST,
    "suspended": Code.CARD_BLOCKED,
    "issued": Code.CARD_BLOCKED,
    "expired": Code.CARD_EXPIRED,
    "closed": Code.ACCOUNT_CLOSED,
}


def own_card(state: State, request: Spend | Inquiry | PinChange) -> CardState | None:
    """The card that the request shows, if it is one of its account."""
    card = state.cards.get((request.slot, request.card))
    return card if card is not None and card.account_id == request.account else None


def present(card: CardState | None, request: Spend | Inquiry | PinChange) -> CardState | None:
    """The card, if its newest issue is shown: who found an old one must not use up the new one's tries."""
    return card if card is not None and card.issue == request.issue else None


def card_refusal(
    card: CardState | None, request: Spend | Inquiry | PinChange, state: State, *, may_be_issued: bool = False
) -> Code | None:
    """`may_be_issued`: a card that is not active yet will do."""
    if card is None or request.issue > card.issue:
        return Code.CARD_UNKNOWN
    if card.status == "lost":
        return Code.CARD_LOST
    if request.issue < card.issue:
        return Code.CARD_REPLACED
    if card.status != "active" and not (may_be_issued and card.status == "issued"):
        return _CARD_REFUSALS.get(card.status, Code.CARD_BLOCKED)
    if card.expires_on is not None and card.expires_on < state.business_date:
        return Code.CARD_EXPIRED
    return None


def account_refusal(account: AccountState) -> Code | None:
    return Code.ACCOUNT_CLOSED if account.status != "open" else None


def check_pin(writes: Writes, card: CardState | None, proof: bytes | None, needed: bool) -> Code | None:
    """Check the PIN and count a failure, whatever else is wrong with the request (server rule 7)."""
    if card is None:
        return None
    if card.pin_tries >= PIN_TRIES:
        return Code.PIN_BLOCKED if needed or proof is not None else None
    if proof is None or card.pin_verifier is None:
        return Code.PIN_REQUIRED if needed else None
    right = compare_digest(proof, card.pin_verifier)
    tries = 0 if right else card.pin_tries + 1
    if tries != card.pin_tries:
        card.pin_tries = tries
        writes.cards[card.slot, card.id] = card
    return None if right else Code.PIN_WRONG


def terminal_refusal(terminal: TerminalState | None, *, selling: bool = True) -> Code | None:
    """`selling`: and its store and merchant are open. What was sold before may be completed or given back."""
    if terminal is None or terminal.status != "active":
        return Code.TERMINAL_NOT_PERMITTED
    return Code.MERCHANT_CLOSED if selling and not terminal.open else None


def units_bought(price: PriceState | None, request: Spend) -> int | None:
    """How many units are bought, or None when the request does not say it in the price's way."""
    if price is None:
        return None
    if price.open:
        amount = request.amount
        if amount is None or request.quantity is not None:
            return None
        low, high = price.min_points or 1, price.max_points or MAX_POINTS
        return amount if low <= amount <= min(high, MAX_POINTS) else None
    quantity = 1 if request.quantity is None else request.quantity
    return quantity if request.amount is None and 0 < quantity <= MAX_QUANTITY else None


def points_refusal(
    state: State, account: AccountState, card: CardState | None, lots: list[LotState], points: int
) -> Code | None:
    """`lots` are the spendable ones."""
    if card is not None and card.limit_points is not None and points > card.limit_points:
        return Code.LIMIT_EXCEEDED
    if (
        card is not None
        and card.day_limit_points is not None
        and card.spent_today + points > card.day_limit_points
    ):
        return Code.DAY_LIMIT_EXCEEDED
    there = spendable(lots)
    if there >= points:
        return None
    expired = spendable(expired_lots(state, account.slot, account.id))
    return Code.POINTS_EXPIRED if there + expired >= points else Code.POINTS_INSUFFICIENT


def hold_refusal(held: TransactionRow | None) -> Code | None:
    """Why what a terminal held as this row cannot be captured or released."""
    if held is None or held.kind != "hold" or held.code != Code.APPROVED:
        return Code.HOLD_UNKNOWN
    if held.ended is not None:
        return Code.HOLD_EXPIRED if held.ended == "lapse" else Code.HOLD_ENDED
    return None


def original_refusal(original: TransactionRow | None, terminal: TerminalState | None) -> Code | None:
    """Why this terminal may refund nothing of `original`."""
    if original is None or original.kind not in ("redeem", "capture") or original.code != Code.APPROVED:
        return Code.ORIGINAL_UNKNOWN
    if terminal is not None and original.merchant_id != terminal.merchant_id:
        return Code.ORIGINAL_ELSEWHERE
    return Code.ORIGINAL_UNDONE if original.reversed else None
