"""Setting the PIN: on the word of the present one, or of a one-time code. No database."""

from datetime import timedelta
from typing import Any

import pytest

from ledger.postings import Code
from tests.ledger.paper import Paper, create_paper
from tests.ledger.states import (
    NEW_PIN,
    NOW,
    POS,
    RESET_CODE,
    RIGHT,
    WRONG,
    create_pin_change,
    create_redeem,
    create_status,
)

UNTIL = NOW + timedelta(minutes=10)


def by_pin(number: int = 1, **fields: Any) -> Any:
    return create_pin_change(number, **fields)


def by_code(number: int = 1, **fields: Any) -> Any:
    return create_pin_change(number, **({"code_proof": RESET_CODE} | fields))


def with_code(**card: Any) -> Paper:
    """A card for which a one-time code was given out."""
    given: dict[str, Any] = {"pin_code": RESET_CODE, "pin_code_until": UNTIL} | card
    return create_paper((1_000, None), **given)


# ---- by the present PIN -------------------------------------------------------------------------


def test_the_new_pin_counts_from_the_next_message_on_and_the_old_one_is_wrong() -> None:
    paper = create_paper((1_000, None), pin_tries=2)
    row = paper.done(by_pin())
    assert (row.kind, row.points, row.detail, row.card_id, row.balance) == (
        "pin_change",
        0,
        "by_pin",
        1,
        None,
    )
    assert (paper.card.pin_verifier, paper.card.pin_tries) == (NEW_PIN, 0)
    old, new = paper.post(create_redeem(2, pin_proof=RIGHT), create_redeem(3, pin_proof=NEW_PIN))
    assert (old.code, new.code) == (Code.PIN_WRONG, Code.APPROVED)


def test_a_repeat_of_a_pin_change_brings_the_old_pin_and_is_answered_from_the_record() -> None:
    paper = create_paper((1_000, None))
    paper.done(by_pin())
    again = paper.ask(by_pin())
    assert (again.code, again.recorded, paper.card.pin_tries) == (Code.APPROVED, True, 0)


def test_three_wrong_pins_in_a_change_block_the_pin() -> None:
    paper = create_paper((1_000, None))
    codes = [paper.ask(by_pin(number, pin_proof=WRONG)).code for number in (1, 2, 3, 4)]
    assert codes == [Code.PIN_WRONG] * 3 + [Code.PIN_BLOCKED]
    assert paper.card.pin_verifier == RIGHT
    assert paper.ask(by_pin(5)).code is Code.PIN_BLOCKED


def test_an_unfit_pin_is_not_set_though_the_present_one_was_right() -> None:
    paper = create_paper((1_000, None), pin_tries=2)
    assert paper.ask(by_pin(fit=False)).code is Code.PIN_UNFIT
    assert (paper.card.pin_verifier, paper.card.pin_tries) == (RIGHT, 0)


def test_a_wrong_pin_with_an_unfit_new_one_is_counted() -> None:
    paper = create_paper((1_000, None))
    assert paper.ask(by_pin(fit=False, pin_proof=WRONG)).code is Code.PIN_WRONG
    assert paper.card.pin_tries == 1


def test_a_card_without_a_pin_gets_its_first_one_by_code_only() -> None:
    paper = with_code(pin_verifier=None)
    assert paper.ask(by_pin(1)).code is Code.PIN_REQUIRED
    assert paper.ask(by_code(2)).code is Code.APPROVED
    assert paper.card.pin_verifier == NEW_PIN


# ---- by a one-time code -------------------------------------------------------------------------


def test_a_right_code_sets_the_pin_and_is_used_up() -> None:
    paper = with_code(pin_code_tries=2)
    assert paper.done(by_code()).detail == "by_code"
    assert paper.card.pin_verifier == NEW_PIN
    assert (paper.card.pin_code, paper.card.pin_code_until, paper.card.pin_code_tries) == (None, None, 0)
    assert paper.ask(by_code(2)).code is Code.RESET_CODE_WRONG
    assert paper.ask(by_code(1)).recorded


def test_a_right_code_unblocks_the_pin() -> None:
    paper = with_code(pin_tries=3)
    assert paper.ask(create_redeem(1, pin_proof=NEW_PIN)).code is Code.PIN_BLOCKED
    paper.done(by_code(2))
    assert paper.card.pin_tries == 0
    assert paper.ask(create_redeem(3, pin_proof=NEW_PIN)).code is Code.APPROVED


def test_a_right_code_activates_a_card_that_was_issued() -> None:
    paper = with_code(status="issued", pin_verifier=None)
    assert paper.ask(create_redeem(1, pin_proof=None)).code is Code.CARD_BLOCKED
    assert paper.ask(by_pin(2)).code is Code.CARD_BLOCKED
    paper.done(by_code(3))
    assert paper.card.status == "active"
    assert paper.ask(create_redeem(4, pin_proof=NEW_PIN)).code is Code.APPROVED


@pytest.mark.parametrize("status", ["lost", "suspended", "expired", "closed"])
def test_a_right_code_helps_no_card_out_of_a_block(status: str) -> None:
    paper = with_code(status=status)
    assert paper.ask(by_code()).code not in (Code.APPROVED, Code.RESET_CODE_WRONG)
    assert (paper.card.status, paper.card.pin_verifier, paper.card.pin_code) == (status, RIGHT, RESET_CODE)


def test_three_wrong_codes_spoil_the_code_but_not_the_pin() -> None:
    paper = with_code()
    for number in (1, 2, 3):
        for _ in range(2):  # a repeat burns no try
            assert paper.ask(by_code(number, code_proof=WRONG)).code is Code.RESET_CODE_WRONG
        assert paper.card.pin_code_tries == number
    assert paper.ask(by_code(4)).code is Code.RESET_CODE_WRONG
    assert (paper.card.pin_tries, paper.card.pin_verifier, paper.card.pin_code_tries) == (0, RIGHT, 3)


def test_a_wrong_code_is_counted_whatever_else_is_refused() -> None:
    paper = with_code(status="suspended")
    assert paper.ask(by_code(code_proof=WRONG, fit=False)).code is Code.CARD_BLOCKED
    assert paper.card.pin_code_tries == 1


def test_a_code_is_good_until_its_time_and_not_at_it() -> None:
    paper = with_code()
    paper.wait(599)
    assert paper.done(by_code(1)).code == Code.APPROVED
    paper = with_code()
    paper.wait(600)
    assert paper.ask(by_code(1)).code is Code.RESET_CODE_WRONG
    assert paper.card.pin_code_tries == 0


def test_an_unfit_pin_does_not_use_up_the_code() -> None:
    paper = with_code(status="issued")
    assert paper.ask(by_code(1, fit=False)).code is Code.PIN_UNFIT
    assert (paper.card.status, paper.card.pin_code_tries) == ("issued", 0)
    assert paper.ask(by_code(2)).code is Code.APPROVED


def test_without_a_code_given_out_none_is_right() -> None:
    assert create_paper().ask(by_code()).code is Code.RESET_CODE_WRONG


def test_a_code_is_the_one_word_that_counts_when_a_pin_comes_with_it() -> None:
    paper = with_code()
    paper.done(by_code(1, pin_proof=WRONG))
    assert paper.card.pin_tries == 0
    paper = with_code()
    assert paper.ask(by_code(1, code_proof=WRONG, pin_proof=RIGHT)).code is Code.RESET_CODE_WRONG


# ---- of both ------------------------------------------------------------------------------------


def test_status_tells_what_became_of_a_pin_change_and_a_fence_stops_it() -> None:
    paper = create_paper()
    paper.done(by_pin(1))
    row = paper.ask(create_status(2, 1, fence=True)).transaction
    assert row is not None
    assert (row.kind, row.code) == ("pin_change", Code.APPROVED)
    paper.ask(create_status(3, 4, fence=True))
    assert paper.ask(by_pin(4, pin_proof=NEW_PIN, verifier=WRONG)).code is Code.UNDONE_BEFORE
    assert paper.card.pin_verifier == NEW_PIN


def test_a_pin_change_is_written_like_a_purchase_with_its_terminal_and_batch() -> None:
    row = create_paper().done(by_pin(1, stan=4, batch=5, terminal_at=NOW))
    assert (row.terminal_id, row.merchant_id, row.store_id, row.card_tail) == (POS, 30, 31, "0018")
    assert (row.stan, row.batch, row.terminal_at) == (4, 5, NOW)


def test_a_card_that_was_replaced_cannot_burn_the_tries_of_the_new_one() -> None:
    paper = create_paper((1_000, None))
    for number in (1, 2, 3):
        assert paper.ask(create_redeem(number, issue=1, pin_proof=WRONG)).code is Code.CARD_REPLACED
    assert paper.ask(create_redeem(4)).code is Code.APPROVED


def test_a_new_pin_makes_a_code_that_nobody_used_worthless() -> None:
    """The letter may be found later."""
    paper = with_code()
    paper.done(by_pin())
    assert (paper.card.pin_code, paper.card.pin_code_until) == (None, None)
    assert paper.ask(by_code(2)).code is Code.RESET_CODE_WRONG
