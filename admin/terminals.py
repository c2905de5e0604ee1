"""Terminals: their list, one with its batches, new ones with their enrolment code, and what ends one."""

from typing import cast, get_args

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
from admin.terminal_steps import STEPS, TerminalStep, offered, refusal, step_words
from admin.terminal_words import (
    age,
    at_server,
    at_terminal,
    clock_off,
    device_kinds,
    difference_words,
    terminal_standing,
)
from ledger import terminals
from ledger.enrolments import invite, open_until
from ledger.terminal_lists import (
    Status,
    TerminalLine,
    batches,
    count_by_status,
    find_terminal,
    list_terminals,
    stores,
)

__all__ = ["LISTED_MOST", "NAME_MOST", "blueprint"]

LISTED_MOST = 100  # two screens or three; for the rest people type a name
BATCHES_MOST = 30  # a month of days' ends
WORDS_MOST = 100
NAME_MOST = 60
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("terminals", __name__)
for word in (age, at_server, at_terminal, clock_off, difference_words, terminal_standing):
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
    with current.database().transaction(current.scope()) as connection:
        lines = list_terminals(connection, words=words, status=cast("Status", status), most=LISTED_MOST + 1)
        counts = count_by_status(connection)
    return render_template(
        "terminals/list.html",
        lines=lines[:LISTED_MOST],
        more=len(lines) > LISTED_MOST,
        most=LISTED_MOST,
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
        places = stores(connection, merchant=own)
        pattern = find_terminal(connection, like) if 0 < like <= BIGGEST else None
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
    except _SentBefore:
        flash(_("This form was sent before: its terminal exists, and nothing was made twice."), "wait")
        return redirect(url_for("terminals.overview"), code=303)
    assert line is not None
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
        abort(404)
    refused = refusal(chosen, line)
    if refused is not None:
        return _page(terminal, refused), 409
    form = MarkedForm()
    if form.validate_on_submit():
        return _give_code(line, form) if step == "code" else _change(chosen, line)
    form.mark.data = new_mark()
    words = step_words(chosen, line)
    return render_template("terminals/step.html", line=line, step=chosen, words=words, form=form)


def _page(terminal: int, refused: str | None = None) -> str:
    now = current.now()
    with current.database().transaction(current.scope()) as connection:
        line = find_terminal(connection, terminal)
        if line is None:
            abort(404)
        ended = batches(connection, terminal, most=BATCHES_MOST)
        code_until = open_until(connection, terminal, now)
    return render_template(
        "terminals/terminal.html",
        line=line,
        steps=[(step, step_words(step, line)) for step in offered(line)],
        batches=ended,
        code_until=code_until,
        refused=refused,
        now=now,
    )


def _give_code(line: TerminalLine, form: MarkedForm) -> ResponseReturnValue:
    enrolment_id, until = enrolment_id_of(form), current.now() + CODE_LASTS
    with current.database().transaction(current.scope()) as connection:
        given = invite(connection, line.id, enrolment_id=enrolment_id, until=until, now=current.now())
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
    if not done:  # somebody was quicker
        return _page(line.id, _("Somebody has just revoked this terminal. Nothing was changed.")), 409
    current_app.logger.warning("staff %d: %s of terminal %d", current.staff().id, step.name, line.id)
    flash(step_words(step, line).done)
    return redirect(url_for("terminals.one", terminal=line.id), code=303)
