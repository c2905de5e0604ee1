"""Reversal and refund: what comes back, to which lots, with which money. No database."""

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.decide import decide
from ledger.postings import Code, Request
from tests.ledger.paper import Paper, create_paper
from tests.ledger.states import (
    COUNTER,
    ELSEWHERE,
    POS,
    TODAY,
    create_capture,
    create_expire,
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


def sold(*lots: tuple[int, date | None], points: int = 240, **fields: Any) -> Paper:
    """Transaction 1 sold the cinema for `points`."""
    paper = create_paper(*(lots or ((1_000, None),)))
    paper.done(create_redeem(1, service="cinema", amount=points, **fields))
    return paper


def held(*lots: tuple[int, date | None], points: int = 240) -> Paper:
    """Transaction 1 holds `points` for the cinema, for an hour."""
    paper = create_paper(*(lots or ((1_000, None),)))
    paper.done(create_hold(1, service="cinema", amount=points))
    return paper


# ---- refunds add up -----------------------------------------------------------------------------


def test_a_refund_without_an_amount_gives_everything_back_that_remains() -> None:
    paper = sold()
    assert paper.done(create_refund(2, 1, 40)).rest == 200
    outcome = paper.ask(create_refund(3, 1, reference="sorry"))
    assert (outcome.points, outcome.rest, outcome.balance) == (200, 0, 1_000)
    assert outcome.transaction is not None
    assert outcome.transaction.reference == "sorry"


def test_a_refund_says_what_it_is_of_and_where_it_was_given() -> None:
    paper = sold()
    sale = paper.row("redeem")
    row = paper.done(create_refund(2, 1, 40, terminal=COUNTER))
    for name in ("merchant_id", "service_id", "price_id", "card_id", "card_tail", "currency", "detail"):
        assert getattr(row, name) == getattr(sale, name) is not None
    assert (row.refunds, row.reverses, row.ends, row.quantity) == (sale.id, None, None, None)
    assert (row.terminal_id, row.store_id, sale.store_id) == (COUNTER, 32, 31)
    assert paper.entries_of(row) == [(1, "merchant", "member", 40)]
    assert paper.entries[-1].merchant_id == 30


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(
    "parts", [(1, 2, 237), (120, 119, 1), (80, 80, 80), (239, 1), (240,), (7,) * 34 + (2,)]
)
def test_parts_of_a_refund_add_up_in_points_and_in_settlement(parts: tuple[int, ...], together: bool) -> None:
    paper = create_paper((1_000, None))
    paper.prices[POS, "wash"] = replace(paper.prices[POS, "wash"], settlement_minor=997)
    sale = paper.done(create_redeem(1, quantity=2))
    requests = [create_refund(number, 1, part) for number, part in enumerate(parts, 2)]
    if together:
        paper.post(*requests)
    else:
        for request in requests:
            paper.ask(request)
    refunds = [row for row in paper.rows if row.kind == "refund"]
    assert [row.points for row in refunds] == list(parts)
    assert sum(row.settlement_minor or 0 for row in refunds) == sale.settlement_minor == 2 * 997
    assert all(0 <= (row.settlement_minor or 0) <= row.points * 997 // 120 + 1 for row in refunds)
    assert paper.ask(create_refund(99, 1, 1)).code is Code.AMOUNT_ABOVE_REST
    assert paper.ask(create_refund(98, 1)).code is Code.AMOUNT_ABOVE_REST
    assert paper.account.posted == 1_000


def test_a_half_of_a_fen_is_rounded_up_once() -> None:
    paper = create_paper((1_000, None))
    sale = paper.done(create_redeem(1))  # 120 points for 7 fen
    money = [paper.done(create_refund(number, 1, 60)).settlement_minor for number in (2, 3)]
    assert (money, sale.settlement_minor) == ([4, 3], 7)


def test_a_service_that_costs_the_operator_nothing_is_refunded_without_money() -> None:
    paper = create_paper((1_000, None))
    paper.prices[POS, "wash"] = replace(paper.prices[POS, "wash"], settlement_minor=0)
    paper.done(create_redeem(1))
    assert paper.done(create_refund(2, 1, 7)).settlement_minor == 0


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_what_was_taken_last_comes_back_first(together: bool) -> None:
    paper = sold((100, SOON), (100, LATER), (100, None))
    assert paper.remaining() == [0, 0, 60]
    requests = [create_refund(*numbers) for numbers in ((2, 1, 30), (3, 1, 30), (4, 1, 130), (5, 1, 50))]
    for batch in [requests] if together else [[request] for request in requests]:
        paper.post(*batch)
    back = [[(lot, n) for lot, *_, n in paper.entries_of(row)] for row in paper.rows if row.kind == "refund"]
    assert back == [[(3, 30)], [(2, 20), (3, 10)], [(1, 50), (2, 80)], [(1, 50)]]
    assert paper.remaining() == [100, 100, 100]


def test_a_refund_on_a_later_day_is_booked_on_that_day() -> None:
    paper = sold()
    paper.next_day(40)
    row = paper.done(create_refund(2, 1, 100))
    assert row.business_date == TODAY + timedelta(days=40)
    assert {entry.business_date for entry in paper.entries if entry.transaction_id == row.id} == {paper.today}


# ---- who may refund what ------------------------------------------------------------------------


def test_another_terminal_of_the_same_merchant_refunds_when_it_names_the_seller() -> None:
    paper = sold()
    assert paper.ask(create_refund(2, 1, terminal=COUNTER, seller=COUNTER)).code is Code.ORIGINAL_UNKNOWN
    assert paper.done(create_refund(3, 1, terminal=COUNTER)).points == 240


def test_another_merchant_refunds_nothing_though_it_names_the_seller() -> None:
    paper = sold()
    assert paper.ask(create_refund(2, 1, terminal=ELSEWHERE)).code is Code.ORIGINAL_ELSEWHERE
    assert paper.account.posted == 760


def test_a_closed_shop_refunds_and_a_revoked_terminal_does_not() -> None:
    paper = sold()
    paper.terminals[POS] = replace(paper.terminals[POS], open=False)
    assert paper.done(create_refund(2, 1, 100)).points == 100
    paper.terminals[POS] = replace(paper.terminals[POS], status="revoked")
    assert paper.ask(create_refund(3, 1, 100)).code is Code.TERMINAL_NOT_PERMITTED


@pytest.mark.parametrize(
    "before",
    [
        create_redeem(1, service="flight"),
        create_hold(1),
        create_release(1, 7),
        create_reversal(1, 7),
        create_refund(1, 7),
        create_pin_change(1),
        create_status(9, 1, fence=True),
    ],
    ids=lambda request: request.kind,
)
def test_what_is_no_approved_sale_is_not_refunded(before: Request) -> None:
    paper = create_paper((1_000, None))
    paper.ask(before)
    assert paper.ask(create_refund(2, 1)).code is Code.ORIGINAL_UNKNOWN
    assert paper.account.posted == 1_000


def test_a_refund_of_itself_is_of_an_unknown_sale() -> None:
    assert create_paper((1_000, None)).ask(create_refund(1, 1)).code is Code.ORIGINAL_UNKNOWN


@pytest.mark.parametrize("points", [0, -1, -(10**12)])
def test_a_refund_of_nothing_or_less_is_invalid(points: int) -> None:
    assert sold().ask(create_refund(2, 1, points)).code is Code.AMOUNT_INVALID


# ---- refund and reversal ------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_of_refund_and_reversal_the_first_wins(together: bool) -> None:
    def after(*requests: Request) -> Any:
        paper = sold()
        outcomes = paper.post(*requests) if together else [paper.ask(request) for request in requests]
        return outcomes[-1], paper.account.posted

    refund, posted = after(create_reversal(2, 1), create_refund(3, 1))
    assert (refund.code, posted) == (Code.ORIGINAL_UNDONE, 1_000)
    reversal, posted = after(create_refund(2, 1, 1), create_reversal(3, 1))
    assert (reversal.code, reversal.detail, reversal.points, posted) == (Code.APPROVED, "refunded", 0, 761)


def test_a_refund_is_not_reversed() -> None:
    paper = sold()
    paper.done(create_refund(2, 1, 100))
    outcome = paper.ask(create_reversal(3, 2))
    assert (outcome.detail, outcome.points, paper.account.posted) == ("not_a_purchase", 0, 860)


def test_a_refund_that_was_fenced_off_is_declined_when_it_arrives() -> None:
    paper = sold()
    assert paper.ask(create_status(2, 3, fence=True)).code is Code.NOT_FOUND
    assert paper.ask(create_refund(3, 1)).code is Code.UNDONE_BEFORE
    assert paper.account.posted == 760


def test_status_tells_how_much_of_a_sale_was_refunded() -> None:
    paper = sold()
    paper.post(create_refund(2, 1, 100), create_refund(3, 1, 40))
    row = paper.ask(create_status(4, 1, fence=False)).transaction
    assert row is not None
    assert (row.kind, row.points, row.refunded, row.reversed) == ("redeem", 240, 140, False)


# ---- lots that expired meanwhile ----------------------------------------------------------------


def expired_since(grace: int | None, points: int = 240) -> Paper:
    """A sale took 240 of the 300 points that were spendable yesterday for the last time."""
    paper = sold((300, TODAY), points=points)
    paper.grace_days = grace
    paper.next_day()
    return paper


@pytest.mark.parametrize(("grace", "days"), [(None, 30), (7, 7), (366, 366)])
def test_points_that_return_to_an_expired_lot_can_be_spent_for_the_grace(
    grace: int | None, days: int
) -> None:
    paper = expired_since(grace)
    row = paper.done(create_refund(2, 1, 200))
    assert row.balance == 200
    assert paper.lot(1).expires_on == paper.today + timedelta(days=days)
    paper.next_day(days)
    assert paper.ask(create_inquiry(3)).balance == 200
    paper.next_day()
    assert paper.ask(create_inquiry(4)).balance == 0


def test_what_had_not_been_swept_of_the_lot_expires_before_it_is_revived() -> None:
    paper = expired_since(None)
    paper.done(create_refund(2, 1, 200))
    assert [row.kind for row in paper.rows] == ["redeem", "expiry", "refund"]
    breakage = paper.row("expiry")
    assert (breakage.points, breakage.balance, breakage.terminal_id) == (60, 0, 0)
    assert (breakage.merchant_id, breakage.card_id) == (None, None)
    assert paper.entries_of(breakage) == [(1, "member", "funder", 60)]
    assert paper.remaining() == [200]


def test_after_a_sweep_a_refund_has_nothing_to_expire_first() -> None:
    paper = expired_since(None)
    assert paper.done(create_expire(2)).points == 60
    assert paper.done(create_refund(3, 1)).balance == 240
    assert len([row for row in paper.rows if row.kind == "expiry"]) == 1


def test_without_grace_what_comes_back_has_expired_already() -> None:
    paper = expired_since(0)
    row = paper.done(create_refund(2, 1, 200))
    assert (row.points, row.balance) == (200, 0)
    assert paper.lot(1).expires_on == TODAY
    assert paper.done(create_expire(3)).points == 260


def test_a_lot_that_is_revived_twice_lasts_from_the_second_time() -> None:
    paper = expired_since(10)
    paper.done(create_refund(2, 1, 100))
    paper.next_day(11)
    paper.done(create_refund(3, 1, 100))
    assert paper.lot(1).expires_on == paper.today + timedelta(days=10)
    assert paper.remaining() == [100]  # the first hundred expired unused


def test_a_lot_in_its_grace_is_not_given_more_of_it() -> None:
    paper = expired_since(10)
    paper.done(create_refund(2, 1, 100))
    until = paper.lot(1).expires_on
    paper.next_day(3)
    paper.done(create_refund(3, 1, 100))
    assert (paper.lot(1).expires_on, paper.remaining()) == (until, [200])


def test_points_that_return_to_a_living_lot_do_not_change_its_last_day() -> None:
    paper = sold((300, LATER))
    paper.done(create_refund(2, 1, 100))
    assert paper.lot(1).expires_on == LATER


def test_only_lots_that_points_return_to_are_revived() -> None:
    paper = sold((100, TODAY), (300, SOON))  # 100 of the first, 140 of the second
    paper.next_day(2)
    paper.done(create_refund(2, 1, 140))
    assert [lot.expires_on for lot in paper.lots.values()] == [TODAY, paper.today + timedelta(days=30)]
    assert paper.remaining() == [0, 140]


def test_breakage_that_is_booked_before_a_refund_has_the_lower_id() -> None:
    """Pages of an account's history go by id: balances would run backwards."""
    _, writes = decide(expired_since(None).read(), [create_refund(2, 1)])
    ids = [row.id for row in writes.transactions]
    assert ids == sorted(ids)


def test_a_lot_with_points_on_hold_gets_no_grace() -> None:
    """A lot has one last day (decision 28): a refund of one point must not keep all that is on hold alive."""
    paper = sold((340, TODAY), points=100)
    paper.done(create_hold(2, service="cinema", amount=240))
    paper.next_day()
    refunded = paper.done(create_refund(3, 1))
    assert (refunded.points, refunded.balance) == (100, 0)
    assert paper.done(create_release(4, 2)).balance == 0


def test_what_is_used_last_by_now_comes_back_first() -> None:
    """Rows do not say in which order lots were taken; their present last days do."""
    paper = create_paper((100, TODAY), (100, LATER))
    paper.done(create_redeem(1, service="cinema", amount=50))  # of lot 1
    paper.done(create_redeem(2, service="cinema", amount=100))  # 50 of lot 1, then 50 of lot 2
    paper.next_day()
    paper.done(create_refund(3, 1))  # revives lot 1, which now outlives lot 2
    row = paper.done(create_refund(4, 2, 50))
    assert paper.entries_of(row) == [(1, "merchant", "member", 50)]


def test_a_late_reversal_gives_the_points_of_an_expired_lot_their_grace_too() -> None:
    paper = expired_since(7)
    row = paper.done(create_reversal(2, 1))
    assert (row.detail, row.points, row.balance) == ("reversed", 240, 240)
    assert paper.lot(1).expires_on == paper.today + timedelta(days=7)
    assert paper.row("expiry").points == 60


# ---- a hold and its capture, undone -------------------------------------------------------------


def test_reversing_a_hold_gives_its_points_back_without_entries() -> None:
    paper = held()
    outcome = paper.ask(create_reversal(2, 1))
    row = outcome.transaction
    assert row is not None
    assert (outcome.detail, outcome.points, outcome.balance) == ("reversed", 240, 1_000)
    assert (row.ends, row.reverses, row.card_id) == (paper.holds[0].transaction_id, None, 1)
    assert paper.entries == []
    assert paper.ask(create_reversal(3, 1)).detail == "already_reversed"


def test_reversing_a_captured_hold_says_captured_and_moves_nothing() -> None:
    paper = held()
    paper.done(create_capture(2, 1, 100))
    outcome = paper.ask(create_reversal(3, 1))
    assert (outcome.code, outcome.detail, outcome.points) == (Code.APPROVED, "captured", 0)
    assert paper.account.posted == 900


def test_reversing_a_capture_gives_the_points_back_but_does_not_hold_them_again() -> None:
    paper = held((100, SOON), (900, None))
    paper.done(create_capture(2, 1, 150))
    row = paper.done(create_reversal(3, 2))
    assert (row.detail, row.points, row.balance, row.ends) == ("reversed", 150, 1_000, None)
    assert paper.entries_of(row) == [(1, "merchant", "member", 100), (2, "merchant", "member", 50)]
    assert paper.ask(create_reversal(4, 2)).detail == "already_reversed"
    assert paper.ask(create_reversal(5, 1)).detail == "captured"
    assert paper.ask(create_capture(6, 1, 90)).code is Code.HOLD_ENDED


def test_a_capture_is_refunded_like_a_sale() -> None:
    paper = held((100, SOON), (900, None))
    paper.done(create_capture(2, 1, 150))
    assert paper.ask(create_refund(3, 1)).code is Code.ORIGINAL_UNKNOWN  # the hold sold nothing
    row = paper.done(create_refund(4, 2, 60))
    assert paper.entries_of(row) == [(1, "merchant", "member", 10), (2, "merchant", "member", 50)]
    assert paper.ask(create_reversal(5, 2)).detail == "refunded"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(create_capture(2, 1, 100), id="captured"),
        pytest.param(create_release(2, 1), id="released"),
        pytest.param(create_reversal(2, 1), id="reversed"),
    ],
)
def test_a_hold_that_ended_is_told_the_same_in_its_batch_and_afterwards(end: Request) -> None:
    ask = create_status(9, 1, fence=False)
    now, later = held(), held()
    (_, at_once) = now.post(end, ask)
    later.ask(end)
    assert at_once.transaction == later.ask(ask).transaction
