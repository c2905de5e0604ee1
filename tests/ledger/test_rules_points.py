"""Lots: in what order they are used, what expires of them, what comes in. No database."""

from datetime import date, timedelta
from typing import Any

import pytest

from ledger.decide import decide
from ledger.postings import MAX_POINTS, Code, LotState
from ledger.rules.points import in_order_of_use, share
from tests.ledger.paper import create_paper
from tests.ledger.states import (
    HOUR,
    TODAY,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_redeem,
    create_release,
)

YESTERDAY, SOON, LATER = TODAY - timedelta(days=1), TODAY + timedelta(days=1), TODAY + timedelta(days=9)


def create_lot(number: int, expires_on: date | None = None, priority: int = 0, points: int = 100) -> LotState:
    return LotState(
        slot=1, id=number, account_id=1, enterprise_id=20, funder_id=20, kind="granted", granted=points,
        remaining=points, held=0, expires_on=expires_on, priority=priority,
    )  # fmt: skip


# ---- order and shares ---------------------------------------------------------------------------


def test_lots_are_used_by_priority_then_last_day_then_age() -> None:
    lots = [
        create_lot(5), create_lot(4, LATER), create_lot(3, SOON), create_lot(2, SOON), create_lot(1, None, 1),
        create_lot(6, LATER, -1),
    ]  # fmt: skip
    assert [lot.id for lot in in_order_of_use(lots)] == [6, 2, 3, 4, 5, 1]


def test_points_are_shared_out_in_order_and_empty_lots_left_out() -> None:
    one, two, three = create_lot(1), create_lot(2), create_lot(3)
    room = [(one, 0), (two, 70), (three, 100)]
    assert share(room, 100) == [(two, 70), (three, 30)]
    assert share(room, 70) == [(two, 70)]
    with pytest.raises(AssertionError):
        share(room, 171)


# ---- expiry -------------------------------------------------------------------------------------


def test_points_can_be_spent_on_their_last_day_and_not_on_the_next() -> None:
    paper = create_paper((120, TODAY))
    paper.next_day()
    assert paper.ask(create_redeem(1)).code is Code.POINTS_EXPIRED
    paper = create_paper((120, TODAY))
    assert paper.ask(create_redeem(1)).code is Code.APPROVED


def test_breakage_goes_from_the_member_to_the_funder_lot_by_lot() -> None:
    paper = create_paper((100, YESTERDAY), (50, TODAY), (30, YESTERDAY))
    row = paper.done(create_expire(1))
    assert (row.kind, row.points, row.balance, row.merchant_id) == ("expiry", 130, 50, None)
    assert paper.entries_of(row) == [(1, "member", "funder", 100), (3, "member", "funder", 30)]
    assert [entry.merchant_id for entry in paper.entries] == [None, None]
    assert paper.remaining() == [0, 50, 0]


def test_with_nothing_to_expire_nothing_is_written() -> None:
    paper = create_paper((50, TODAY), (30, None))
    outcomes, writes = decide(paper.read(), [create_expire(1), create_expire(2)])
    assert [outcome.code for outcome in outcomes] == [Code.APPROVED, Code.APPROVED]
    assert [outcome.transaction for outcome in outcomes] == [None, None]
    assert (writes.transactions, writes.entries, writes.lots, writes.accounts) == ([], [], {}, {})


def test_a_second_sweep_finds_nothing_more() -> None:
    paper = create_paper((100, YESTERDAY))
    first, again, second = paper.post(create_expire(1), create_expire(1), create_expire(2))
    assert (first.points, again.recorded, second.transaction) == (100, True, None)
    assert len(paper.rows) == 1


def test_held_points_do_not_expire_until_they_come_back() -> None:
    paper = create_paper((300, TODAY))
    paper.done(create_hold(1, seconds=48 * HOUR))
    paper.next_day()
    assert paper.done(create_expire(2)).points == 180
    assert (paper.remaining(), paper.held()) == ([120], [120])
    assert paper.ask(create_expire(3)).transaction is None
    paper.done(create_release(4, 1))
    assert paper.done(create_expire(5)).points == 120


def test_the_rest_of_a_capture_from_an_expired_lot_expires() -> None:
    paper = create_paper((300, TODAY))
    paper.done(create_hold(1, quantity=2, seconds=48 * HOUR))
    paper.next_day()
    paper.done(create_capture(2, 1, 120))
    assert paper.done(create_expire(3)).points == 180


def test_a_sweep_ends_holds_whose_time_is_over_and_expires_what_they_held() -> None:
    paper = create_paper((120, TODAY))
    paper.done(create_hold(1))
    paper.wait(HOUR)
    paper.next_day()
    assert paper.done(create_expire(2)).points == 120
    assert [row.kind for row in paper.rows] == ["hold", "lapse", "expiry"]


def test_a_sweep_with_a_hold_to_end_and_nothing_to_expire_writes_the_lapse_alone() -> None:
    paper = create_paper((120, None))
    paper.done(create_hold(1))
    paper.wait(HOUR)
    assert paper.ask(create_expire(2)).transaction is None
    assert [row.kind for row in paper.rows] == ["hold", "lapse"]


def test_points_of_a_closed_account_expire_too() -> None:
    assert create_paper((120, YESTERDAY), account="closed").done(create_expire(1)).points == 120


# ---- grants -------------------------------------------------------------------------------------


def test_a_grant_is_one_lot_with_its_funder_kind_last_day_and_priority() -> None:
    paper = create_paper()
    row = paper.done(
        create_grant(
            1, 500, funder=21, lot_kind="promotional", expires_on=TODAY, priority=-3, detail="hello", staff=8
        )
    )
    (lot,) = paper.lots.values()
    assert (lot.granted, lot.remaining, lot.held) == (500, 500, 0)
    assert (lot.funder_id, lot.kind, lot.expires_on, lot.priority) == (21, "promotional", TODAY, -3)
    assert (row.points, row.balance, row.detail, row.staff_id) == (500, 500, "hello", 8)
    assert paper.entries_of(row) == [(lot.id, "funder", "member", 500)]
    assert (paper.entries[0].funder_id, paper.entries[0].enterprise_id) == (21, 20)


def test_points_are_granted_and_spent_in_one_batch() -> None:
    paper = create_paper()
    grant, redeem = paper.post(create_grant(1, 500), create_redeem(2))
    assert (grant.balance, redeem.balance) == (500, 380)
    assert paper.remaining() == [380]


@pytest.mark.parametrize(
    "fields", [{"points": 0}, {"points": -1}, {"points": MAX_POINTS + 1}, {"expires_on": YESTERDAY}]
)
def test_a_grant_that_makes_no_sense_is_refused_and_brings_no_lot(fields: dict[str, Any]) -> None:
    paper = create_paper()
    assert paper.ask(create_grant(1, **({"points": 5} | fields))).code is Code.AMOUNT_INVALID
    assert paper.lots == {}


# ---- what a member hears ------------------------------------------------------------------------


def test_an_inquiry_lists_what_expires_soonest_first_and_no_more_than_a_receipt_holds() -> None:
    days = [TODAY + timedelta(days=number) for number in (6, 2, 5, 1, 4, 3)]
    paper = create_paper(*((10 + number, day) for number, day in enumerate(days)), (99, None), (7, YESTERDAY))
    outcome = paper.ask(create_inquiry(1))
    assert outcome.balance == sum(range(10, 16)) + 99
    assert [day for _, day in outcome.expiring] == sorted(days)[:5]
    assert outcome.expiring[0] == (13, TODAY + timedelta(days=1))


def test_an_inquiry_adds_up_what_expires_on_one_day() -> None:
    paper = create_paper((10, SOON), (20, SOON))
    assert paper.ask(create_inquiry(1)).expiring == ((30, SOON),)
