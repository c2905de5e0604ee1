"""Terminals: their list, one with its batches, new ones with their enrolment code, and what ends one."""

from collections.abc import Mapping
from typing import Any, cast, get_args

from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import SelectField, StringField
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import requires
from admin.enrolment import CODE_LASTS, code_page, enrolment_id_of, new_mark
from admin.forms import MarkedForm, plain, trimmed
from admin.language import gettext as _
from admin.merchants import asked_id
from admin.terminal_steps import STEPS, TerminalStep, offered, refusal, step_words
from admin.terminal_words import (
    age,
    at_server,
    at_terminal,
    clock_off,
    connection_standing,
    device_kinds,
    difference_words,
    terminal_standing,
)
from ledger import terminals
from ledger.database import Connection
from ledger.enrolments import invite, open_until
from ledger.terminal_lists import (
    Status,
    Store,
    TerminalLine,
    batches,
    count_by_status,
    find_terminal,
    list_terminals,
    stores,
)

__all__ = ["LISTED_MOST", "NAME_MOST", "blueprint"]

LISTED_MOST = 100  # two screens or three; for the rest people type a name
PLACES_MOST = 300  # to choose from in one list; with more the merchant is chosen first
OWN_MOST = 2_000  # of one merchant
BATCHES_MOST = 30  # a month of days' ends
WORDS_MOST = 100
NAME_MOST = 60
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("terminals", __name__)
for word in (
    age, at_server, at_terminal, clock_off, connection_standing, difference_words, terminal_standing,
):  # fmt: skip
    blueprint.add_app_template_filter(word)


class NewForm(MarkedForm):
    """A new terminal. The mark is its enrolment's id: sent again, the form makes nothing more."""

    store = SelectField(_l("Store"), coerce=int)
    kind = SelectField(_l("Kind of device"))
    name = StringField(
        _l("Name"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Give it a name, such as POS 3.")),
            plain,
            Length(max=NAME_MOST, message=_l("Type at most %(max)d characters.")),
        ],
    )


class MoveForm(MarkedForm):
    """Another store of the same merchant. The mark is the store where the page showed it."""

    store = SelectField(_l("New store"), coerce=int)


class _SentBefore(Exception):
    """The form's enrolment exists."""


@blueprint.app_template_filter("device")
def device(kind: str) -> str:
    """The word for a kind of terminal."""
    return device_kinds()[kind]


@blueprint.get("/terminals")
@requires("terminals.view")
def overview() -> ResponseReturnValue:
    """The terminals of the scope, by merchant and store."""
    words, status = request.args.get("q", "").strip()[:WORDS_MOST], request.args.get("status", "all")
    if status not in get_args(Status):
        abort(404)
    after = asked_id("after")
    with current.database().transaction(current.scope()) as connection:
        lines = list_terminals(
            connection, words=words, status=cast("Status", status), after=after, most=LISTED_MOST + 1
        )
        counts = count_by_status(connection)
    return render_template(
        "terminals/list.html",
        lines=lines[:LISTED_MOST],
        more=len(lines) > LISTED_MOST,
        after=after,
        counts=counts,
        words=words,
        status=status,
        now=current.now(),
    )


@blueprint.get(f"/terminals/<int(max={BIGGEST}):terminal>")
@requires("terminals.view")
def one(terminal: int) -> ResponseReturnValue:
    """One terminal: how it stands, what can be done, and its batches."""
    return _page(terminal)


@blueprint.route("/terminals/new", methods=["GET", "POST"])
@requires("terminals.change")
def new() -> ResponseReturnValue:
    """The form of a new terminal; with `like`, in the place of that one. Answers with its code, once."""
    staff = current.staff()
    own = None if staff.tenant_kind == "operator" else staff.tenant_id
    like = request.args.get("like", default=0, type=int)
    with current.database().transaction(current.scope()) as connection:
        pattern = find_terminal(connection, like) if 0 < like <= BIGGEST else None
    current.chosen("like", () if pattern is None else (pattern.id,), kind="terminal")
    if own is not None:
        current.chosen("merchant", {own}, kind="merchant")
    with current.database().transaction(current.scope()) as connection:
        merchant = own or (pattern.merchant_id if pattern is not None else asked_id("merchant"))
        places = _places(connection, merchant)
    if merchant is None and len(places) > PLACES_MOST:
        flash(
            _("There are many stores: choose the merchant first, and make the terminal on its page."), "wait"
        )
        return redirect(url_for("merchants.overview"), code=303)
    form = NewForm()
    form.store.choices = [
        (place.id, place.name if own is not None else f"{place.merchant} · {place.name}") for place in places
    ]
    form.kind.choices = list(device_kinds().items())
    if request.method == "GET":
        form.mark.data = new_mark()
        if pattern is not None:
            form.store.data, form.kind.data, form.name.data = pattern.store_id, pattern.kind, pattern.name
    if not form.validate_on_submit():
        return render_template("terminals/new.html", form=form, places=places, pattern=pattern)
    enrolment_id, until = enrolment_id_of(form), current.now() + CODE_LASTS
    try:
        with current.database().transaction(current.scope()) as connection:
            made = terminals.create_terminal(
                connection, store=form.store.data, kind=form.kind.data, name=form.name.data
            )
            if not invite(connection, made, enrolment_id=enrolment_id, until=until, now=current.now()):
                raise _SentBefore  # takes the terminal back
            line = find_terminal(connection, made)
            assert line is not None
            after = {"name": line.name, "kind": line.kind, "store": line.store_id}
            _record(connection, "create", line, after=after)
    except _SentBefore:
        flash(_("This form was sent before: its terminal exists, and nothing was made twice."), "wait")
        return redirect(url_for("terminals.overview"), code=303)
    current_app.logger.warning("staff %d made terminal %d", staff.id, line.id)
    return code_page(line, enrolment_id, until)


@blueprint.route(f"/terminals/<int(max={BIGGEST}):terminal>/<step>", methods=["GET", "POST"])
@requires("terminals.change")
def take(terminal: int, step: str) -> ResponseReturnValue:
    """Ask whether the step is meant; and take it."""
    if step not in STEPS:
        abort(404)
    chosen = STEPS[step]
    with current.database().transaction(current.scope()) as connection:
        line = find_terminal(connection, terminal)
    if line is None:
        current.missing("terminal", terminal)
    refused = refusal(chosen, line)
    if refused is not None:
        return _page(terminal, refused), 409
    if step == "move":
        return _move(line)
    form = MarkedForm()
    if form.validate_on_submit():
        return _give_code(line, form) if step == "code" else _change(chosen, line)
    form.mark.data = new_mark()
    words = step_words(chosen, line)
    return render_template("terminals/step.html", line=line, step=chosen, words=words, form=form)


def _places(connection: Connection, merchant: int | None) -> list[Store]:
    """The open stores that may get a terminal: of a merchant or all, and of the person's units."""
    units = current.scope().units
    found = stores(connection, merchant=merchant, most=PLACES_MOST + 1 if merchant is None else OWN_MOST)
    return [place for place in found if units is None or place.id in units]


def _record(
    connection: Connection,
    what: str,
    line: TerminalLine,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
) -> None:
    current.record(
        connection,
        f"terminal.{what}",
        tenant=line.merchant_id,
        kind="terminal",
        id=line.id,
        before=before,
        after=after,
    )


def _move(line: TerminalLine) -> ResponseReturnValue:
    """Ask for another store of the same merchant; and put the terminal there."""
    with current.database().transaction(current.scope()) as connection:
        places = [place for place in _places(connection, line.merchant_id) if place.id != line.store_id]
    form = MoveForm()
    form.store.choices = [(place.id, place.name) for place in places]
    if form.is_submitted():  # a second click finds the terminal there already, and hears of that below
        form.store.choices.append((line.store_id, line.store))
    if not places:
        return _page(line.id, _("There is no other open store of this merchant. Nothing was changed.")), 409
    if form.validate_on_submit():
        with current.database().transaction(current.scope()) as connection:
            stale = form.mark.data != str(line.store_id)
            done = not stale and terminals.move(connection, line.id, form.store.data)
            if done:
                _record(
                    connection,
                    "move",
                    line,
                    before={"store": line.store_id},
                    after={"store": form.store.data},
                )
        if not done:
            changed = _(
                "The terminal or the store has changed since you opened the form. Nothing was changed."
            )
            return _page(line.id, changed), 409
        flash(step_words(STEPS["move"], line).done)
        return redirect(url_for("terminals.one", terminal=line.id), code=303)
    form.mark.data = str(line.store_id)
    words = step_words(STEPS["move"], line)
    return render_template("terminals/step.html", line=line, step=STEPS["move"], words=words, form=form)


def _page(terminal: int, refused: str | None = None) -> str:
    now = current.now()
    with current.database().transaction(current.scope()) as connection:
        line = find_terminal(connection, terminal)
        if line is None:
            current.missing("terminal", terminal)
        ended = batches(connection, terminal, most=BATCHES_MOST)
        code_until = open_until(connection, terminal, now)
        elsewhere = any(place.id != line.store_id for place in _places(connection, line.merchant_id))
    steps = [step for step in offered(line) if step.name != "move" or elsewhere]
    return render_template(
        "terminals/terminal.html",
        line=line,
        steps=[(step, step_words(step, line)) for step in steps],
        batches=ended,
        code_until=code_until,
        refused=refused,
        now=now,
    )


def _give_code(line: TerminalLine, form: MarkedForm) -> ResponseReturnValue:
    enrolment_id, until = enrolment_id_of(form), current.now() + CODE_LASTS
    with current.database().transaction(current.scope()) as connection:
        given = invite(connection, line.id, enrolment_id=enrolment_id, until=until, now=current.now())
        if given:
            _record(connection, "code", line, after={"until": until.isoformat()})
    if not given:
        again = _("This form was sent before: its code was shown then. Give another if nobody saw it.")
        return _page(line.id, again), 409
    current_app.logger.warning("staff %d gave terminal %d a code", current.staff().id, line.id)
    return code_page(line, enrolment_id, until)


def _change(step: TerminalStep, line: TerminalLine) -> ResponseReturnValue:
    """Revoke it, or ask it for a new key."""
    act = {"revoke": terminals.revoke, "key": terminals.ask_key_change}[step.name]
    with current.database().transaction(current.scope()) as connection:
        done = act(connection, line.id)
        if done:
            after = {"status": "revoked"} if step.name == "revoke" else {"key_change_asked": True}
            _record(connection, step.name, line, before={"status": line.status}, after=after)
    if not done:  # somebody was quicker
        return _page(line.id, _("Somebody has just revoked this terminal. Nothing was changed.")), 409
    current_app.logger.warning("staff %d: %s of terminal %d", current.staff().id, step.name, line.id)
    flash(step_words(step, line).done)
    return redirect(url_for("terminals.one", terminal=line.id), code=303)
