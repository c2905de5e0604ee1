"""Charts as SVG made on the server: bars, measured in percent of the width, so that letters keep their size.

Pure: numbers in, places out. Templates draw them in the colours of the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "Area", "AreaChart", "Bar", "BarChart", "Grid", "areas", "bars", "shares", "sparkline"]

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


@dataclass(frozen=True, slots=True)
class Area:
    """A line from left to right and the area below it, as SVG paths in a box 100 wide."""

    line: str
    below: str


@dataclass(frozen=True, slots=True)
class AreaChart:
    """Areas over the same places, the lines behind them from the top down, and where marks go (percent)."""

    areas: tuple[Area, ...]
    grid: tuple[Grid, ...]
    ticks: tuple[tuple[int, float], ...]


def areas(series: Sequence[Sequence[int]], *, ticks: int = 6) -> AreaChart:
    """One area for each of `series`, all equally long and not empty, of values that are at least 0."""
    top = _above(max(max(values) for values in series))
    lines = tuple(Grid(round(HEIGHT - HEIGHT * part / 2, 2), top * part // 2) for part in (2, 1, 0))
    count = len(series[0])
    step = max(1, -(-count // ticks))
    marked = tuple((place, round(_across(place, count), 3)) for place in range(0, count, step))
    return AreaChart(tuple(_area(values, top, HEIGHT) for values in series), lines, marked)


def sparkline(values: Sequence[int], height: int) -> Area:
    """A small area without a scale, its highest value at the top of `height` pixels."""
    return _area(values, max(*values, 1), height)


def shares(values: Sequence[int]) -> tuple[float, ...]:
    """Each value in percent of the greatest; 0 for all where none is more."""
    most = max(values, default=0)
    return tuple(round(100 * value / most, 2) if most else 0.0 for value in values)


def _area(values: Sequence[int], top: int, height: int) -> Area:
    if len(values) == 1:  # a day alone is a level line
        values = [values[0], values[0]]
    room = height - SMALLEST  # so that the line is not cut in half at the top
    points = [
        f"{_across(place, len(values)):.2f} {height - room * value / top:.1f}"
        for place, value in enumerate(values)
    ]
    line = "M" + "L".join(points)
    return Area(line, f"{line}V{height}H0Z")


def _across(place: int, count: int) -> float:
    return 100 * place / (count - 1) if count > 1 else 0.0
