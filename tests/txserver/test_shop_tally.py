"""Counting what a played shop does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txserver.shop_plan import Action
from txserver.shop_tally import Seat, SeatState, Times, board_of, merged
from txserver.terminal import Outcome


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([1, 50, 99, 100]))
def test_a_percentile_is_the_nearest_rank(seconds: list[float], percent: int) -> None:
    times = Times()
    for each in seconds:
        times.add(each)
    found = times.at(percent)
    assert found in seconds
    assert sum(each <= found for each in seconds) * 100 >= percent * len(seconds)
    assert sum(each < found for each in seconds) * 100 < percent * len(seconds)


def test_no_reply_has_no_time() -> None:
    assert Times().at(50) is None
    row = board_of([Seat(1)], elapsed_s=0, planned_s=1).total
    assert (row.p50_ms, row.p99_ms) == (None, None)


def test_times_of_all_terminals_together() -> None:
    together = Times.of_all([Times([3.0, 1.0]), Times(), Times([2.0])])
    assert (len(together), together.at(50), together.at(100)) == (3, 2.0, 3.0)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_in_exactly_one_column(outcome: Outcome) -> None:
    seat = Seat(1)
    seat.count(Action.REDEEM, outcome.value, seconds=0.1)
    assert sorted(seat.column(name) for name in ("approved", "refused", "undone", "open")) == [0, 0, 0, 1]


def test_points_are_spent_less_given_back() -> None:
    seat = Seat(1)
    for action, outcome, points in (
        (Action.REDEEM, "approved", 100),
        (Action.HOLD, "approved", 70),
        (Action.CAPTURE, "approved", 40),
        (Action.RELEASE, "approved", 30),
        (Action.REFUND, "approved", 15),
        (Action.REVERSE, "reversed", 25),
        (Action.REDEEM, "refused", 999),
        (Action.REDEEM, "reversal_stored", 999),
        (Action.BALANCE, "approved", 0),
    ):
        seat.count(action, outcome, seconds=0.1, points=points)
    assert seat.points == 100 + 40 - 15 - 25


def test_the_board_adds_up() -> None:
    one, two = Seat(1, terminal=11, state=SeatState.ONLINE), Seat(2)
    one.count(Action.REDEEM, "approved", seconds=0.010, points=30)
    one.count(Action.REDEEM, "refused", seconds=0.020)
    two.count(Action.REVERSE, "reversed", seconds=0.030, points=30)
    two.count(Action.REDEEM, "offline", seconds=10.0)
    board = board_of([one, two], elapsed_s=2.0, planned_s=60)
    assert (board.steps, board.per_s) == (4, 2.0)
    total = board.total
    assert (total.approved, total.refused, total.undone, total.open, total.points) == (1, 1, 1, 1, 0)
    assert (total.p50_ms, total.p99_ms) == (20.0, 10_000.0)
    assert [(row.number, row.terminal, row.state) for row in board.rows] == [
        (1, 11, SeatState.ONLINE),
        (2, None, SeatState.STARTING),
    ]
    assert merged([one, two])[Action.REDEEM, "refused"] == 1
    assert board_of([one], elapsed_s=0.0, planned_s=1).per_s == 0.0
