"""The board in a window of 80 cells, in both languages."""

import io
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from txserver.pos_texts import LANGUAGES, Texts
from txserver.shop_plan import Action
from txserver.shop_table import _COLUMNS, BOARD_WIDTH, board_view, milliseconds
from txserver.shop_tally import Board, Seat, SeatState, board_of


def shown(board: Board, language: str) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=BOARD_WIDTH, highlight=False, markup=False).print(
        board_view(board, Texts(language))
    )
    return out.getvalue().splitlines()


def create_seat(number: int, **changes: object) -> Seat:
    seat = Seat(number, **changes)  # type: ignore[arg-type]
    seat.count(Action.REDEEM, "approved", seconds=0.0042, points=120)
    return seat


@pytest.mark.parametrize("language", LANGUAGES)
@given(
    seats=st.integers(1, 12), steps=st.integers(0, 10**7), points=st.integers(-(10**9), 10**9),
    terminal=st.integers(1, 10**9), seconds=st.floats(0.01, 10_000),
)  # fmt: skip
def test_no_line_is_wider_than_the_window(
    language: str, seats: int, steps: int, points: int, terminal: int, seconds: float
) -> None:
    chance = Random(steps)
    rows = [
        create_seat(
            number, terminal=terminal, state=chance.choice(list(SeatState)), doing=chance.choice(list(Action))
        )
        for number in range(1, seats + 1)
    ]
    rows[0].counts[Action.REDEEM, "refused"] = steps
    rows[0].points = points
    rows[0].times.add(seconds)
    lines = shown(board_of(rows, elapsed_s=seconds, planned_s=99_999), language)
    assert len(lines) == seats + 4
    assert max(cell_len(line.rstrip()) for line in lines) <= BOARD_WIDTH


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_heading_state_and_action_fits_its_column(language: str) -> None:
    texts, sizes = Texts(language), dict(_COLUMNS)
    for name, cells in _COLUMNS:
        assert cell_len(texts(f"shop.column.{name}")) <= cells
    for state in SeatState:
        assert cell_len(texts(f"shop.state.{state.value}")) <= sizes["state"]
    for action in Action:
        assert cell_len(texts(f"shop.doing.{action.value}")) <= sizes["doing"]


def test_all_of_them_come_first_and_then_each() -> None:
    board = board_of(
        [create_seat(1, terminal=41, state=SeatState.ONLINE, doing=Action.HOLD), create_seat(2, terminal=42)],
        elapsed_s=12.4, planned_s=60,
    )  # fmt: skip
    heading, _, total, _, first, second = shown(board, "en")
    assert heading.rstrip() == "Shop of 2 terminals · 12 of 60 s · 2 steps, 0.2 a second"
    assert total.split() == ["all", "2", "0", "0", "0", "240", "4.2", "4.2"]
    assert first.split() == ["1", "41", "online", "hold", "1", "0", "0", "0", "120", "4.2", "4.2"]
    assert second.split()[:3] == ["2", "42", "starting"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0, "0.0"), (9.94, "9.9"), (10.4, "10"), (1234.5, "1234")]
)
def test_times(value: float | None, text: str) -> None:
    assert milliseconds(value) == text
