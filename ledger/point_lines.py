"""Whom an order of points is for: a pasted or uploaded list of members' codes, or a filter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

from sqlalchemy import Connection, text

from ledger.postings import MAX_POINTS

__all__ = [
    "LINES_MOST", "Fault", "Line", "MemberFilter", "Wanted", "find_accounts", "read_cells", "read_pasted",
    "read_points", "read_rows",
]  # fmt: skip

LINES_MOST = 100_000  # members of one order
CODE_NAMES = frozenset({"code", "member code", "member no", "会员编号", "会员号", "编号"})
POINTS_NAMES = frozenset({"points", "积分", "积分数"})

FIND = text(
    """SELECT k.place, a.slot, a.id AS account, m.status = 'active' AND a.status = 'open' AS open
       FROM unnest(CAST(:codes AS text[])) WITH ORDINALITY AS k(code, place)
       JOIN member m ON m.enterprise_id = :tenant AND m.code = k.code
       JOIN account a ON a.member_id = m.id AND a.enterprise_id = :tenant"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of a list: from which place in it, whose code, how many points."""

    place: int
    code: str
    points: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be used. `why`: points, missing (no points), twice, unknown or closed."""

    place: int
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """An account, and its points."""

    slot: int
    account: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFilter:
    """Members of a unit and all below it, with a card of a product, who joined between two days, inclusive.

    What is None does not matter.
    """

    unit: int | None = None
    product: int | None = None
    joined_since: date | None = None
    joined_until: date | None = None


def read_points(typed: str) -> int | None:
    """A whole number of points from 1 on, perhaps with commas or spaces in it; None for anything else."""
    digits = typed.strip().replace(",", "").replace(" ", "").replace("\N{NO-BREAK SPACE}", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 13):
        return None
    return int(digits) if 0 < int(digits) <= MAX_POINTS else None


def read_pasted(pasted: str, points: int | None) -> tuple[list[Wanted], list[Fault]]:
    """A code a line, and behind a tab, a comma, a semicolon or a space its points; else `points` for each."""
    rows = []
    for line in pasted.splitlines():
        for mark in ("\t", ";", ",", "\N{FULLWIDTH COMMA}"):
            if mark in line:
                rows.append(line.split(mark, 1))
                break
        else:
            rows.append(line.split(None, 1))
    return read_cells(rows, points)


def read_rows(
    rows: Iterable[tuple[int, Sequence[str]]], points: int | None
) -> tuple[list[Wanted], list[Fault]]:
    """Rows of a file, with their numbers: as pasted, unless the first one names the columns."""
    lines = iter(rows)
    number, first = next(lines, (1, ()))
    names = [" ".join(cell.split()).lower() for cell in first]
    code, amount = _column(names, CODE_NAMES), _column(names, POINTS_NAMES)
    if code is None:
        lines = chain([(number, first)], lines)
        code, amount = 0, 1

    def cell(cells: Sequence[str], place: int | None) -> str:
        return cells[place] if place is not None and place < len(cells) else ""

    numbered = [(place, [cell(cells, code), cell(cells, amount)]) for place, cells in lines]
    wanted, faults = read_cells([cells for _, cells in numbered], points, first=0)
    places = [place for place, _ in numbered]
    return (
        [replace(each, place=places[each.place]) for each in wanted],
        [replace(each, place=places[each.place]) for each in faults],
    )


def _column(names: Sequence[str], known: frozenset[str]) -> int | None:
    return next((place for place, name in enumerate(names) if name in known), None)


def read_cells(
    rows: Iterable[Sequence[str]], points: int | None, *, first: int = 1
) -> tuple[list[Wanted], list[Fault]]:
    """Rows of a code and perhaps points, counted from `first`; empty ones are passed over."""
    wanted: list[Wanted] = []
    faults: list[Fault] = []
    seen: set[str] = set()
    for place, cells in enumerate(rows, first):
        code = cells[0].strip() if cells else ""
        told = cells[1].strip() if len(cells) > 1 else ""
        if not code and not told:
            continue
        number = read_points(told) if told else points
        if code in seen:
            faults.append(Fault(place, code, "twice"))
        elif number is None:
            faults.append(Fault(place, code, "points" if told else "missing"))
        else:
            wanted.append(Wanted(place, code, number))
        seen.add(code)
    return wanted, faults


def find_accounts(
    connection: Connection, tenant: int, wanted: Sequence[Wanted]
) -> tuple[list[Line], list[Fault]]:
    """The accounts of an enterprise's members by codes, in the list's order, as far as the scope goes."""
    codes = [each.code.replace("\0", "") for each in wanted]
    rows = connection.execute(FIND, {"codes": codes, "tenant": tenant})
    found = {row.place: row for row in rows}
    lines: list[Line] = []
    faults: list[Fault] = []
    for place, each in enumerate(wanted, 1):
        row = found.get(place)
        if row is None or not row.open:
            faults.append(Fault(each.place, each.code, "unknown" if row is None else "closed"))
        else:
            lines.append(Line(row.slot, row.account, each.points))
    return lines, faults
