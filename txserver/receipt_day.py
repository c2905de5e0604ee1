"""The receipt of a day's end: both sides' totals, and each difference with what it means for the clerk."""

from collections.abc import Iterable

from protocol.messages import BatchResult, BatchTotal
from txserver.pos_texts import Texts
from txserver.receipt import BAD, GOOD, Line, Receipt, columns, head, txid_text
from txserver.terminal_batches import DayEnd
from txserver.terminal_identity import TerminalIdentity

__all__ = ["day_receipt", "difference_text"]

KINDS = ("redeem", "hold", "capture", "release", "refund", "reversal")
"""In the order of a day: what is sold, what is held and becomes of it, what is given back."""

_KIND, _COUNT, _POINTS = -12, 6, 12
"""Cells of the columns, -: to the left. The sides fill the width: one of them has the room of two."""

BACKWARDS = 3023


def day_receipt(day: DayEnd, identity: TerminalIdentity, texts: Texts) -> Receipt:
    """How a batch was closed."""
    lines = head(identity, texts)
    lines.append((texts("batch"), str(day.batch)))
    lines.append("")
    lines += _totals(day, texts)
    if day.results:
        lines += ["", texts("day.differences")]
        for result in day.results:
            lines += _difference(result, texts)
    elif not day.balanced:
        lines += ["", texts("day.closed_before" if day.code == BACKWARDS else "day.no_items")]
    if day.resumed:
        lines += ["", texts("day.resumed")]
    title = "title.day.balanced" if day.balanced else "title.day.differs"
    return Receipt(texts(title), GOOD if day.balanced else BAD, tuple(lines))


def difference_text(result: BatchResult, texts: Texts) -> str:
    """What one difference is, in words; its name when it is newer than this program."""
    name = f"differs.{result.outcome}"
    if result.outcome == "late" and result.booked is not None:
        name = "differs.late_on"
    known = texts.word("differs", result.outcome)
    if known == result.outcome:
        return known
    return texts(name, points=result.points, day=result.booked)


def _totals(day: DayEnd, texts: Texts) -> list[Line]:
    """A line for each kind: count and points, of one side when they agree, of both when they do not."""
    own, server = _by_kind(day.own), _by_kind(day.server)
    kinds = [kind for kind in KINDS if kind in own or kind in server]
    kinds += sorted((own.keys() | server.keys()) - set(KINDS))
    if not kinds:
        return [texts("day.none")]
    sides = [own] if day.balanced else [own, server]
    room = 2 // len(sides)
    lines: list[Line] = []
    if not day.balanced:
        heads = [(texts("day.here"), _COUNT + _POINTS), (texts("day.server"), _COUNT + _POINTS)]
        lines.append(columns([("", _KIND), *heads]))
    for kind in kinds:
        cells = [(texts.kind(kind), _KIND)]
        for side in sides:
            total = side.get(kind)
            cells += [
                (f"{0 if total is None else total.count}×", _COUNT * room),
                (f"{0 if total is None else total.points}", _POINTS * room),
            ]
        lines.append(columns(cells))
    return lines


def _difference(result: BatchResult, texts: Texts) -> list[Line]:
    kind = "" if result.kind is None else texts.kind(result.kind)
    points = f"{result.points}" if result.points else ""
    about: list[Line] = [(f"  {kind}", points)] if kind or points else []
    return [txid_text(result.id), *about, difference_text(result, texts)]


def _by_kind(totals: Iterable[BatchTotal]) -> dict[str, BatchTotal]:
    return {total.kind: total for total in totals}
