"""The PIN: set on the word of the present one, or of a one-time code."""

from hmac import compare_digest

from ledger.postings import PIN_TRIES, AccountState, CardState, Code, Outcome, PinChange, State, Writes
from ledger.rules.refusals import (
    account_refusal,
    card_refusal,
    check_pin,
    own_card,
    present,
    terminal_refusal,
)
from ledger.rules.rows import add, fresh, row_of

__all__ = ["change_pin"]


def change_pin(state: State, writes: Writes, account: AccountState, request: PinChange) -> Outcome:
    """Recorded like a purchase: a repeat after the change would otherwise bring a PIN that is wrong now."""
    terminal = state.terminals.get(request.terminal)
    card = own_card(state, request)
    by_code = request.code_proof is not None
    shown = present(card, request)
    known = (
        _check_code(state, writes, shown, request)
        if by_code
        else check_pin(writes, shown, request.pin_proof, needed=True)
    )
    code = (
        terminal_refusal(terminal)
        or card_refusal(card, request, state, may_be_issued=by_code)
        or account_refusal(account)
        or known
        or (None if request.fit else Code.PIN_UNFIT)
        or Code.APPROVED
    )
    row = row_of(state, account, request, code, terminal=terminal, card=card)
    row.detail = "by_code" if by_code else "by_pin"
    if code is Code.APPROVED:
        assert card is not None
        if by_code:
            card.status = "active"
        # A code that nobody used is worth nothing either: the letter may be found later.
        card.pin_code, card.pin_code_until, card.pin_code_tries = None, None, 0
        card.pin_verifier, card.pin_tries = request.verifier, 0
        writes.cards[card.slot, card.id] = card
    add(state, writes, row)
    return fresh(row)


def _check_code(state: State, writes: Writes, card: CardState | None, request: PinChange) -> Code | None:
    """A wrong code is counted, whatever else is wrong; after three the code is worth nothing."""
    if card is None:
        return None
    if (
        card.pin_code is None
        or card.pin_code_until is None
        or card.pin_code_until <= state.now
        or card.pin_code_tries >= PIN_TRIES
    ):
        return Code.RESET_CODE_WRONG
    assert request.code_proof is not None
    if compare_digest(request.code_proof, card.pin_code):
        return None
    card.pin_code_tries += 1
    writes.cards[card.slot, card.id] = card
    return Code.RESET_CODE_WRONG
