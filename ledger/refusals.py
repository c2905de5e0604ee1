"""Why a request is refused, and which points can be spent: pure questions about the state.

Each answers with a code or None; ledger.decide puts the answers in their order of precedence.
Only the standard library and ledger.postings.
"""

from collections.abc import Iterable
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
    PriceState,
    Redeem,
    State,
    TerminalState,
    Writes,
)

__all__ = [
    "balance",
    "card_refusal",
    "check_pin",
    "points_refusal",
    "spendable",
    "spendable_lots",
    "terminal_refusal",
    "units_bought",
]

_CARD_REFUSALS = {
    "lost": Code.CARD_LOST,
    "suspended": Code.CARD_BLOCKED,
    "issued": Code.CARD_BLOCKED,
    "expired": Code.CARD_EXPIRED,
    "closed": Code.ACCOUNT_CLOSED,
}


def card_refusal(card: CardState | None, request: Redeem | Inquiry, today_is: State) -> Code | None:
    if card is None or card.account_id != request.account or request.issue > card.issue:
        return Code.CARD_UNKNOWN
    if card.status == "lost":
        return Code.CARD_LOST
    if request.issue < card.issue:
        return Code.CARD_REPLACED
    refusal = _CARD_REFUSALS.get(card.status)
    if refusal is not None:
        return refusal
    if card.expires_on is not None and card.expires_on < today_is.business_date:
        return Code.CARD_EXPIRED
    return None


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


def spendable_lots(state: State, slot: int, account: int) -> list[LotState]:
    """Lots with points that are neither held nor expired, in the order in which they are used."""
    usable = [
        lot
        for lot in state.lots.get((slot, account), ())
        if lot.remaining > lot.held and (lot.expires_on is None or lot.expires_on >= state.business_date)
    ]
    usable.sort(
        key=lambda lot: (lot.priority, lot.expires_on is None, lot.expires_on or state.business_date, lot.id)
    )
    return usable


def spendable(lots: Iterable[LotState]) -> int:
    return sum(lot.remaining - lot.held for lot in lots)


def balance(state: State, account: AccountState) -> int:
    return spendable(spendable_lots(state, account.slot, account.id))


def terminal_refusal(terminal: TerminalState | None) -> Code | None:
    if terminal is None or terminal.status != "active":
        return Code.TERMINAL_NOT_PERMITTED
    return None if terminal.open else Code.MERCHANT_CLOSED


def units_bought(price: PriceState | None, request: Redeem) -> int | None:
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
    if card is not None and card.limit_points is not None and points > card.limit_points:
        return Code.LIMIT_EXCEEDED
    if spendable(lots) >= points:
        return None
    expired = sum(
        lot.remaining - lot.held
        for lot in state.lots.get((account.slot, account.id), ())
        if lot.expires_on is not None and lot.expires_on < state.business_date
    )
    return Code.POINTS_EXPIRED if spendable(lots) + expired >= points else Code.POINTS_INSUFFICIENT
