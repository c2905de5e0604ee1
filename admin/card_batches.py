"""Batches of cards: their list, one with its cards, and asking for a new one."""

from datetime import date
from typing import NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import HiddenField, SelectField, TextAreaField
from wtforms.validators import Optional

from admin import current
from admin.access import requires
from admin.card_issue import BIGGEST, NewCardForm, chosen_enterprise
from admin.forms import OnceForm
from admin.language import gettext as _
from admin.language import points as figure
from ledger import jobs
from ledger.businessday import business_date
from ledger.card_batch_work import ACTIVATE, AT_ONCE, ISSUE, activate_some, issue_some
from ledger.card_batches import (
    BATCH_MOST,
    Batch,
    Unit,
    Wanted,
    batch_cards,
    batches,
    count_wanted,
    create_batch,
    find_batch,
    known_codes,
    units_of,
)
from ledger.card_search import Enterprise
from ledger.database import Connection
from ledger.limits import products

__all__ = ["PATH", "blueprint", "the_batch"]

LISTED_MOST = 30
CARDS_MOST = 50
CODES_MOST = 5_000
CODE_MOST = 100  # characters of a member's code
NAMED_MOST = 5  # unknown codes that an error names
PATH = f"/cards/batches/<int(max={BIGGEST}):batch>"

blueprint = Blueprint("cards_batches", __name__)


class BatchForm(NewCardForm):
    """A batch: for whom, and which cards. `counted` is for how many the last answer said that it is."""

    counted = HiddenField()
    unit = SelectField(_l("Members"), coerce=int)
    codes = TextAreaField(
        _l("Only these member codes (optional)"),
        validators=[Optional()],
        description=_l("One a line. Without any, all members without a card get one."),
    )


class Asked(NamedTuple):
    """For whom a form asks, and which units' staff may see the batch."""

    wanted: Wanted
    units: list[int] | None


@blueprint.get("/cards/batches")
@requires("cards.view")
def overview() -> ResponseReturnValue:
    """Batches, newest first."""
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before <= BIGGEST:
        before = None
    with current.database().transaction(current.scope()) as connection:
        lines = batches(connection, before=before, most=LISTED_MOST + 1)
    older = lines[LISTED_MOST - 1].id if len(lines) > LISTED_MOST else None
    return render_template("cards/batches.html", lines=lines[:LISTED_MOST], older=older, before=before)


@blueprint.get(PATH)
@requires("cards.view")
def one(batch: int) -> ResponseReturnValue:
    """One batch: how far it is, what can be done with its cards, and the cards."""
    return _page(the_batch(batch))


@blueprint.route("/cards/batches/new", methods=["GET", "POST"])
@requires("cards.issue")
def new() -> ResponseReturnValue:
    """Ask for a batch: once to see how many cards it would be, and once more to make them."""
    enterprise, known = chosen_enterprise()
    if enterprise is None:
        return render_template("cards/enterprise.html", title=_("New batch of cards"), known=known)
    with current.database().transaction(current.scope()) as connection:
        kinds = products(connection, enterprise.id)
        units = _units(connection, enterprise.id)
        today = business_date(connection)
    form = BatchForm()
    form.offer(kinds, today)
    form.unit.choices = [
        (0, _("All who have no card")),
        *((unit.id, "\N{EM SPACE}" * unit.depth + unit.name) for unit in units),
    ]
    form.fresh()
    count = None
    if form.validate_on_submit():
        asked = _asked(form, enterprise.id, units)
        count = _counted(form, asked)
        if count and form.counted.data == str(count):
            return _make(form, asked, enterprise, count)
        form.counted.data = None if count is None else str(count)
    else:
        form.counted.data = None
    return render_template(
        "cards/batch_new.html", form=form, enterprise=enterprise, known=known, count=count, most=BATCH_MOST
    )


@blueprint.route(f"{PATH}/activate", methods=["GET", "POST"])
@requires("cards.change")
def activate(batch: int) -> ResponseReturnValue:
    """Make all cards of a batch active that are not yet."""
    line = the_batch(batch)
    form = OnceForm()
    form.fresh()
    if not form.validate_on_submit():
        return render_template("cards/batch_activate.html", batch=line, form=form, final=False)
    with current.database().transaction(current.scope()) as connection:
        if not form.claim(connection, line.enterprise_id):
            flash(_("This form was sent before. Nothing was done twice."), "wait")
            return redirect(url_for("cards_batches.one", batch=batch), code=303)
        if line.lines > AT_ONCE:
            reach = current.scope().units
            told = {"batch": batch, "units": None if reach is None else sorted(reach)}
            jobs.start(
                connection, ACTIVATE, tenant=line.enterprise_id, actor=current.actor(), told=told,
                total=line.lines, now=current.now(),
            )  # fmt: skip
            said = _("The cards become active one after the other.")
        else:
            staff = current.staff().id
            _last, became = activate_some(connection, batch, now=current.now(), staff=staff)
            current.record(
                connection, "card_batch.activate", tenant=line.enterprise_id, kind="card_batch", id=batch,
                after={"active": became},
            )  # fmt: skip
            said = _("%(count)s cards have become active.", count=figure(became))
    flash(said)
    return redirect(url_for("cards_batches.one", batch=batch), code=303)


def the_batch(batch: int) -> Batch:
    """The batch of an address, or 404."""
    with current.database().transaction(current.scope()) as connection:
        found = find_batch(connection, batch)
    if found is None:
        current.missing("card_batch", batch)
    return found


def _page(batch: Batch) -> str:
    after = request.args.get("after", default=0, type=int)
    after = after if 0 <= after <= BIGGEST else 0
    with current.database().transaction(current.scope()) as connection:
        lines = batch_cards(connection, batch.id, after=after, most=CARDS_MOST + 1)
    following = lines[CARDS_MOST - 1].line if len(lines) > CARDS_MOST else None
    return render_template(
        "cards/batch.html", batch=batch, lines=lines[:CARDS_MOST], following=following, after=after
    )


def _units(connection: Connection, enterprise: int) -> list[Unit]:
    """Units to choose: those over which the person may issue cards."""
    reach = current.scope().units
    return [unit for unit in units_of(connection, enterprise) if reach is None or unit.id in reach]


def _asked(form: BatchForm, enterprise: int, units: list[Unit]) -> Asked:
    codes = tuple(
        dict.fromkeys(line.strip() for line in (form.codes.data or "").splitlines() if line.strip())
    )
    reach = current.scope().units
    below = next((unit.below for unit in units if unit.id == form.unit.data), None)
    chosen = sorted(reach) if below is None and reach is not None else below
    wanted = Wanted(enterprise=enterprise, codes=codes or None, units=below)
    return Asked(wanted, None if chosen is None else list(chosen))


def _counted(form: BatchForm, asked: Asked) -> int | None:
    """How many cards it would be; None with an error beside the field."""
    codes = asked.wanted.codes or ()
    if len(codes) > CODES_MOST:
        form.codes.errors = [_("Give at most %(max)s codes.", max=figure(CODES_MOST))]
        return None
    if any(len(code) > CODE_MOST or not code.isprintable() for code in codes):
        form.codes.errors = [_("Give one member code a line, and nothing else.")]
        return None
    with current.database().transaction(current.scope()) as connection:
        unknown = set(codes) - known_codes(connection, asked.wanted.enterprise, codes)
        count = count_wanted(connection, asked.wanted)
    if unknown:
        named = ", ".join([code for code in codes if code in unknown][:NAMED_MOST])
        form.codes.errors = [
            _("No member has these codes (%(count)s): %(codes)s", count=figure(len(unknown)), codes=named)
        ]
        return None
    if not count:
        said = _("All of these members have a card, or are closed.")
        (form.codes if codes else form.unit).errors = [said]
        return None
    return min(count, BATCH_MOST)


def _make(form: BatchForm, asked: Asked, enterprise: Enterprise, count: int) -> ResponseReturnValue:
    last_day: date | None = form.expires_on.data
    now, staff = current.now(), current.staff().id
    with current.database().transaction(current.scope()) as connection:
        if not form.claim(connection, enterprise.id):
            flash(_("This form was sent before: its batch is made. Nothing was done twice."), "wait")
            return redirect(url_for("cards_batches.overview"), code=303)
        made, lines = create_batch(
            connection,
            asked.wanted,
            now=now,
            status=form.status.data,
            product_id=form.product.data or None,
            expires_on=last_day,
            note=form.reason.data or None,
            units=asked.units,
            staff=staff,
        )
        if lines > AT_ONCE:
            jobs.start(
                connection, ISSUE, tenant=enterprise.id, actor=current.actor(), told={"batch": made},
                total=lines, now=now,
            )  # fmt: skip
        elif lines:
            batch = find_batch(connection, made)
            assert batch is not None
            issue_some(connection, batch, now=now, staff=staff)
        current.record(
            connection,
            "card_batch.create",
            tenant=enterprise.id,
            kind="card_batch",
            id=made,
            after={
                "lines": lines,
                "status": form.status.data,
                "product": form.product.data or None,
                "expires_on": None if last_day is None else last_day.isoformat(),
            },
            reason=form.reason.data or None,
        )
    flash(_("The cards are being made.") if lines > AT_ONCE else _("The cards are made. Now print them."))
    return redirect(url_for("cards_batches.one", batch=made), code=303)
