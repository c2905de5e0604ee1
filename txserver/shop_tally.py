"""What the terminals of a played shop have seen so far, counted; and the board that is made of it.

Seconds go by whatever clock the player uses; nothing here asks one.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import ceil

from txserver.shop_plan import Action

__all__ = ["Board", "Row", "Seat", "SeatState", "Times", "board_of", "merged"]

_COLUMN = {"approved": "approved", "refused": "refused", "never": "refused", "reversed": "undone"}
"""Outcomes and the column that counts them; every other one is among the open ones."""

_SIGN = {Action.REDEEM: 1, Action.TOO_MUCH: 1, Action.WRONG_PIN: 1, Action.CAPTURE: 1,
         Action.REFUND: -1, Action.REVERSE: -1}  # fmt: skip
"""Which steps spend points and which give them back; holding and releasing spend none."""


class SeatState(Enum):
    """Where a terminal is in its day. The values are names of texts."""

    STARTING = "starting"
    ONLINE = "online"
    OFFLINE = "offline"
    CLOSING = "closing"
    BALANCED = "balanced"
    DIFFERS = "differs"
    OWING = "owing"
    FAULT = "fault"


class Times:
    """Seconds that replies took, kept in order, so that any percentile is there at once."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self.seconds = sorted(seconds)

    def add(self, seconds: float) -> None:
        """One more reply."""
        insort(self.seconds, seconds)

    def __len__(self) -> int:
        return len(self.seconds)

    def at(self, percent: int) -> float | None:
        """The time within which `percent` of a hundred came (nearest rank); None when none came."""
        if not self.seconds:
            return None
        return self.seconds[max(1, ceil(len(self.seconds) * percent / 100)) - 1]

    @classmethod
    def of_all(cls, parts: Iterable["Times"]) -> "Times":
        """Those of several together."""
        return cls(seconds for part in parts for seconds in part.seconds)


@dataclass
class Seat:
    """One terminal as it is now. `doing`: its latest step, also while it waits for the next customer.

    `points`: spent less given back. `unsettled`: outcomes that are owed.
    """

    number: int
    terminal: int | None = None
    state: SeatState = SeatState.STARTING
    doing: Action | None = None
    counts: Counter[tuple[Action, str]] = field(default_factory=Counter)
    points: int = 0
    unsettled: int = 0
    times: Times = field(default_factory=Times)

    def count(self, action: Action, outcome: str, *, seconds: float, points: int = 0) -> None:
        """A step that came out; `outcome` is the value of a terminal's Outcome, `points` what it moved."""
        self.counts[action, outcome] += 1
        self.times.add(seconds)
        if _COLUMN.get(outcome) in ("approved", "undone"):
            self.points += _SIGN.get(action, 0) * points

    def column(self, name: str) -> int:
        """How many came out so: approved, refused, undone or open."""
        return sum(
            count for (_, outcome), count in self.counts.items() if _COLUMN.get(outcome, "open") == name
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the board. Times are milliseconds; None before the first reply."""

    number: int | None
    terminal: int | None
    state: SeatState | None
    doing: Action | None
    approved: int
    refused: int
    undone: int
    open: int
    points: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Board:
    """The whole shop at a moment: a row for each terminal, and one for all."""

    rows: tuple[Row, ...]
    total: Row
    elapsed_s: float
    planned_s: float
    steps: int

    @property
    def per_s(self) -> float:
        """Steps a second so far."""
        return self.steps / self.elapsed_s if self.elapsed_s > 0 else 0.0


def board_of(seats: Sequence[Seat], *, elapsed_s: float, planned_s: float) -> Board:
    """The board of the present moment."""
    rows = tuple(_row(seat) for seat in seats)
    total = Row(
        number=None,
        terminal=None,
        state=None,
        doing=None,
        approved=sum(row.approved for row in rows),
        refused=sum(row.refused for row in rows),
        undone=sum(row.undone for row in rows),
        open=sum(row.open for row in rows),
        points=sum(row.points for row in rows),
        **_percentiles(Times.of_all(seat.times for seat in seats)),
    )
    steps = sum(seat.counts.total() for seat in seats)
    return Board(rows, total, elapsed_s, planned_s, steps)


def merged(seats: Iterable[Seat]) -> Counter[tuple[Action, str]]:
    """How often each action came out how, at all terminals."""
    return sum((seat.counts for seat in seats), Counter())


def _row(seat: Seat) -> Row:
    return Row(
        number=seat.number,
        terminal=seat.terminal,
        state=seat.state,
        doing=seat.doing,
        approved=seat.column("approved"),
        refused=seat.column("refused"),
        undone=seat.column("undone"),
        open=seat.column("open"),
        points=seat.points,
        **_percentiles(seat.times),
    )


def _percentiles(times: Times) -> dict[str, float | None]:
    p50, p99 = times.at(50), times.at(99)
    return {
        "p50_ms": None if p50 is None else p50 * 1000,
        "p99_ms": None if p99 is None else p99 * 1000,
    }
