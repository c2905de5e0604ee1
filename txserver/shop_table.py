"""The board of a played shop as a table for the terminal window: 80 cells wide at the most."""

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.table import Table
from rich.text import Text

from txserver.pos_texts import Texts
from txserver.shop_plan import Action
from txserver.shop_tally import Board, Row, SeatState

__all__ = ["BOARD_WIDTH", "board_view", "milliseconds"]

BOARD_WIDTH = 80
"""Cells of a line: the window that every terminal program opens with."""

_COLUMNS = (
    ("number", 2), ("terminal", 6), ("state", 8), ("doing", 9), ("approved", 6), ("refused", 7),
    ("undone", 6), ("open", 5), ("points", 8), ("p50", 5), ("p99", 6),
)  # fmt: skip
"""Names of the columns and their cells; one cell lies between two of them."""

_WORDS = 4
"""The first columns are words, to the left; the others are numbers, to the right."""

_COLOURS = {
    SeatState.ONLINE: "green",
    SeatState.BALANCED: "green",
    SeatState.OFFLINE: "yellow",
    SeatState.CLOSING: "cyan",
    SeatState.DIFFERS: "red",
    SeatState.OWING: "yellow",
    SeatState.FAULT: "red",
}


def board_view(board: Board, texts: Texts) -> Group:
    """The heading and the table. `board` is all that it shows."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, (name, cells) in enumerate(_COLUMNS):
        heading = Text(_fitted(texts(f"shop.column.{name}"), cells))
        table.add_column(
            heading,
            justify="left" if place < _WORDS else "right",
            width=cells,
            no_wrap=True,
            header_style="bold",
        )
    # All of them first: a window that is too low cuts off the last lines.
    table.add_row(*_cells(board.total, texts), style="bold")
    table.add_row(*("─" * cells for _, cells in _COLUMNS), style="dim")
    for row in board.rows:
        table.add_row(*_cells(row, texts))
    return Group(Text(_heading(board, texts), style="cyan"), table)


def milliseconds(value: float | None) -> str:
    """A time as people compare it: a decimal below 10 ms, none above."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _heading(board: Board, texts: Texts) -> str:
    return texts(
        "shop.heading",
        terminals=len(board.rows),
        elapsed=f"{min(board.elapsed_s, board.planned_s):.0f}",
        planned=f"{board.planned_s:.0f}",
        steps=board.steps,
        rate=f"{board.per_s:.1f}",
    )


def _cells(row: Row, texts: Texts) -> list[Text]:
    state = Text() if row.state is None else _state(row.state, texts)
    if row.number is None:
        words = [Text(""), Text(texts("shop.all")), state, Text("")]
    else:
        terminal = "–" if row.terminal is None else str(row.terminal)
        words = [Text(str(row.number)), Text(terminal), state, Text(_doing(row.doing, texts))]
    numbers = [
        str(row.approved), str(row.refused), str(row.undone), str(row.open), str(row.points),
        milliseconds(row.p50_ms), milliseconds(row.p99_ms),
    ]  # fmt: skip
    cells = words + [Text(number) for number in numbers]
    return [_cut(cell, size) for cell, (_, size) in zip(cells, _COLUMNS, strict=True)]


def _state(state: SeatState, texts: Texts) -> Text:
    return Text(texts(f"shop.state.{state.value}"), style=_COLOURS.get(state, ""))


def _doing(action: Action | None, texts: Texts) -> str:
    return "" if action is None else texts(f"shop.doing.{action.value}")


def _cut(text: Text, cells: int) -> Text:
    text.truncate(cells, overflow="ellipsis")
    return text


def _fitted(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells)
