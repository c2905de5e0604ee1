"""Charts as SVG made on the server: bars, measured in percent of the width, so that letters keep their size.

Pure: numbers in, places out. Templates draw them in the colours of the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "Bar", "BarChart", "Grid", "bars"]

HEIGHT = 180  # of the plot, in pixels
GAP = 0.32  # of a bar's share of the width
SMALLEST = 2.0  # pixels: what is not nothing can be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: `x`, `middle` and `width` in percent of the width, `y` and `height` in pixels."""

    x: float
    middle: float
    width: float
    y: float
    height: float
    value: int


@dataclass(frozen=True, slots=True)
class Grid:
    """A line across the plot: its height in pixels from the top, and what it stands for."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from left to right, and the lines behind them from the top down."""

    bars: tuple[Bar, ...]
    grid: tuple[Grid, ...]


def bars(values: Sequence[int]) -> BarChart:
    """One bar for each of `values`, which are at least 0 and not none."""
    top = _above(max(values))
    share = 100 / len(values)
    placed = []
    for place, value in enumerate(values):
        height = max(HEIGHT * value / top, SMALLEST) if value else 0.0
        x = place * share + share * GAP / 2
        width = share * (1 - GAP)
        placed.append(
            Bar(
                x=round(x, 3),
                middle=round(x + width / 2, 3),
                width=round(width, 3),
                y=round(HEIGHT - height, 2),
                height=round(height, 2),
                value=value,
            )
        )
    lines = tuple(Grid(round(HEIGHT - HEIGHT * part / 2, 2), top * part // 2) for part in (2, 1, 0))
    return BarChart(tuple(placed), lines)


def _above(value: int) -> int:
    """The first of 2, 4, 6, 10, 20, 40, 60, 100 … that is not below `value`: its half is a round number."""
    unit = 1
    while True:
        for step in (2, 4, 6, 10):
            if step * unit >= value:
                return step * unit
        unit *= 10
