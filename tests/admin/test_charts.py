"""Bars and areas: where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.charts import HEIGHT, SMALLEST, areas, bars, shares, sparkline


def test_bars_stand_side_by_side_in_equal_shares() -> None:
    chart = bars([1, 2, 3, 4])
    assert [bar.middle for bar in chart.bars] == [12.5, 37.5, 62.5, 87.5]
    assert len({bar.width for bar in chart.bars}) == 1
    for left, right in zip(chart.bars, chart.bars[1:], strict=False):
        assert left.x + left.width < right.x
    assert chart.bars[-1].x + chart.bars[-1].width < 100


def test_a_bar_is_as_high_as_its_share_of_the_scale() -> None:
    chart = bars([0, 30, 40])
    assert [bar.height for bar in chart.bars] == [0, HEIGHT * 0.75, HEIGHT]
    assert all(bar.y + bar.height == HEIGHT for bar in chart.bars)
    assert [(line.y, line.value) for line in chart.grid] == [(0, 40), (HEIGHT / 2, 20), (HEIGHT, 0)]


def test_what_is_not_nothing_can_be_seen() -> None:
    assert [bar.height for bar in bars([1, 10**9]).bars] == [SMALLEST, HEIGHT]


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (3, 4), (5, 6), (7, 10), (11, 20), (99, 100), (6_001, 10_000)]
)
def test_the_scale_ends_at_a_round_number_whose_half_is_one_too(highest: int, top: int) -> None:
    grid = bars([highest]).grid
    assert [line.value for line in grid] == [top, top // 2, 0]


@given(st.lists(st.lists(st.integers(0, 10**12), min_size=5, max_size=5), min_size=1, max_size=3))
def test_areas_stay_inside_the_plot_and_share_one_scale(series: list[list[int]]) -> None:
    chart = areas(series)
    assert chart.grid[0].value >= max(map(max, series))
    for values, area in zip(series, chart.areas, strict=True):
        points = [tuple(map(float, point.split())) for point in area.line[1:].split("L")]
        assert [x for x, _ in points] == [0, 25, 50, 75, 100]
        for (_, y), value in zip(points, values, strict=True):
            assert abs(HEIGHT - y - (HEIGHT - 2) * value / chart.grid[0].value) <= 0.1
        assert area.below.startswith(area.line)
    assert [place for place, _ in areas([[0] * 30]).ticks] == [0, 5, 10, 15, 20, 25]


def test_small_charts_of_little() -> None:
    assert sparkline([7], 44).line == "M0.00 2.0L100.00 2.0"
    assert sparkline([0, 0], 44).line == "M0.00 44.0L100.00 44.0"
    assert shares([50, 200, 0]) == (25.0, 100.0, 0.0)
    assert shares([0]) == (0.0,)
    assert shares([]) == ()
