"""The questions behind refusals, each by itself. Their order is in test_rules_precedence."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.postings import MAX_POINTS, MAX_QUANTITY, Code, PriceState, Writes
from ledger.rules.refusals import (
    card_refusal,
    check_pin,
    hold_refusal,
    original_refusal,
    own_card,
    terminal_refusal,
    units_bought,
)
from tests.ledger.paper import create_paper
from tests.ledger.states import (
    COUNTER,
    ELSEWHERE,
    POS,
    RIGHT,
    TODAY,
    WRONG,
    create_hold,
    create_redeem,
    create_state,
)

FIXED = create_state().prices[POS, "wash"]
OPEN = create_state().prices[POS, "cinema"]


@pytest.mark.parametrize(
    ("price", "asked", "units"),
    [
        (None, {}, None),
        (FIXED, {}, 1),
        (FIXED, {"quantity": 1}, 1),
        (FIXED, {"quantity": MAX_QUANTITY}, MAX_QUANTITY),
        (FIXED, {"quantity": MAX_QUANTITY + 1}, None),
        (FIXED, {"quantity": 0}, None),
        (FIXED, {"quantity": -1}, None),
        (FIXED, {"amount": 120}, None),
        (FIXED, {"amount": 120, "quantity": 1}, None),
        (OPEN, {}, None),
        (OPEN, {"amount": 9}, None),
        (OPEN, {"amount": 10}, 10),
        (OPEN, {"amount": 500}, 500),
        (OPEN, {"amount": 501}, None),
        (OPEN, {"amount": 50, "quantity": 1}, None),
        (OPEN, {"quantity": 50}, None),
        (replace(OPEN, min_points=None, max_points=None), {"amount": 0}, None),
        (replace(OPEN, min_points=None, max_points=None), {"amount": 1}, 1),
        (replace(OPEN, min_points=None, max_points=None), {"amount": MAX_POINTS}, MAX_POINTS),
        (replace(OPEN, min_points=None, max_points=None), {"amount": MAX_POINTS + 1}, None),
    ],
)
def test_units_are_bought_in_the_way_of_the_price(
    price: PriceState | None, asked: dict[str, Any], units: int | None
) -> None:
    assert units_bought(price, create_redeem(**asked)) == units
    assert units_bought(price, create_hold(**asked)) == units


@pytest.mark.parametrize(
    ("proof", "tries", "needed", "code", "after"),
    [
        (RIGHT, 0, True, None, 0),
        (RIGHT, 2, True, None, 0),
        (RIGHT, 3, True, Code.PIN_BLOCKED, 3),
        (RIGHT, 3, False, Code.PIN_BLOCKED, 3),
        (WRONG, 0, True, Code.PIN_WRONG, 1),
        (WRONG, 2, False, Code.PIN_WRONG, 3),
        (WRONG, 3, True, Code.PIN_BLOCKED, 3),
        (None, 0, True, Code.PIN_REQUIRED, 0),
        (None, 0, False, None, 0),
        (None, 3, True, Code.PIN_BLOCKED, 3),
        (None, 3, False, None, 3),
        (b"", 0, True, Code.PIN_WRONG, 1),
    ],
)
def test_a_pin_is_checked_and_only_a_change_of_its_tries_is_written(
    proof: bytes | None, tries: int, needed: bool, code: Code | None, after: int
) -> None:
    card, writes = replace(create_state().cards[1, 1], pin_tries=tries), Writes()
    assert check_pin(writes, card, proof, needed) is code
    assert card.pin_tries == after
    assert (writes.cards != {}) == (after != tries)


def test_no_card_has_no_pin_to_count() -> None:
    writes = Writes()
    assert check_pin(writes, None, WRONG, needed=True) is None
    assert writes.cards == {}


def test_a_card_is_its_accounts_own_or_nobodys() -> None:
    state = create_state()
    assert own_card(state, create_redeem()) is state.cards[1, 1]
    assert own_card(state, create_redeem(card=2)) is None
    assert own_card(state, replace(create_redeem(), account=2)) is None


def test_a_card_is_good_through_its_last_day() -> None:
    state = create_state(expires_on=TODAY)
    card = state.cards[1, 1]
    assert card_refusal(card, create_redeem(), state) is None
    state.business_date = TODAY + timedelta(days=1)
    assert card_refusal(card, create_redeem(), state) is Code.CARD_EXPIRED


def test_only_a_card_that_was_issued_may_be_so_and_nothing_else_is_forgiven_it() -> None:
    state = create_state(status="issued")
    card = state.cards[1, 1]
    assert card_refusal(card, create_redeem(), state) is Code.CARD_BLOCKED
    assert card_refusal(card, create_redeem(), state, may_be_issued=True) is None
    assert card_refusal(card, create_redeem(issue=1), state, may_be_issued=True) is Code.CARD_REPLACED
    late = replace(card, expires_on=TODAY - timedelta(days=1))
    assert card_refusal(late, create_redeem(), state, may_be_issued=True) is Code.CARD_EXPIRED
    blocked = replace(card, status="suspended")
    assert card_refusal(blocked, create_redeem(), state, may_be_issued=True) is Code.CARD_BLOCKED


def test_a_closed_shop_sells_nothing_but_completes_and_gives_back() -> None:
    open_shop = create_state().terminals[POS]
    closed, revoked = replace(open_shop, open=False), replace(open_shop, status="revoked")
    assert [terminal_refusal(t) for t in (open_shop, closed)] == [None, Code.MERCHANT_CLOSED]
    assert terminal_refusal(closed, selling=False) is None
    for terminal in (None, revoked, replace(revoked, open=False)):
        assert terminal_refusal(terminal, selling=False) is Code.TERMINAL_NOT_PERMITTED
        assert terminal_refusal(terminal) is Code.TERMINAL_NOT_PERMITTED


def test_a_hold_is_refused_by_how_it_ended() -> None:
    hold = create_paper((1_000, None)).done(create_hold(1))
    assert hold_refusal(hold) is None
    ends = {"capture": Code.HOLD_ENDED, "release": Code.HOLD_ENDED, "reversal": Code.HOLD_ENDED}
    for kind, code in (ends | {"lapse": Code.HOLD_EXPIRED}).items():
        assert hold_refusal(replace(hold, ended=kind)) is code
    for unknown in (None, replace(hold, kind="redeem"), replace(hold, code=Code.PIN_WRONG)):
        assert hold_refusal(unknown) is Code.HOLD_UNKNOWN


def test_an_original_is_refused_first_as_unknown_then_as_anothers_then_as_undone() -> None:
    terminals = create_state().terminals
    sale = create_paper((1_000, None)).done(create_redeem(1))
    assert original_refusal(sale, terminals[POS]) is None
    assert original_refusal(sale, terminals[COUNTER]) is None
    assert original_refusal(replace(sale, kind="capture"), terminals[POS]) is None
    undone = replace(sale, reversed=True)
    assert original_refusal(undone, terminals[POS]) is Code.ORIGINAL_UNDONE
    assert original_refusal(undone, terminals[ELSEWHERE]) is Code.ORIGINAL_ELSEWHERE
    for unknown in (None, replace(undone, kind="hold"), replace(undone, code=Code.PIN_WRONG)):
        assert original_refusal(unknown, terminals[ELSEWHERE]) is Code.ORIGINAL_UNKNOWN
