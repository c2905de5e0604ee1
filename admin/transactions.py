"""Transactions: the live list of the latest, searching among all, what was found as a file, one of them."""

from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

from flask import Blueprint, abort, make_response, render_template, request
from flask.typing import ResponseReturnValue

from admin import current
from admin.access import requires
from admin.downloads import Cell, answer
from admin.language import gettext as _
from admin.money import money
from admin.transaction_filters import Wanted, wanted
from admin.transaction_words import (
    kind_name,
    moved,
    reason,
    service_name,
    side_word,
    standing,
)
from ledger.businessday import business_date
from ledger.database import Connection
from ledger.reports import TransactionLine
from ledger.transaction_details import read_transaction
from ledger.transaction_lists import Asked, Found, Outcome, search
from ledger.walks import NO_BOUND, Kind, Whose

__all__ = ["PAGE_ROWS", "asker", "blueprint"]

VIEW = "transactions.view"

PAGE_ROWS = 30  # two screens; the rest is one click away
FILE_ROWS = 2_000  # of a file are read at a time

blueprint = Blueprint("transactions", __name__)
WORDS: dict[str, Callable[..., Any]] = {
    "kind": kind_name, "moved": moved, "standing": standing, "service_name": service_name, "reason": reason,
    "side": side_word, "money": money,
}  # fmt: skip
for name, word in WORDS.items():
    blueprint.add_app_template_filter(word, name)


def asker(permission: str) -> Whose:
    """Who asks, as lists and totals want to know it, for what needs `permission`."""
    staff = current.staff()
    scope = staff.scope(permission)
    return Whose(staff.tenant_id, cast("Kind", staff.tenant_kind), scope.units is not None)


@blueprint.get("/transactions")
@requires(VIEW)
def latest() -> ResponseReturnValue:
    """The page: newest first, or, with `before`, those older than that transaction."""
    outcome, before = _asked_outcome(), _asked_before()
    with current.database().transaction(current.scope()) as connection:
        sought = wanted(connection, request.args, current.staff().tenant_kind)
        found = _search(connection, sought, outcome, before)
        open_day = business_date(connection)
    args = sought.args | ({} if outcome == "all" else {"outcome": outcome})
    page = render_template(
        "transactions/list.html",
        lines=found.lines,
        older=found.more,
        reached=found.reached,
        before=before,
        outcome=outcome,
        sought=sought,
        args=args,
        live=before is None and not sought.args,
        business_date=open_day,
        now=current.now(),
    )
    return page, 200 if sought.asked is not None else 422


def _search(connection: Connection, sought: Wanted, outcome: Outcome, before: int | None) -> Found:
    if sought.asked is None:
        return Found()
    return search(connection, _of(sought.asked, outcome), asker(VIEW), before=before, limit=PAGE_ROWS)


def _of(asked: Asked, outcome: Outcome) -> Asked:
    return asked if outcome == "all" else asked.only(outcome)


@blueprint.get("/transactions/live")
@requires(VIEW)
def live() -> ResponseReturnValue:
    """The rows of the first page, for the page's script: 304 when they are what it has.

    Always the whole page and not what came after an id: transactions that commit at once need not
    appear in the order of their ids, and a row changes when it is reversed.
    """
    outcome = _asked_outcome()
    with current.database().transaction(current.scope()) as connection:
        found = search(connection, Asked(outcome=outcome), asker(VIEW), limit=PAGE_ROWS)
    sent = make_response(render_template("transactions/rows.html", lines=found.lines, now=current.now()))
    sent.headers["X-Older"] = "1" if found.more else "0"
    sent.add_etag()
    return sent.make_conditional(request)


@blueprint.get(f"/transactions/<int(max={NO_BOUND}):transaction>")
@requires(VIEW)
def one(transaction: int) -> ResponseReturnValue:
    """One transaction with its entries, what it undid and what undid it, and the row itself."""
    with current.database().transaction(current.scope()) as connection:
        details = read_transaction(connection, transaction)
    if details is None:
        current.missing("transaction", transaction)
    return render_template("transactions/transaction.html", details=details, now=current.now())


@blueprint.get("/transactions/file.<fmt>")
@requires(VIEW)
def file(fmt: str) -> ResponseReturnValue:
    """What the page with the same filters lists, all of it, as CSV or XLSX."""
    outcome = _asked_outcome()
    with current.database().transaction(current.scope()) as connection:
        sought = wanted(connection, request.args, current.staff().tenant_kind)
    if sought.asked is None:
        abort(404)  # no page links here
    money = current.staff().tenant_kind != "enterprise"  # what merchants are paid is not theirs to know
    head = [
        _("No."), _("Time"), _("Business date"), _("Merchant"), _("Store"), _("Terminal"), _("Card"),
        _("Kind"), _("Service"), _("Points"), _("Balance"), _("Status"), _("Reason"),
        _("Terminal's id (txid)"), _("Batch"), _("Reference"),
    ]  # fmt: skip
    head += [_("Settlement, in minor units"), _("Currency")] if money else []
    rows = (_row(line, money) for line in _all(_of(sought.asked, outcome)))
    return answer(fmt, _("transactions"), head, rows)


def _all(asked: Asked) -> Iterator[TransactionLine]:
    """Every line that fits, in short transactions: however slowly a browser reads, none stays open."""
    database, scope, person = current.database(), current.scope(), asker(VIEW)
    before: int | None = None
    while True:
        with database.transaction(scope) as connection:
            found = search(connection, asked, person, before=before, limit=FILE_ROWS)
        yield from found.lines
        if found.more:
            before = found.lines[-1].id
        elif found.reached is not None:
            before = found.reached[0]
        else:
            return


def _row(line: TransactionLine, money: bool) -> list[Cell]:
    state = standing(line, current.now())
    terminal = _("Office") if line.terminal_id == 0 else line.terminal or f"#{line.terminal_id}"
    cells: list[Cell] = [
        line.id, line.posted_at, line.business_date, line.merchant, line.store, terminal, line.card_tail,
        kind_name(line.kind), service_name(line), line.change, line.balance, state.words, state.more,
        str(line.txid), line.batch, line.reference,
    ]  # fmt: skip
    return [*cells, line.settlement_minor, line.currency] if money else cells


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
