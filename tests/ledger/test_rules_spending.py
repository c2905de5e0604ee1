"""Limits, the PIN at the debit, and what counts towards the limit of a day. No database."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.postings import Code, Request
from tests.ledger.paper import KEY, Paper, create_paper
from tests.ledger.states import (
    HOUR,
    POS,
    RIGHT,
    WRONG,
    create_capture,
    create_grant,
    create_hold,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
)

PROBE = 90  # numbers of requests that only ask


def limited(points: int = 500, posted: int = 10_000) -> Paper:
    return create_paper((posted, None), day_limit_points=points)


def spend(number: int, points: int) -> Request:
    return create_redeem(number, service="cinema", amount=points)


def hold(number: int, points: int, **fields: int) -> Request:
    return create_hold(number, service="cinema", amount=points, **fields)


# ---- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [spend, hold])
def test_the_limit_of_one_purchase_is_the_most_that_is_allowed(make: Callable[..., Request]) -> None:
    paper = create_paper((1_000, None), limit_points=200)
    assert paper.ask(make(1, 201)).code is Code.LIMIT_EXCEEDED
    assert paper.ask(make(2, 200)).code is Code.APPROVED
    assert paper.ask(make(3, 200)).code is Code.APPROVED


@pytest.mark.parametrize("make", [spend, hold])
def test_the_limit_of_a_day_is_the_most_that_is_allowed(make: Callable[..., Request]) -> None:
    paper = limited(500)
    assert paper.ask(make(1, 300)).code is Code.APPROVED
    refused = paper.ask(make(2, 201))
    assert (refused.code, refused.balance) == (Code.DAY_LIMIT_EXCEEDED, 9_700)
    assert paper.ask(make(3, 200)).code is Code.APPROVED
    assert paper.ask(make(4, 10)).code is Code.DAY_LIMIT_EXCEEDED


def test_a_new_business_date_has_its_whole_limit_again() -> None:
    paper = limited(500)
    paper.done(spend(1, 500))
    assert paper.ask(spend(2, 10)).code is Code.DAY_LIMIT_EXCEEDED
    paper.next_day()
    assert paper.done(spend(3, 500)).points == 500


def test_another_card_of_the_account_has_a_limit_of_its_own() -> None:
    paper = limited(500)
    paper.cards[1, 2] = replace(paper.card, id=2)
    paper.done(spend(1, 500))
    assert paper.ask(create_redeem(2, card=2, service="cinema", amount=500)).code is Code.APPROVED
    assert paper.ask(create_redeem(3, card=2, service="cinema", amount=10)).code is Code.DAY_LIMIT_EXCEEDED


# What happens after a redeem (1) and a hold (2) of 100 each of 500 a day, and what is left of the day then.
TODAY_TURNS = {
    "a refusal": ([spend(3, 501)], 300),
    "a capture in part": ([create_capture(3, 2, 40)], 360),
    "a capture of all": ([create_capture(3, 2, 100)], 300),
    "a release": ([create_release(3, 2)], 400),
    "a reversal of the hold": ([create_reversal(3, 2)], 400),
    "a reversal of the redeem": ([create_reversal(3, 1)], 400),
    "a reversal of the capture": ([create_capture(3, 2, 40), create_reversal(4, 3)], 400),
    "a reversal of the captured hold": ([create_capture(3, 2, 40), create_reversal(4, 2)], 360),
    "a refund": ([create_refund(3, 1)], 300),
    "a refund of the capture": ([create_capture(3, 2, 40), create_refund(4, 3)], 360),
    "a grant": ([create_grant(3, 50)], 300),
    "the same again": ([spend(1, 100), hold(2, 100)], 300),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(("turns", "left"), TODAY_TURNS.values(), ids=TODAY_TURNS)
def test_what_counts_towards_the_day(turns: list[Request], left: int, together: bool) -> None:
    """A probe of one point more than is left is refused, one of exactly that is not."""
    paper = limited(500)
    asked = [spend(1, 100), hold(2, 100), *turns, spend(PROBE, left + 1), spend(PROBE + 1, left)]
    outcomes = paper.post(*asked) if together else [paper.ask(request) for request in asked]
    assert [outcome.code for outcome in outcomes[-2:]] == [Code.DAY_LIMIT_EXCEEDED, Code.APPROVED]


@pytest.mark.parametrize("touch", [spend(3, 401), create_inquiry(3), create_status(3, 1, fence=False)])
def test_a_lapsed_hold_no_longer_counts_towards_its_day(touch: Request) -> None:
    paper = limited(500)
    paper.post(spend(1, 100), hold(2, 100))
    paper.wait(HOUR)
    paper.post(touch)
    assert paper.ask(spend(PROBE, 401)).code is Code.DAY_LIMIT_EXCEEDED
    assert paper.ask(spend(PROBE + 1, 400)).code is Code.APPROVED


def test_a_lapse_counts_for_the_very_request_that_found_it() -> None:
    paper = limited(500)
    paper.done(hold(1, 400))
    paper.wait(HOUR)
    assert paper.ask(spend(2, 500)).code is Code.APPROVED


@pytest.mark.parametrize(
    ("turn", "left"),
    [
        (create_capture(3, 2, 40), 450),  # it counted when it was held
        (create_release(3, 2), 450),
        (create_reversal(3, 2), 450),
        (create_reversal(3, 1), 450),
        (create_refund(3, 1), 450),
    ],
    ids=lambda value: value.kind if isinstance(value, Request) else str(value),
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_what_was_done_yesterday_and_is_undone_today_gives_today_nothing(
    turn: Request, left: int, together: bool
) -> None:
    paper = limited(450)
    paper.post(spend(1, 100), hold(2, 100, seconds=48 * HOUR))
    paper.next_day()
    asked = [turn, spend(PROBE, left + 1), spend(PROBE + 1, left)]
    outcomes = paper.post(*asked) if together else [paper.ask(request) for request in asked]
    expected = [Code.APPROVED, Code.DAY_LIMIT_EXCEEDED, Code.APPROVED]
    assert [outcome.code for outcome in outcomes] == expected


# ---- the PIN ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [create_redeem, create_hold])
def test_a_pin_is_needed_for_more_than_pin_above(make: Callable[..., Request]) -> None:
    paper = create_paper((1_000, None), pin_above_points=120)
    assert paper.ask(make(1, pin_proof=None)).code is Code.APPROVED
    assert paper.ask(make(2, pin_proof=None, quantity=2)).code is Code.PIN_REQUIRED
    assert paper.ask(make(3, quantity=2)).code is Code.APPROVED
    paper.cards[KEY] = replace(paper.card, pin_above_points=119)
    assert paper.ask(make(4, pin_proof=None)).code is Code.PIN_REQUIRED


def test_a_pin_that_is_given_though_none_is_needed_is_checked_and_counted() -> None:
    paper = create_paper((1_000, None), pin_above_points=500)
    assert paper.ask(create_redeem(1, pin_proof=WRONG)).code is Code.PIN_WRONG
    assert paper.card.pin_tries == 1
    assert paper.ask(create_redeem(2, pin_proof=RIGHT)).code is Code.APPROVED
    assert paper.card.pin_tries == 0


def test_a_blocked_pin_refuses_every_purchase_also_one_that_needs_no_pin() -> None:
    paper = create_paper((1_000, None), pin_above_points=120, pin_tries=3)
    assert paper.ask(create_redeem(1)).code is Code.PIN_BLOCKED
    assert paper.ask(create_redeem(2, quantity=2, pin_proof=None)).code is Code.PIN_BLOCKED
    assert paper.ask(create_redeem(3, pin_proof=None)).code is Code.PIN_BLOCKED


def test_a_card_whose_pin_was_never_set_spends_only_what_needs_none() -> None:
    paper = create_paper((1_000, None), pin_verifier=None, pin_above_points=120)
    assert paper.ask(create_redeem(1, pin_proof=None)).code is Code.APPROVED
    assert paper.ask(create_redeem(2, quantity=2)).code is Code.PIN_REQUIRED
    assert paper.card.pin_tries == 0


def test_what_cannot_be_priced_needs_a_pin_however_small() -> None:
    paper = create_paper((1_000, None), pin_above_points=500)
    wrong: list[dict[str, Any]] = [{"service": "flight"}, {"quantity": 0}, {"amount": 5}]
    for number, fields in enumerate(wrong, 1):
        assert paper.ask(create_redeem(number, pin_proof=None, **fields)).code is Code.PIN_REQUIRED


# ---- what is written ----------------------------------------------------------------------------


def test_a_refusal_remembers_what_was_asked_for_and_with_which_card() -> None:
    paper = create_paper((100, None))
    row = paper.ask(create_hold(1, reference="order 7", stan=4, batch=5)).transaction
    assert row is not None
    assert (row.detail, row.quantity, row.reference, row.card_tail) == ("wash", 1, "order 7", "0018")
    assert (row.stan, row.batch, row.settlement_minor, row.currency) == (4, 5, None, None)


def test_a_hold_is_written_with_everything_that_a_sale_has() -> None:
    paper = create_paper((1_000, None))
    row = paper.done(create_hold(1, quantity=2, reference="job 7"))
    assert (row.points, row.quantity, row.settlement_minor, row.currency) == (240, 2, 14, "CNY")
    assert (row.merchant_id, row.store_id, row.service_id, row.price_id) == (30, 31, 120, 120)
    assert (row.card_id, row.detail, row.reference, row.balance) == (1, "wash", "job 7", 760)
    assert row.terminal_id == POS
