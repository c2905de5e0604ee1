"""What a terminal of the played shop does next: pure, from what it has open and a source of chance.

No I/O, no clock, no randomness of its own: `Chance` gives fractions in [0, 1), and the same fractions
make the same day. Cards are numbers here; their tokens and PINs stay with whoever carries a step out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

__all__ = ["Action", "CameOut", "Chance", "Till", "Held", "Price", "Sold", "Step", "after", "last_step",
           "next_step", "think_s"]  # fmt: skip

T = TypeVar("T")
Chance = Callable[[], float]

MOST_HOLDS = 4
"""Jobs that one terminal has out at a time: a shop has so many drivers."""

MOST_SOLD = 20
"""Purchases that a customer may still come back about."""

MOST_UNITS = 3
TOO_MANY = 9_000
"""Units that no card of this shop can pay, and yet a number that a till can type."""

THINK_S = (0.1, 1.1)
"""Between two customers: a busy shop, so that a minute of it shows something."""


class Action(Enum):
    """What a terminal can do. The values are names for counts and texts."""

    REDEEM = "redeem"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    REFUND = "refund"
    REVERSE = "reverse"
    BALANCE = "balance"
    WRONG_PIN = "wrong_pin"
    TOO_MUCH = "too_much"


class CameOut(Enum):
    """How a step came out, as far as the plan needs to know."""

    DONE = "done"
    NOT_DONE = "not_done"  # refused, or never happened: nothing moved
    UNKNOWN = "unknown"  # stored, and settled later; nobody may build on it


WEIGHTS: dict[Action, int] = {
    Action.REDEEM: 55,
    Action.HOLD: 12,
    Action.CAPTURE: 9,
    Action.RELEASE: 3,
    Action.REFUND: 5,
    Action.REVERSE: 4,
    Action.BALANCE: 8,
    Action.WRONG_PIN: 2,
    Action.TOO_MUCH: 2,
}
"""Mostly sales; parts of a hundred."""


@dataclass(frozen=True, slots=True)
class Price:
    """A service: `points` a unit, or, when it is `open`, any amount from `least` to `most`.

    `limit`: what the shop could ask for at the very most; customers of this one spend less.
    """

    service: str
    points: int
    open: bool = False
    least: int = 1
    most: int = 1
    limit: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """Points of a card that this terminal holds. A capture is a whole number of `unit` points."""

    txid: bytes
    card: int
    points: int
    unit: int = 1


@dataclass(frozen=True, slots=True)
class Sold:
    """A purchase: how many of its points could still be given back, and whether none has been yet."""

    txid: bytes
    card: int
    points: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Till:
    """One terminal's counter: what it sells, whose cards come to it, and what is open.

    `trusted`: cards whose PIN was right the last time. Only those are tried with a wrong one, and only
    while they come to this terminal `alone`, so that no card is blocked by playing.
    """

    cards: tuple[int, ...]
    prices: tuple[Price, ...]
    holds: tuple[Held, ...] = ()
    sold: tuple[Sold, ...] = ()
    trusted: frozenset[int] = frozenset()
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `txid`: the hold or purchase that it is about; `points`: of a capture or refund."""

    action: Action
    card: int
    service: str | None = None
    quantity: int | None = None
    amount: int | None = None
    txid: bytes | None = None
    points: int = 0
    unit: int = 1


def think_s(chance: Chance) -> float:
    """Seconds until the next customer."""
    low, high = THINK_S
    return low + (high - low) * chance()


def next_step(till: Till, chance: Chance) -> Step:
    """What this terminal does next. `till.cards` must not be empty."""
    able = [(action, weight) for action, weight in WEIGHTS.items() if _possible(action, till)]
    return _step(_weighted(able, chance), till, chance)


def last_step(till: Till, chance: Chance) -> Step | None:
    """What remains to be done before the day may end: no hold stays behind. None when nothing does."""
    if not till.holds:
        return None
    return _ending(Action.CAPTURE if chance() < 0.5 else Action.RELEASE, till.holds[0], chance)


def after(till: Till, step: Step, came_out: CameOut, *, txid: bytes | None, points: int) -> Till:
    """The counter after a step. `txid` is that of what was just made, `points` what it moved or reserved."""
    till = _trust(till, step, came_out)
    done = came_out is CameOut.DONE and txid is not None
    match step.action:
        case Action.REDEEM | Action.TOO_MUCH if done and txid is not None and points > 0:
            return _with_sale(till, Sold(txid, step.card, points))
        case Action.HOLD if done and txid is not None and points > 0:
            return replace(till, holds=(*till.holds, Held(txid, step.card, points, step.unit)))
        case Action.CAPTURE | Action.RELEASE:
            # Whatever came of it: a hold is ended once, and one that would not end is not tried again.
            till = replace(till, holds=tuple(held for held in till.holds if held.txid != step.txid))
            if step.action is Action.CAPTURE and done and txid is not None and points > 0:
                return _with_sale(till, Sold(txid, step.card, points))
            return till
        case Action.REFUND:
            return replace(till, sold=tuple(_refunded(till.sold, step, came_out, points)))
        case Action.REVERSE:
            return replace(till, sold=tuple(sale for sale in till.sold if sale.txid != step.txid))
        case _:
            return till


def _possible(action: Action, till: Till) -> bool:
    match action:
        case Action.REDEEM | Action.TOO_MUCH:
            return bool(till.prices)
        case Action.HOLD:
            return bool(till.prices) and len(till.holds) < MOST_HOLDS
        case Action.CAPTURE | Action.RELEASE:
            return bool(till.holds)
        case Action.REFUND:
            return bool(till.sold)
        case Action.REVERSE:
            return any(sale.whole for sale in till.sold)
        case Action.WRONG_PIN:
            return bool(till.prices) and bool(_trusted(till))
        case Action.BALANCE:
            return True


def _step(action: Action, till: Till, chance: Chance) -> Step:
    match action:
        case Action.CAPTURE | Action.RELEASE:
            return _ending(action, _one_of(till.holds, chance), chance)
        case Action.REFUND:
            sale = _one_of(till.sold, chance)
            # Half of the customers want all of it back.
            part = sale.points if chance() < 0.5 else _whole(1, sale.points, chance)
            return Step(action, sale.card, txid=sale.txid, points=part)
        case Action.REVERSE:
            sale = _one_of([sale for sale in till.sold if sale.whole], chance)
            return Step(action, sale.card, txid=sale.txid)
        case Action.BALANCE:
            return Step(action, _one_of(till.cards, chance))
        case Action.WRONG_PIN:
            return _sale(action, _one_of(_trusted(till), chance), till, chance)
        case Action.REDEEM | Action.HOLD | Action.TOO_MUCH:
            return _sale(action, _one_of(till.cards, chance), till, chance)


def _sale(action: Action, card: int, till: Till, chance: Chance) -> Step:
    price = _one_of(till.prices, chance)
    if price.open:
        amount = price.limit + 1 if action is Action.TOO_MUCH else _whole(price.least, price.most, chance)
        return Step(action, card, price.service, amount=amount)
    units = TOO_MANY if action is Action.TOO_MUCH else _whole(1, MOST_UNITS, chance)
    return Step(action, card, price.service, quantity=units, unit=price.points)


def _ending(action: Action, held: Held, chance: Chance) -> Step:
    points = 0
    if action is Action.CAPTURE:
        points = held.unit * _whole(1, max(1, held.points // held.unit), chance)
    return Step(action, held.card, txid=held.txid, points=points)


def _trusted(till: Till) -> list[int]:
    return sorted(till.trusted.intersection(till.cards)) if till.alone else []


def _trust(till: Till, step: Step, came_out: CameOut) -> Till:
    if step.action is Action.WRONG_PIN:
        return replace(till, trusted=till.trusted - {step.card})
    if step.action in (Action.REDEEM, Action.HOLD) and came_out is CameOut.DONE:
        return replace(till, trusted=till.trusted | {step.card})
    return till


def _with_sale(till: Till, sale: Sold) -> Till:
    return replace(till, sold=(*till.sold, sale)[-MOST_SOLD:])


def _refunded(sold: Sequence[Sold], step: Step, came_out: CameOut, points: int) -> list[Sold]:
    """The purchases after a refund: what remains of one. One that would not be refunded is left alone."""
    kept = []
    for sale in sold:
        if sale.txid != step.txid:
            kept.append(sale)
        elif came_out is CameOut.DONE and sale.points > points:
            kept.append(replace(sale, points=sale.points - points, whole=False))
    return kept


def _weighted(choices: Sequence[tuple[Action, int]], chance: Chance) -> Action:
    mark = chance() * sum(weight for _, weight in choices)
    for action, weight in choices:
        mark -= weight
        if mark < 0:
            return action
    return choices[-1][0]


def _one_of(things: Sequence[T], chance: Chance) -> T:
    return things[min(int(chance() * len(things)), len(things) - 1)]


def _whole(low: int, high: int, chance: Chance) -> int:
    return min(low + int(chance() * (high - low + 1)), high)
