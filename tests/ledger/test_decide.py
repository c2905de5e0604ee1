"""The rules of posting: amounts, PINs, repeats, reversals, the meaning of a request. No database.

What belongs to one room of the rules is in test_rules_<room>; the order of refusals in test_rules_precedence.
"""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.decide import decide
from ledger.postings import (
    MAX_POINTS,
    Code,
    Grant,
    Inquiry,
    meaning_of,
)
from tests.ledger.states import (
    NOW,
    POS,
    TODAY,
    WRONG,
    create_redeem,
    create_reversal,
    create_state,
    create_status,
    one,
    txid,
)


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 10_000},
        {"quantity": 2**64 - 1},
        {"amount": 50},
        {"service": "cinema"},
        {"service": "cinema", "amount": 9},
        {"service": "cinema", "amount": 501},
        {"service": "cinema", "amount": -10},
        {"service": "cinema", "amount": 2**64 - 1},
        {"service": "cinema", "amount": 50, "quantity": 1},
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    outcome = one(create_state((MAX_POINTS, None)), create_redeem(**fields))
    assert outcome.code is Code.AMOUNT_INVALID


# ---- PIN ----------------------------------------------------------------------------------------


def test_three_wrong_pins_block_the_pin_and_a_repeat_burns_no_try() -> None:
    state = create_state((1_000, None))
    for number in (1, 2, 3):
        for _ in range(2):
            assert one(state, create_redeem(number, pin_proof=WRONG)).code is Code.PIN_WRONG
        assert state.cards[1, 1].pin_tries == number
    assert one(state, create_redeem(4)).code is Code.PIN_BLOCKED


def test_a_wrong_pin_counts_even_when_something_else_is_refused() -> None:
    state = create_state((1_000, None), status="suspended")
    assert one(state, create_redeem(pin_proof=WRONG)).code is Code.CARD_BLOCKED
    assert state.cards[1, 1].pin_tries == 1


def test_the_right_pin_forgets_the_wrong_ones() -> None:
    state = create_state((1_000, None), pin_tries=2)
    assert one(state, create_redeem()).code is Code.APPROVED
    assert state.cards[1, 1].pin_tries == 0


def test_an_inquiry_needs_no_pin_but_counts_a_wrong_one() -> None:
    state = create_state((1_000, TODAY), (500, None))
    ask = Inquiry(slot=1, account=1, terminal=POS, txid=txid(1), card=1, issue=2)
    outcome = one(state, ask)
    assert (outcome.balance, outcome.held, outcome.expiring) == (1_500, 0, ((1_000, TODAY),))
    assert one(state, replace(ask, pin_proof=WRONG)).code is Code.PIN_WRONG
    assert one(state, replace(ask, pin_needed=True)).code is Code.PIN_REQUIRED
    assert state.cards[1, 1].pin_tries == 1


# ---- repeats, reversals, status -----------------------------------------------------------------


def test_the_same_txid_with_another_meaning_is_an_error_and_is_noted() -> None:
    state = create_state((1_000, None))
    assert one(state, create_redeem(1)).code is Code.APPROVED
    (outcome,), writes = decide(state, [create_redeem(1, quantity=2)])
    assert (outcome.code, outcome.recorded) == (Code.TXID_REUSED, False)
    assert [misuse.txid for misuse in writes.misuses] == [txid(1)]
    assert writes.transactions == []
    assert state.accounts[1, 1].posted == 880


def test_a_reversal_gives_back_once_whatever_comes_again() -> None:
    state = create_state((100, TODAY), (900, None))
    assert one(state, create_redeem(1)).balance == 880
    first = one(state, create_reversal(2, 1))
    assert (first.detail, first.points, first.balance) == ("reversed", 120, 1_000)
    assert [lot.remaining for lot in state.lots[1, 1]] == [100, 900]
    assert one(state, create_reversal(3, 1)).detail == "already_reversed"
    assert one(state, create_reversal(2, 1)).recorded
    assert one(state, create_redeem(1)).recorded
    assert state.accounts[1, 1].posted == 1_000


def test_a_reversal_before_its_original_declines_the_original_for_ever() -> None:
    state = create_state((1_000, None))
    assert one(state, create_reversal(2, 1)).detail == "never_seen"
    late = one(state, create_redeem(1))
    assert (late.code, late.points) == (Code.UNDONE_BEFORE, 0)
    assert one(state, create_redeem(1, quantity=3)).code is Code.UNDONE_BEFORE
    assert one(state, create_reversal(3, 1)).detail == "never_seen"
    assert state.accounts[1, 1].posted == 1_000


def test_status_tells_what_happened_and_a_fence_lets_nothing_happen_later() -> None:
    state = create_state((1_000, None))
    assert one(state, create_status(9, 1, fence=False)).code is Code.NOT_FOUND
    assert one(state, create_redeem(1)).code is Code.APPROVED
    known = one(state, create_status(9, 1, fence=True))
    assert known.transaction is not None
    assert (known.code, known.points, known.transaction.reversed) == (Code.APPROVED, 120, False)
    assert one(state, create_status(9, 2, fence=True)).code is Code.NOT_FOUND
    assert one(state, create_redeem(2)).code is Code.UNDONE_BEFORE


def test_reversing_a_refusal_moves_nothing() -> None:
    state = create_state((10, None))
    assert one(state, create_redeem(1)).code is Code.POINTS_INSUFFICIENT
    assert one(state, create_reversal(2, 1)).detail == "refused_before"
    assert state.accounts[1, 1].posted == 10


def test_reversing_what_is_no_purchase_moves_nothing() -> None:
    state = create_state((1_000, None))
    one(state, create_redeem(1))
    one(state, create_reversal(2, 1))
    outcome = one(state, create_reversal(3, 2))
    assert (outcome.code, outcome.detail, outcome.points) == (Code.APPROVED, "not_a_purchase", 0)
    assert state.accounts[1, 1].posted == 1_000
    grant = Grant(slot=1, account=1, terminal=POS, txid=txid(4), funder=20, points=5)
    assert one(state, grant).code is Code.APPROVED
    assert one(state, create_reversal(5, 4)).detail == "not_a_purchase"
    assert state.accounts[1, 1].posted == 1_005


def test_an_account_that_is_not_here_is_an_unknown_card() -> None:
    assert one(create_state(), replace(create_redeem(), account=2)).code is Code.CARD_UNKNOWN


def test_lots_are_used_by_priority_then_expiry_then_age() -> None:
    soon, later = TODAY + timedelta(days=1), TODAY + timedelta(days=9)
    state = create_state((100, None), (100, later), (100, soon), (100, TODAY - timedelta(days=1)), (50, None))
    state.lots[1, 1][4].priority = -1
    one(state, create_redeem(1, service="cinema", amount=290))
    assert [lot.remaining for lot in state.lots[1, 1]] == [60, 0, 0, 100, 0]


# ---- the meaning of a request -------------------------------------------------------------------


def test_meaning_leaves_out_pin_clock_and_trace_and_nothing_else() -> None:
    redeem = create_redeem()
    same = replace(redeem, pin_proof=None, terminal_at=NOW, stan=5, batch=6)
    assert meaning_of(redeem) == meaning_of(same)
    changes: list[dict[str, Any]] = [
        {"slot": 2}, {"account": 2}, {"terminal": 6}, {"card": 2}, {"issue": 3}, {"service": "x"},
        {"quantity": 1}, {"amount": 1}, {"reference": "r"}, {"txid": txid(2)},
    ]  # fmt: skip
    meanings = {meaning_of(replace(redeem, **change)) for change in changes}
    assert len(meanings | {meaning_of(redeem)}) == len(changes) + 1


def test_meanings_never_change_for_requests_that_were_recorded() -> None:
    """Pinned: a repeat of years ago is compared with these bytes."""
    assert meaning_of(create_redeem()).hex() == "62fc3ae4bf240081ce0e61f1c4092618"
    assert (
        meaning_of(create_redeem(quantity=2, reference="order 7")).hex() == "c9597f592093ac3287b7ed78f5df5633"
    )
    assert meaning_of(create_redeem(service="cinema", amount=50)).hex() == "f7c1cedca58ef98a52b1609476cf9d67"
    assert meaning_of(create_reversal(2, 1)).hex() == "82ec549d0927244f5a71bc8ea030cfd0"
    grant = Grant(slot=1, account=1, terminal=0, txid=txid(1), funder=20, points=5, expires_on=TODAY)
    assert meaning_of(grant).hex() == "f10cfec0ebfe532e18411074da8cab98"


def test_a_value_cannot_pretend_to_be_another_field() -> None:
    one_field = create_redeem(service="a10:quantity=2")
    assert meaning_of(one_field) != meaning_of(create_redeem(service="a", quantity=2))


# ---- at the edges -------------------------------------------------------------------------------


def test_exactly_at_the_limit_and_on_the_last_day_is_allowed() -> None:
    state = create_state((1_000, TODAY), limit_points=120, expires_on=TODAY)
    assert one(state, create_redeem(1)).code is Code.APPROVED


def test_more_points_than_one_posting_may_move_is_an_invalid_amount() -> None:
    state = create_state((MAX_POINTS * 2, None))
    state.prices[POS, "wash"] = replace(state.prices[POS, "wash"], points=10**9)
    assert one(state, create_redeem(1, quantity=1_001)).code is Code.AMOUNT_INVALID
    assert one(state, create_redeem(2, quantity=1_000)).code is Code.APPROVED


def test_held_points_are_neither_taken_nor_counted() -> None:
    state = create_state((100, None), (200, None))
    state.lots[1, 1][1].held = 150
    state.accounts[1, 1].held = 150
    assert one(state, create_redeem(1, quantity=2)).code is Code.POINTS_INSUFFICIENT
    assert one(state, create_redeem(2)).balance == 30
    assert [lot.remaining for lot in state.lots[1, 1]] == [0, 180]


def test_a_closed_account_gets_no_points() -> None:
    grant = Grant(slot=1, account=1, terminal=0, txid=txid(1), funder=20, points=5)
    assert one(create_state(account="closed"), grant).code is Code.ACCOUNT_CLOSED


def test_a_tombstone_is_not_found_however_often_it_is_asked_for() -> None:
    state = create_state((1_000, None))
    for number in (8, 9):
        assert one(state, create_status(number, 1, fence=True)).code is Code.NOT_FOUND


def test_an_advice_or_a_grant_that_comes_again_for_something_else_is_an_error() -> None:
    state = create_state((1_000, None))
    one(state, create_redeem(1))
    one(state, create_redeem(2))
    assert one(state, create_reversal(3, 1)).detail == "reversed"
    assert one(state, create_reversal(3, 2)).code is Code.TXID_REUSED
    grant = Grant(slot=1, account=1, terminal=0, txid=txid(4), funder=20, points=5)
    assert one(state, grant).code is Code.APPROVED
    assert one(state, replace(grant, points=6)).code is Code.TXID_REUSED
    assert one(state, replace(grant, funder=21)).code is Code.TXID_REUSED


def test_a_reversal_takes_from_the_merchant_of_the_original() -> None:
    state = create_state((1_000, None))
    one(state, create_redeem(1))
    state.terminals[POS] = replace(state.terminals[POS], merchant_id=99, store_id=98)
    row = one(state, create_reversal(2, 1)).transaction
    assert row is not None
    assert (row.merchant_id, row.store_id) == (30, 31)
    (entry,) = state.entries[1, 1, row.id]
    assert (entry.from_side, entry.merchant_id) == ("merchant", 30)


def test_a_reversal_of_itself_is_recorded_once_and_moves_nothing() -> None:
    state = create_state((1_000, None))
    (outcome,), writes = decide(state, [create_reversal(1, 1)])
    assert (outcome.code, outcome.detail) == (Code.APPROVED, "never_seen")
    assert [row.kind for row in writes.transactions] == ["reversal"]
    assert one(state, create_reversal(1, 1)).recorded
