"""The live list of the latest transactions."""

from datetime import datetime
from typing import NamedTuple, cast, get_args

from flask import Blueprint, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.language import change, language, points, soon
from admin.language import gettext as _
from ledger.businessday import business_date
from ledger.reports import NO_BOUND, Outcome, TransactionLine, latest_transactions
from protocol.codes import code_info

__all__ = ["PAGE_ROWS", "blueprint"]

PAGE_ROWS = 30  # two screens; the rest is one click away

blueprint = Blueprint("transactions", __name__)


@blueprint.get("/")
@requires("transactions.view")
def latest() -> ResponseReturnValue:
    """The page: newest first, or, with `before`, those older than that transaction."""
    outcome, before = _asked_outcome(), _asked_before()
    with current.database().transaction(current.scope()) as connection:
        lines = latest_transactions(connection, outcome=outcome, before=before, limit=PAGE_ROWS + 1)
        open_day = business_date(connection)
    return render_template(
        "transactions/list.html",
        lines=lines[:PAGE_ROWS],
        older=len(lines) > PAGE_ROWS,
        before=before,
        outcome=outcome,
        business_date=open_day,
        now=current.now(),
    )


@blueprint.get("/transactions/live")
@requires("transactions.view")
def live() -> ResponseReturnValue:
    """The rows of the first page, for the page's script: 304 when they are what it has.

    Always the whole page and not what came after an id: transactions that commit at once need not
    appear in the order of their ids, and a row changes when it is reversed.
    """
    outcome = _asked_outcome()
    with current.database().transaction(current.scope()) as connection:
        lines = latest_transactions(connection, outcome=outcome, limit=PAGE_ROWS + 1)
    rows = render_template("transactions/rows.html", lines=lines[:PAGE_ROWS], now=current.now())
    answer = make_response(rows)
    answer.headers["X-Older"] = "1" if len(lines) > PAGE_ROWS else "0"
    answer.add_etag()
    return answer.make_conditional(request)


def _asked_outcome() -> Outcome:
    asked = request.args.get("outcome", "all")
    if asked not in get_args(Outcome):
        abort(404)
    return cast("Outcome", asked)


def _asked_before() -> int | None:
    asked = request.args.get("before")
    if asked is None:
        return None
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 19 and 0 < int(asked) <= NO_BOUND):
        abort(404)
    return int(asked)


class Shown(NamedTuple):
    """A cell: how it looks (a class of the stylesheet), its words, and what else there is to say."""

    look: str
    words: str
    more: str | None = None


@blueprint.app_template_filter("kind")
def kind_name(kind: str) -> str:
    """The word for a kind of transaction, in the page's language."""
    names: dict[str, str] = {
        "redeem": _("Redeem"),
        "hold": _("Hold"),
        "capture": _("Capture"),
        "release": _("Release"),
        "lapse": _("Hold expired"),
        "refund": _("Refund"),
        "reversal": _("Reversal"),
        "tombstone": _("Void"),
        "grant": _("Grant"),
        "expiry": _("Expiry"),
        "pin_change": _("PIN change"),
    }
    return names[kind]


@blueprint.app_template_filter("moved")
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


@blueprint.app_template_filter("standing")
def standing(line: TransactionLine, now: datetime) -> Shown:
    """What became of a transaction, as of now."""
    if line.code != 0:
        info = code_info(line.code)  # in the words that its terminal got
        return Shown("refused", _("Refused"), info.text_zh if language() == "zh" else info.text)
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


@blueprint.app_template_filter("service_name")
def service_name(line: TransactionLine) -> str | None:
    """The service's name in the page's language."""
    return (line.service_zh if language() == "zh" else None) or line.service
