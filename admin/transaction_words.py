"""Words for transactions: their kinds, what they moved, and what became of them."""

from datetime import datetime
from typing import NamedTuple

from admin.language import change, language, points, soon
from admin.language import gettext as _
from ledger.reports import TransactionLine
from protocol.codes import code_info

__all__ = [
    "Shown", "kind_name", "kind_names", "moved", "reason", "service_name", "side_word", "standing",
]  # fmt: skip


class Shown(NamedTuple):
    """A cell: how it looks (a class of the stylesheet), its words, and what else there is to say."""

    look: str
    words: str
    more: str | None = None


def kind_names() -> dict[str, str]:
    """The words for all kinds, in the page's language."""
    return {
        "redeem": _("Redeem"),
        "hold": _("Hold"),
        "capture": _("Capture"),
        "release": _("Release"),
        "lapse": _("Hold expired"),
        "refund": _("Refund"),
        "reversal": _("Reversal"),
        "tombstone": _("Void"),
        "grant": _("Grant"),
        "adjustment": _("Adjustment"),
        "expiry": _("Expiry"),
        "pin_change": _("PIN change"),
    }


def kind_name(kind: str) -> str:
    """The word for a kind of transaction, in the page's language."""
    return kind_names()[kind]


def moved(line: TransactionLine) -> Shown:
    """The points of a line: what came or went with its sign, what was only set aside without one."""
    only_held = line.kind in {"hold", "release", "lapse"} or (line.kind == "reversal" and not line.undoes)
    if only_held and line.points:
        what = _("Reserved, not spent") if line.kind == "hold" else _("No longer reserved")
        return Shown("aside", points(line.points), what)
    if line.kind == "pin_change":
        return Shown("none", "–")
    look = "up" if line.change > 0 else "down" if line.change < 0 else "none"
    return Shown(look, change(line.change))


def reason(code: int) -> str:
    """Why something was refused, in the words that its terminal got."""
    info = code_info(code)
    return info.text_zh if language() == "zh" else info.text


def standing(line: TransactionLine, now: datetime) -> Shown:
    """What became of a transaction, as of now."""
    if line.code != 0:
        return Shown("refused", _("Refused"), reason(line.code))
    held = line.hold_state(now)
    if held is not None:
        return _hold_standing(held, line, now)
    if line.reversed:
        return Shown("reversed", _("Reversed"))
    if line.refunded >= line.points > 0:
        return Shown("reversed", _("Refunded"))
    if line.refunded:
        part = _("%(part)s of %(whole)s", part=points(line.refunded), whole=points(line.points))
        return Shown("reversed", _("Partly refunded"), part)
    if line.kind in {"lapse", "expiry"}:  # nobody asked for these
        return Shown("idle", _("Booked"))
    return Shown("approved", _("Approved"))


def _hold_standing(state: str, line: TransactionLine, now: datetime) -> Shown:
    match state:
        case "captured":
            return Shown("approved", _("Captured"))
        case "released":
            return Shown("idle", _("Released"))
        case "reversed":
            return Shown("reversed", _("Reversed"))
        case "expired":
            return Shown("idle", _("Expired"))
    until = _("until %(time)s", time=soon(line.held_until, now)) if line.held_until else None
    return Shown("open", _("Open"), until)


def service_name(line: TransactionLine) -> str | None:
    """The service's name in the page's language."""
    return (line.service_zh if language() == "zh" else None) or line.service


def side_word(side: str) -> str:
    """Between whom points go."""
    return {"funder": _("Funder"), "member": _("Member"), "merchant": _("Merchant")}[side]
