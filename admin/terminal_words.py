"""Words for terminals: what they are, how they stand, and what two sides of a batch differ in."""

from datetime import datetime

from flask_babel import ngettext, to_user_timezone

from admin.language import gettext as _
from admin.language import language, points
from ledger.terminal_lists import Difference, TerminalLine
from protocol.codes import code_info

__all__ = [
    "age", "at_server", "at_terminal", "clock_off", "connection_standing", "device_kinds", "difference_words",
    "terminal_standing",
]  # fmt: skip

CLOCK_WRONG_S = 60  # from here on receipts and lists disagree about the minute
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def device_kinds() -> dict[str, str]:
    """The kinds of terminals that there are, by name."""
    return {"pos": _("POS"), "phone": _("Phone"), "counter": _("Counter")}


def terminal_standing(status: str) -> tuple[str, str]:
    """How a terminal's status looks (a class of the stylesheet), and its word."""
    shown: dict[str, tuple[str, str]] = {
        "created": ("open", _("Waiting")),
        "active": ("approved", _("Active")),
        "revoked": ("idle", _("Revoked")),
    }
    return shown[status]


def connection_standing(line: TerminalLine, now: datetime) -> tuple[str, str]:
    """Whether a terminal is connected: a class of the stylesheet, and the word."""
    return ("approved", _("Connected")) if line.connected(now) else ("idle", _("Not connected"))


def age(since: datetime, now: datetime) -> str:
    """How many days ago that was, by the calendar: today, 1 day, 20 days."""
    days = (to_user_timezone(now).date() - to_user_timezone(since).date()).days
    return str(ngettext("%(num)s day", "%(num)s days", days)) if days > 0 else str(_("today"))


def clock_off(seconds: int) -> tuple[str, str]:
    """How a terminal's clock looks (a class of the stylesheet), and how far it is off, in words."""
    size = abs(seconds)
    if size < 2:
        return "none", _("correct")
    if size < 2 * MINUTE_S:
        span = _("%(count)s s", count=size)
    elif size < 2 * HOUR_S:
        span = _("%(count)s min", count=size // MINUTE_S)
    elif size < 2 * DAY_S:
        span = _("%(count)s h", count=size // HOUR_S)
    else:
        span = _("%(count)s d", count=size // DAY_S)
    words = _("%(span)s ahead", span=span) if seconds > 0 else _("%(span)s behind", span=span)
    return "off" if size >= CLOCK_WRONG_S else "none", words


def difference_words(difference: Difference) -> tuple[str, str]:
    """The name of a difference, and what it means."""
    words: dict[str, tuple[str, str]] = {
        "reply_lost": (
            _("The reply was lost"),
            _("Booked here; the terminal does not know. Refund it if the service was not given."),
        ),
        "reversal_pending": (
            _("Reversal not yet delivered"),
            _("Taken back at the terminal, not yet here. It follows by itself."),
        ),
        "late": (
            _("Late"),
            _("Booked here after the batch was closed, or in another one. Nothing is to be done."),
        ),
        "unknown_here": (
            _("Unknown here"),
            _("The terminal counts it as done; it never arrived. No points were moved."),
        ),
        "unknown_there": (
            _("Unknown there"),
            _("Booked here; the terminal did not list it."),
        ),
        "amount_differs": (
            _("Amount differs"),
            _("Booked here with another amount than at the terminal."),
        ),
        "agrees": (
            _("Agrees by now"),
            _("The sides differed before."),
        ),
    }
    return words[difference.outcome]


def at_terminal(difference: Difference) -> str:
    """What the terminal said of a transaction."""
    if difference.terminal_state is None:
        return _("not listed")
    states: dict[str, str] = {
        "approved": _("Approved"),
        "refused": _("Refused"),
        "reversed": _("Reversed"),
        "unknown": _("Outcome unknown"),
    }
    return _with_points(states[difference.terminal_state], difference.terminal_points)


def at_server(difference: Difference) -> str:
    """What is booked here of a transaction."""
    if difference.server_code is None:
        return _("not here")
    if difference.server_code == 0:
        return _with_points(_("Approved"), difference.server_points)
    info = code_info(difference.server_code)
    return info.text_zh if language() == "zh" else info.text


def _with_points(word: str, amount: int | None) -> str:
    return word if amount is None else _("%(word)s, %(points)s", word=word, points=points(amount))
