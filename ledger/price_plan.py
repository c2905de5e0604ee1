"""What many prices become when they are changed together: pure. Rounding is half up, once per price."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ledger.price_list import NewTerms, Sold

__all__ = ["AMOUNT_MOST", "Amount", "Line", "Refused", "by_percent", "plan"]

AMOUNT_MOST = 1_000_000_000  # points and minor units of one price, as the table's constraint has it
WHOLE = 10_000  # percents are hundredths of a percent: 100.00

Refused: TypeAlias = Literal["too_small", "too_big", "open_points", "money_digits", "same"]


@dataclass(frozen=True, slots=True)
class Amount:
    """How points or money change: by `percent` (hundredths of one, from -10000 on), or `to` an amount."""

    percent: int | None = None
    to: int | None = None

    def of(self, old: int) -> int:
        """The new amount for an old one."""
        if self.to is not None:
            return self.to
        return by_percent(old, self.percent or 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One price with its new amounts, or why it cannot have them."""

    sold: Sold
    points: int
    settlement_minor: int
    refused: Refused | None = None

    @property
    def terms(self) -> NewTerms:
        return NewTerms(self.sold.price, self.sold.until, self.points, self.settlement_minor)


def by_percent(old: int, percent: int) -> int:
    """`old`, not negative, and so many hundredths of a percent more or less, rounded half up."""
    return (2 * old * (WHOLE + percent) + WHOLE) // (2 * WHOLE)


def plan(
    sold: Sequence[Sold], *, points: Amount | None, money: dict[str, Amount | None] | None
) -> list[Line]:
    """What each price becomes. `money` by currency, for a set amount has other digits in each.

    None leaves points or money as they are; None for a currency: the amount cannot be said in it. An open
    price has no points of its own to change: of it only what is owed per point changes.
    """
    return [_line(each, points, money) for each in sold]


def _line(sold: Sold, points: Amount | None, money: dict[str, Amount | None] | None) -> Line:
    new_points, new_money = sold.points, sold.settlement_minor
    if points is not None:
        if sold.open and money is None:
            return Line(sold, new_points, new_money, "open_points")
        if not sold.open:
            new_points = points.of(sold.points)
    if money is not None:
        amount = money[sold.currency]
        if amount is None:
            return Line(sold, new_points, new_money, "money_digits")
        new_money = amount.of(sold.settlement_minor)
    refused: Refused | None = None
    if new_points < 1:
        refused = "too_small"
    elif max(new_points, new_money) > AMOUNT_MOST:
        refused = "too_big"
    elif (new_points, new_money) == (sold.points, sold.settlement_minor):
        refused = "same"
    return Line(sold, new_points, new_money, refused)
