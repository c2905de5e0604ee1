"""What came of a played shop: one struct, its receipt, and the same as plain data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from txserver.pos_inquiries import day_facts
from txserver.pos_texts import Texts
from txserver.receipt import BAD, GOOD, WARNING, WIDTH, Line, Receipt, columns, txid_text
from txserver.receipt_day import difference_text
from txserver.shop_plan import Action
from txserver.shop_table import milliseconds
from txserver.shop_tally import Board
from txserver.terminal import DayEnd

__all__ = ["SeatDay", "ShopDay", "exit_code", "shop_facts", "shop_receipt", "verdict"]

_DONE = ("approved", "reversed")
_REFUSED = ("refused", "never")

_NAME = -15
_NUMBER = (WIDTH + _NAME) // 3


@dataclass(frozen=True, slots=True)
class SeatDay:
    """How one terminal ended. `days`: its closed batches; `trouble`: why there is none, in a sentence."""

    number: int
    terminal: int | None
    days: tuple[DayEnd, ...]
    unsettled: int = 0
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class ShopDay:
    """The whole shop's. `counts`: how often each action came out how."""

    board: Board
    counts: Mapping[tuple[Action, str], int]
    seats: tuple[SeatDay, ...]
    seed: int


def verdict(day: ShopDay) -> str:
    """balanced; differs: closed, but not in balance; unsettled: some terminal's day did not end."""
    if any(seat.trouble is not None or seat.unsettled or not seat.days for seat in day.seats):
        return "unsettled"
    return "balanced" if _in_balance(day) == len(day.seats) else "differs"


def exit_code(day: ShopDay) -> int:
    """0 settled and balanced, 1 not, 2 a terminal could not work."""
    if any(seat.trouble is not None for seat in day.seats):
        return 2
    return 0 if verdict(day) == "balanced" else 1


def _in_balance(day: ShopDay) -> int:
    return sum(bool(seat.days) and all(each.balanced for each in seat.days) for seat in day.seats)


def shop_receipt(day: ShopDay, texts: Texts) -> Receipt:
    """The summary, as it lies on the counter."""
    board = day.board
    total = board.total
    latency = texts("shop.latency_value", p50=milliseconds(total.p50_ms), p99=milliseconds(total.p99_ms))
    lines: list[Line] = [
        (texts("shop.terminals"), str(len(day.seats))),
        (texts("shop.seconds"), f"{board.elapsed_s:.0f}"),
        (texts("shop.steps"), str(board.steps)),
        (texts("shop.rate"), f"{board.per_s:.1f}"),
        (texts("shop.latency"), latency),
        (texts("shop.net"), str(total.points)),
        (texts("shop.seed"), str(day.seed)),
        "",
        *_by_action(day.counts, texts),
        "",
        (
            texts("shop.days"),
            texts("shop.days_value", balanced=_in_balance(day), terminals=len(day.seats)),
        ),
    ]
    unsettled = sum(seat.unsettled for seat in day.seats)
    if unsettled:
        lines.append((texts("shop.unsettled"), str(unsettled)))
    for seat in day.seats:
        lines += _seat_lines(seat, texts)
    found = verdict(day)
    tone = {"balanced": GOOD, "differs": BAD}.get(found, WARNING)
    return Receipt(texts(f"title.shop.{found}"), tone, tuple(lines))


def _by_action(counts: Mapping[tuple[Action, str], int], texts: Texts) -> list[Line]:
    """A line for each action: how often it was done, refused, or neither."""
    heads = [(texts(f"shop.column.{name}"), _NUMBER) for name in ("approved", "refused", "open")]
    lines: list[Line] = [columns([("", _NAME), *heads])]
    for action in Action:
        told = Counter[str]()
        for (each, outcome), count in counts.items():
            if each is action:
                told["done" if outcome in _DONE else "refused" if outcome in _REFUSED else "open"] += count
        if told:
            numbers = [(str(told[name]), _NUMBER) for name in ("done", "refused", "open")]
            lines.append(columns([(texts(f"shop.doing.{action.value}"), _NAME), *numbers]))
    return lines


def _seat_lines(seat: SeatDay, texts: Texts) -> list[Line]:
    """What is not as it should be at one terminal; nothing when all is."""
    name = texts("shop.terminal", terminal=seat.terminal or f"#{seat.number}")
    if seat.trouble is not None:
        return ["", f"{name}: {texts('shop.no_day', why=seat.trouble)}"]
    lines: list[Line] = []
    if not seat.days:
        why = texts("fault.unsettled", count=seat.unsettled) if seat.unsettled else texts("shop.left")
        lines += ["", f"{name}: {why}"]
    for day in seat.days:
        if day.balanced:
            continue
        lines += ["", (name, f"{texts('batch')} {day.batch}")]
        for result in day.results:
            lines += [txid_text(result.id), f"  {difference_text(result, texts)}"]
    return lines


def shop_facts(day: ShopDay) -> dict[str, Any]:
    """The summary for scripts."""
    board = day.board
    by_action: dict[str, dict[str, int]] = {}
    for (action, outcome), count in sorted(
        day.counts.items(), key=lambda item: (item[0][0].value, item[0][1])
    ):
        by_action.setdefault(action.value, {})[outcome] = count
    return {
        "outcome": verdict(day),
        "seed": day.seed,
        "seconds": round(board.elapsed_s, 3),
        "steps": board.steps,
        "per_second": round(board.per_s, 3),
        "p50_ms": None if board.total.p50_ms is None else round(board.total.p50_ms, 3),
        "p99_ms": None if board.total.p99_ms is None else round(board.total.p99_ms, 3),
        "points": board.total.points,
        "unsettled": sum(seat.unsettled for seat in day.seats),
        "actions": by_action,
        "terminals": [
            {
                "number": seat.number,
                "terminal": seat.terminal,
                "unsettled": seat.unsettled,
                "trouble": seat.trouble,
                "days": [day_facts(each) for each in seat.days],
            }
            for seat in day.seats
        ],
    }
