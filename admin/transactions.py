"""The live list of the latest transactions."""

from typing import cast, get_args

from flask import Blueprint, abort, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user

from admin.access import requires
from admin.language import language
from ledger.businessday import business_date
from ledger.database import Database
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
    database: Database = current_app.extensions["database"]
    with database.transaction(current_user.staff.scope) as connection:
        lines = latest_transactions(connection, outcome=outcome, before=before, limit=PAGE_ROWS + 1)
        open_day = business_date(connection)
    return render_template(
        "transactions/list.html",
        lines=lines[:PAGE_ROWS],
        older=len(lines) > PAGE_ROWS,
        before=before,
        outcome=outcome,
        business_date=open_day,
    )


@blueprint.get("/transactions/live")
@requires("transactions.view")
def live() -> ResponseReturnValue:
    """The rows of the first page, for the page's script: 304 when they are what it has.

    Always the whole page and not what came after an id: transactions that commit at once need not
    appear in the order of their ids, and a row changes when it is reversed.
    """
    outcome = _asked_outcome()
    database: Database = current_app.extensions["database"]
    with database.transaction(current_user.staff.scope) as connection:
        lines = latest_transactions(connection, outcome=outcome, limit=PAGE_ROWS + 1)
    rows = render_template("transactions/rows.html", lines=lines[:PAGE_ROWS])
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


@blueprint.app_template_filter("kind")
def kind_name(kind: str) -> str:
    """The word for a kind of transaction, in the page's language."""
    names: dict[str, str] = {
        "redeem": _("Redeem"),
        "reversal": _("Reversal"),
        "tombstone": _("Void"),
        "grant": _("Grant"),
    }
    return names[kind]


@blueprint.app_template_filter("reason")
def refusal_reason(line: TransactionLine) -> str:
    """Why a transaction was refused, in the words that its terminal got, in the page's language."""
    info = code_info(line.code)
    return info.text_zh if language() == "zh" else info.text


@blueprint.app_template_filter("service_name")
def service_name(line: TransactionLine) -> str | None:
    """The service's name in the page's language."""
    return (line.service_zh if language() == "zh" else None) or line.service
