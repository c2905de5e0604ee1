"""The plan of a played shop: possible steps only, from what is open and from chance."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txserver.shop_plan import (
    MOST_HOLDS,
    MOST_SOLD,
    THINK_S,
    Action,
    CameOut,
    Held,
    Price,
    Sold,
    Step,
    Till,
    after,
    last_step,
    next_step,
    think_s,
)

PRICES = (Price("wash", 30), Price("meal", 1, open=True, least=10, most=60, limit=500))
A, B = bytes([1] * 16), bytes([2] * 16)


def create_till(**changes: object) -> Till:
    given = {"cards": (0, 1, 2), "prices": PRICES} | changes
    return Till(**given)  # type: ignore[arg-type]


def points_of(step: Step) -> int:
    """What an obliging server moves for a step."""
    prices = {price.service: price.points for price in PRICES}
    if step.service is not None:
        return step.amount if step.amount is not None else prices[step.service] * (step.quantity or 0)
    return step.points


def check(till: Till, step: Step) -> None:
    """A step must be one that this till can really do."""
    held = {hold.txid: hold for hold in till.holds}
    sold = {sale.txid: sale for sale in till.sold}
    match step.action:
        case Action.CAPTURE:
            hold = held[step.txid or b""]
            assert 0 < step.points <= hold.points
            assert step.points % hold.unit == 0
            assert step.card == hold.card
        case Action.RELEASE:
            assert (step.txid in held, step.points) == (True, 0)
        case Action.REFUND:
            assert 0 < step.points <= sold[step.txid or b""].points
            assert step.card == sold[step.txid or b""].card
        case Action.REVERSE:
            assert sold[step.txid or b""].whole
        case Action.BALANCE:
            assert step.card in till.cards
        case Action.WRONG_PIN:
            assert till.alone
            assert step.card in till.trusted
        case _:
            assert step.card in till.cards
            assert (step.quantity is None) != (step.amount is None)
            if step.action is not Action.TOO_MUCH and step.amount is not None:
                assert 10 <= step.amount <= 60


@given(
    seed=st.integers(0, 2**32),
    outcomes=st.lists(st.sampled_from(CameOut), max_size=150),
    alone=st.booleans(),
)
def test_whatever_happens_only_possible_steps_are_made(
    seed: int, outcomes: list[CameOut], alone: bool
) -> None:
    chance = Random(seed).random
    till = create_till(alone=alone)
    wrong: Counter[int] = Counter()
    for number, outcome in enumerate(outcomes):
        step = next_step(till, chance)
        check(till, step)
        hopeless = step.action in (Action.TOO_MUCH, Action.WRONG_PIN)
        came_out = CameOut.NOT_DONE if hopeless else outcome
        # Three wrong PINs in a row block a card; a right one begins anew.
        if step.action is Action.WRONG_PIN:
            wrong[step.card] += 1
        elif step.action in (Action.REDEEM, Action.HOLD) and came_out is CameOut.DONE:
            wrong[step.card] = 0
        assert max(wrong.values(), default=0) <= 1
        done = came_out is CameOut.DONE
        txid = number.to_bytes(16, "big") if done else None
        till = after(till, step, came_out, txid=txid, points=points_of(step) if done else 0)
        assert len(till.holds) <= MOST_HOLDS
        assert len(till.sold) <= MOST_SOLD
    for _ in range(MOST_HOLDS):
        last = last_step(till, chance)
        if last is None:
            break
        check(till, last)
        till = after(till, last, CameOut.UNKNOWN, txid=None, points=0)
    assert last_step(till, chance) is None


def test_the_same_chance_makes_the_same_day() -> None:
    def day(seed: int) -> list[Step]:
        chance, till, steps = Random(seed).random, create_till(), []
        for number in range(50):
            steps.append(next_step(till, chance))
            txid = number.to_bytes(16, "big")
            till = after(till, steps[-1], CameOut.DONE, txid=txid, points=points_of(steps[-1]))
        return steps

    assert day(7) == day(7)
    assert day(7) != day(8)


def test_mostly_sales_and_some_of_everything() -> None:
    chance, till = Random(1).random, create_till()
    seen: Counter[Action] = Counter()
    for number in range(3_000):
        step = next_step(till, chance)
        seen[step.action] += 1
        done = step.action not in (Action.TOO_MUCH, Action.WRONG_PIN)
        till = after(
            till, step, CameOut.DONE if done else CameOut.NOT_DONE,
            txid=number.to_bytes(16, "big"), points=points_of(step),
        )  # fmt: skip
    assert set(seen) == set(Action)
    assert seen[Action.REDEEM] > 3_000 * 0.45
    assert seen[Action.WRONG_PIN] < 3_000 * 0.05


def test_a_shop_that_sells_nothing_answers_questions() -> None:
    chance = Random(1).random
    assert {next_step(create_till(prices=()), chance).action for _ in range(50)} == {Action.BALANCE}


def test_too_much_is_above_any_price_and_any_range() -> None:
    chance = Random(1).random
    till = create_till()
    asked = [step for _ in range(2_000) if (step := next_step(till, chance)).action is Action.TOO_MUCH]
    assert {(step.quantity, step.amount) for step in asked} == {(9_000, None), (None, 501)}


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1 - 2**-53])
def test_the_ends_of_chance_are_within_the_ranges(fraction: float) -> None:
    assert THINK_S[0] <= think_s(lambda: fraction) <= THINK_S[1]
    till = create_till(holds=(Held(A, 0, 90, 30),), sold=(Sold(B, 1, 50),))
    check(till, next_step(till, lambda: fraction))
    last = last_step(till, lambda: fraction)
    assert last is not None
    check(till, last)


def test_a_part_refund_leaves_the_rest_and_forbids_a_reversal() -> None:
    till = create_till(sold=(Sold(A, 0, 50), Sold(B, 1, 30)))
    step = Step(Action.REFUND, 0, txid=A, points=20)
    assert after(till, step, CameOut.DONE, txid=b"r", points=20).sold == (
        Sold(A, 0, 30, whole=False), Sold(B, 1, 30),
    )  # fmt: skip
    for came_out, points in ((CameOut.DONE, 50), (CameOut.NOT_DONE, 0), (CameOut.UNKNOWN, 0)):
        assert after(till, step, came_out, txid=None, points=points).sold == (Sold(B, 1, 30),)


def test_a_capture_becomes_a_sale_and_an_unknown_one_is_left_alone() -> None:
    till = create_till(holds=(Held(A, 2, 90, 30),))
    step = Step(Action.CAPTURE, 2, txid=A, points=60)
    assert after(till, step, CameOut.DONE, txid=B, points=60) == replace(
        till, holds=(), sold=(Sold(B, 2, 60),)
    )
    assert after(till, step, CameOut.UNKNOWN, txid=B, points=0) == replace(till, holds=())
    assert after(till, Step(Action.RELEASE, 2, txid=A), CameOut.DONE, txid=B, points=90) == replace(
        till, holds=()
    )


def test_a_fixed_price_is_captured_in_whole_units() -> None:
    till = after(
        create_till(), Step(Action.HOLD, 1, "wash", quantity=3, unit=30), CameOut.DONE, txid=A, points=90
    )
    assert till.holds == (Held(A, 1, 90, 30),)
    assert till.trusted == {1}
