"""Holds: what is reserved, what is taken of it, what comes back. No database."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from ledger.decide import decide
from ledger.postings import Code, Request
from tests.ledger.paper import Paper, create_paper
from tests.ledger.states import (
    COUNTER,
    HOUR,
    NOW,
    POS,
    TODAY,
    create_adjust,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
)

SOON, LATER = TODAY + timedelta(days=1), TODAY + timedelta(days=9)


def held(*lots: tuple[int, Any], points: int = 240, **fields: Any) -> Paper:
    """Transaction 1 holds `points` in open amounts of the cinema, for an hour."""
    paper = create_paper(*(lots or ((1_000, None),)))
    paper.done(create_hold(1, service="cinema", amount=points, **fields))
    return paper


# ---- a hold reserves ----------------------------------------------------------------------------


def test_a_hold_reserves_lot_by_lot_in_the_order_of_use_and_moves_no_entry() -> None:
    paper = create_paper((100, None), (100, LATER), (100, SOON))
    outcome = paper.ask(create_hold(1, service="cinema", amount=250))
    assert (outcome.points, outcome.balance) == (250, 50)
    assert outcome.expires_at == NOW + timedelta(seconds=HOUR)
    assert (paper.held(), paper.remaining()) == ([50, 100, 100], [100, 100, 100])
    assert paper.entries == []
    (hold,) = paper.holds
    assert (hold.points, hold.expires_at) == (250, NOW + timedelta(seconds=HOUR))
    assert paper.reserved(hold) == {1: 50, 2: 100, 3: 100}


def test_a_repeat_of_a_hold_tells_its_recorded_end_and_holds_nothing_more() -> None:
    paper = held()
    paper.wait(60)
    again = paper.ask(create_hold(1, service="cinema", amount=240))
    assert (again.recorded, again.points, again.balance) == (True, 240, 760)
    assert again.expires_at == NOW + timedelta(seconds=HOUR)
    assert paper.account.held == 240


def test_held_points_cannot_be_spent_or_held_again() -> None:
    paper = held((300, None))
    assert paper.ask(create_redeem(2)).code is Code.POINTS_INSUFFICIENT
    assert paper.ask(create_hold(3)).code is Code.POINTS_INSUFFICIENT
    assert paper.ask(create_redeem(4, service="cinema", amount=60)).balance == 0


def test_an_inquiry_tells_what_is_held_beside_what_can_be_spent() -> None:
    outcome = held((300, SOON)).ask(create_inquiry(2))
    assert (outcome.balance, outcome.held, outcome.expiring) == (60, 240, ((60, SOON),))


def test_several_holds_of_one_account_stand_beside_each_other() -> None:
    paper = held((1_000, None), points=100)
    paper.done(create_hold(2, service="cinema", amount=200))
    paper.done(create_release(3, 1))
    assert paper.account.held == 200
    assert paper.done(create_capture(4, 2, 200)).balance == 800


# ---- capture ------------------------------------------------------------------------------------


def test_a_capture_of_everything_takes_what_was_reserved_lot_by_lot() -> None:
    paper = held((100, LATER), (100, SOON), (100, None))
    outcome = paper.ask(create_capture(2, 1, 240, reference="job 7"))
    row = outcome.transaction
    assert row is not None
    assert (outcome.points, outcome.rest, outcome.balance) == (240, 0, 60)
    assert (paper.remaining(), paper.held()) == ([0, 0, 60], [0, 0, 0])
    assert paper.entries_of(row) == [
        (1, "member", "merchant", 100), (2, "member", "merchant", 100), (3, "member", "merchant", 40),
    ]  # fmt: skip
    assert (row.kind, row.reference, row.detail) == ("capture", "job 7", "cinema")


def test_a_partial_capture_takes_of_the_reserved_lots_only_and_releases_the_rest() -> None:
    paper = held((100, None), (200, LATER))
    paper.done(create_grant(2, 500, expires_on=SOON))
    outcome = paper.ask(create_capture(3, 1, 210))
    assert (outcome.points, outcome.rest, outcome.balance) == (210, 30, 590)
    assert (paper.remaining(), paper.held()) == ([90, 0, 500], [0, 0, 0])


def test_a_capture_sells_with_the_card_and_at_the_price_of_the_hold() -> None:
    paper = create_paper((1_000, None))
    hold = paper.done(create_hold(1, quantity=3))
    paper.prices[POS, "wash"] = replace(paper.prices[POS, "wash"], id=99, points=500, settlement_minor=999)
    row = paper.done(create_capture(2, 1, 240))
    assert (row.points, row.quantity, row.settlement_minor, row.currency) == (240, 2, 14, "CNY")
    for name in ("merchant_id", "store_id", "service_id", "price_id", "card_id", "card_tail", "detail"):
        assert getattr(row, name) == getattr(hold, name) is not None
    assert (row.ends, row.reverses, row.refunds) == (hold.id, None, None)


@pytest.mark.parametrize(
    ("points", "code"),
    [
        (0, Code.AMOUNT_INVALID),
        (-120, Code.AMOUNT_INVALID),
        (1, Code.AMOUNT_INVALID),
        (119, Code.AMOUNT_INVALID),
        (120, Code.APPROVED),
        (239, Code.AMOUNT_INVALID),
        (240, Code.APPROVED),
        (241, Code.AMOUNT_INVALID),
        (360, Code.AMOUNT_ABOVE_HOLD),
        (10**12, Code.AMOUNT_INVALID),
    ],
)
def test_a_fixed_price_is_captured_in_whole_units(points: int, code: Code) -> None:
    paper = create_paper((1_000, None))
    paper.done(create_hold(1, quantity=2))
    assert paper.ask(create_capture(2, 1, points)).code is code


def test_an_open_amount_is_captured_to_the_point() -> None:
    assert held().done(create_capture(2, 1, 239)).rest == 1
    assert held().done(create_capture(2, 1, 1)).settlement_minor == 7


def test_a_refused_capture_leaves_the_hold_open_for_another() -> None:
    paper = held()
    assert paper.ask(create_capture(2, 1, 241)).code is Code.AMOUNT_ABOVE_HOLD
    assert paper.account.held == 240
    assert paper.done(create_capture(3, 1, 240)).points == 240
    assert paper.ask(create_capture(2, 1, 241)).recorded


def test_points_are_captured_from_a_lot_that_expired_after_the_hold() -> None:
    paper = held((300, TODAY))
    paper.next_day()
    assert paper.ask(create_redeem(2)).code is Code.POINTS_INSUFFICIENT  # 60 expired, the rest is held
    outcome = paper.ask(create_capture(3, 1, 200))
    assert (outcome.points, outcome.rest, outcome.balance) == (200, 40, 0)
    assert paper.remaining() == [100]
    assert paper.done(create_expire(4)).points == 100


def test_a_capture_works_when_the_shop_is_closed_or_the_card_blocked_meanwhile() -> None:
    paper = held()
    paper.terminals[POS] = replace(paper.terminals[POS], open=False)
    paper.cards[1, 1] = replace(paper.card, status="lost")
    assert paper.done(create_capture(2, 1, 240)).merchant_id == 30


def test_a_revoked_terminal_releases_but_does_not_capture() -> None:
    paper = held()
    paper.terminals[POS] = replace(paper.terminals[POS], status="revoked", open=False)
    assert paper.ask(create_capture(2, 1, 240)).code is Code.TERMINAL_NOT_PERMITTED
    assert paper.done(create_release(3, 1)).balance == 1_000


# ---- bad input: another's, twice, after the end -------------------------------------------------


def test_a_hold_of_another_terminal_is_unknown_even_in_the_same_shop() -> None:
    paper = held()
    assert paper.ask(create_capture(2, 1, 240, terminal=COUNTER)).code is Code.HOLD_UNKNOWN
    assert paper.ask(create_release(3, 1, terminal=COUNTER)).code is Code.HOLD_UNKNOWN
    assert paper.account.held == 240


@pytest.mark.parametrize(
    "original", [create_redeem(1), create_hold(1, quantity=99), create_grant(1, 5), create_reversal(1, 7)]
)
def test_what_is_no_approved_hold_is_neither_captured_nor_released(original: Request) -> None:
    paper = create_paper((1_000, None))
    paper.ask(original)
    assert paper.ask(create_capture(2, 1, 120)).code is Code.HOLD_UNKNOWN
    assert paper.ask(create_release(3, 1)).code is Code.HOLD_UNKNOWN


def test_a_capture_or_release_of_itself_is_an_unknown_hold() -> None:
    paper = create_paper((1_000, None))
    assert paper.ask(create_capture(1, 1, 120)).code is Code.HOLD_UNKNOWN
    assert paper.ask(create_release(2, 2)).code is Code.HOLD_UNKNOWN


ENDS: dict[str, Request] = {
    "captured": create_capture(2, 1, 100),
    "released": create_release(2, 1),
    "reversed": create_reversal(2, 1),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_hold_ends_once(end: Request, together: bool) -> None:
    late = [create_capture(3, 1, 240), create_release(4, 1)]
    paper = held()
    if together:
        outcomes = paper.post(end, *late)[1:]
    else:
        paper.ask(end)
        outcomes = [paper.ask(request) for request in late]
    assert [outcome.code for outcome in outcomes] == [Code.HOLD_ENDED, Code.HOLD_ENDED]
    assert paper.account.held == 0


def test_an_end_that_is_repeated_gets_the_recorded_answer() -> None:
    paper = held()
    paper.done(create_capture(2, 1, 100))
    again = paper.ask(create_capture(2, 1, 100))
    assert (again.code, again.recorded, again.points, again.rest) == (Code.APPROVED, True, 100, 140)
    assert paper.ask(create_capture(2, 1, 101)).code is Code.TXID_REUSED
    assert paper.account.posted == 900


# ---- release ------------------------------------------------------------------------------------


def test_a_release_gives_everything_back_and_moves_no_entry() -> None:
    paper = held((100, SOON), (200, None))
    outcome = paper.ask(create_release(2, 1))
    row = outcome.transaction
    assert row is not None
    assert (outcome.points, outcome.balance) == (240, 300)
    assert (row.kind, row.ends, row.detail, row.card_id) == (
        "release",
        paper.holds[0].transaction_id,
        "cinema",
        1,
    )
    assert (paper.held(), paper.entries) == ([0, 0], [])


def test_released_points_of_a_lot_that_expired_meanwhile_cannot_be_spent() -> None:
    paper = held((300, TODAY))
    paper.next_day()
    assert paper.done(create_release(2, 1)).balance == 0
    assert paper.done(create_expire(3)).points == 300


# ---- lapse --------------------------------------------------------------------------------------

TOUCHES: dict[str, Request] = {
    "redeem": create_redeem(2),
    "refused redeem": create_redeem(2, card=9),
    "hold": create_hold(2),
    "capture": create_capture(2, 1, 240),
    "release": create_release(2, 1),
    "refund": create_refund(2, 1),
    "reversal": create_reversal(2, 1),
    "status": create_status(2, 1, fence=False),
    "inquiry": create_inquiry(2),
    "refused inquiry": create_inquiry(2, card=9),
    "PIN change": create_pin_change(2),
    "grant": create_grant(2, 5),
    "adjustment": create_adjust(2, 5),
    "expiry": create_expire(2),
    "repeat of the hold": create_hold(1, service="cinema", amount=240),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_hold_whose_time_is_over_ends_at_the_next_touch_whatever_it_is(touch: Request) -> None:
    paper = held()
    paper.wait(HOUR)
    paper.ask(touch)
    lapses = [row for row in paper.rows if row.kind == "lapse"]
    assert [row.ends for row in lapses] == [paper.holds[0].transaction_id]
    paper.ask(touch)
    assert len([row for row in paper.rows if row.kind == "lapse"]) == 1


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_a_second_before_its_time_is_over_a_hold_stands(touch: Request) -> None:
    paper = held()
    paper.wait(HOUR - 1)
    paper.ask(touch)
    assert all(row.kind != "lapse" for row in paper.rows)


def test_a_lapse_says_what_was_held_where_and_with_which_card() -> None:
    paper = held((100, SOON), (200, None))
    paper.wait(HOUR)
    paper.next_day()
    paper.ask(create_inquiry(2))
    hold, row = paper.rows
    assert (row.kind, row.code, row.points, row.ends) == ("lapse", Code.APPROVED, 240, hold.id)
    assert (row.posted_at, row.business_date) == (paper.now, paper.today)
    about = UUID(f"7e55e7a0-0000-8000-8000-{hold.id:012x}")
    assert (row.terminal_id, row.txid, row.batch, row.stan) == (0, about, None, None)
    assert row.balance == 300
    names = ("enterprise_id", "merchant_id", "store_id", "card_id", "card_tail", "service_id", "price_id")
    assert [getattr(row, name) for name in names] == [getattr(hold, name) for name in names]
    assert (row.quantity, row.settlement_minor, row.currency) == (240, None, None)
    assert paper.entries == []


def test_points_that_lapsed_can_be_spent_by_the_request_that_found_them() -> None:
    paper = held((240, None))
    paper.wait(HOUR)
    assert paper.ask(create_redeem(2, quantity=2)).code is Code.APPROVED


def test_a_lapsed_hold_is_expired_for_capture_and_release_and_undone_for_a_reversal() -> None:
    paper = held()
    paper.wait(HOUR)
    assert paper.ask(create_capture(2, 1, 240)).code is Code.HOLD_EXPIRED
    assert paper.ask(create_release(3, 1)).code is Code.HOLD_EXPIRED
    assert paper.ask(create_reversal(4, 1)).detail == "already_reversed"
    status = paper.ask(create_status(5, 1, fence=True)).transaction
    assert status is not None
    assert (status.kind, status.code, status.ended) == ("hold", Code.APPROVED, "lapse")


def test_all_holds_whose_time_is_over_lapse_together_and_younger_ones_stand() -> None:
    paper = held(points=100)
    paper.done(create_hold(2, service="cinema", amount=200))
    paper.done(create_hold(3, service="cinema", amount=300, seconds=2 * HOUR))
    paper.wait(HOUR)
    outcome = paper.ask(create_inquiry(4))
    assert (outcome.balance, outcome.held) == (700, 300)
    assert [row.points for row in paper.rows if row.kind == "lapse"] == [100, 200]


def test_the_rows_of_one_batch_have_ids_in_the_order_in_which_they_are_written() -> None:
    paper = held()
    paper.wait(HOUR)
    _, writes = decide(paper.read(), [create_redeem(2), create_hold(3)])
    ids = [row.id for row in writes.transactions]
    assert [row.kind for row in writes.transactions] == ["lapse", "redeem", "hold"]
    assert ids == sorted(ids)
