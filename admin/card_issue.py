"""Issuing one card: finding the member who is to get it, and what kind of card it is."""

from datetime import date

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import DateField, Field, SelectField, StringField
from wtforms.validators import Length, Optional, ValidationError

from admin import current
from admin.access import requires
from admin.cards import FOUND_MOST, REASON_MOST, WORDS_MOST, own_enterprise
from admin.forms import OnceForm, plain, trimmed
from admin.language import gettext as _
from ledger import cards
from ledger.businessday import business_date
from ledger.card_details import find_card
from ledger.card_search import Enterprise, Holder, enterprises, find_holder, search_holders
from ledger.limits import Product, products

__all__ = ["BIGGEST", "NewCardForm", "blueprint", "chosen_enterprise", "product_choices", "still_to_come"]

BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("cards_issue", __name__)


def still_to_come(form: FlaskForm, field: Field) -> None:
    """A last day that is not over: a form tells it the open business date as `today`."""
    today: date | None = getattr(form, "today", None)
    if field.data is not None and today is not None and field.data < today:
        raise ValidationError(_("Give a day that is still to come: the card would be dead at once."))


class NewCardForm(OnceForm):
    """What kind of card is made, one or many."""

    today: date | None = None
    product = SelectField(_l("Card product"), coerce=int)
    status = SelectField(_l("When it can be used"))
    expires_on = DateField(_l("Last day (optional)"), validators=[Optional(), still_to_come])
    reason = StringField(
        _l("Note (optional)"),
        filters=[trimmed],
        validators=[plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))],
        description=_l("Kept in the card's history, with your name."),
    )

    def offer(self, kinds: list[Product], today: date | None) -> None:
        """Fill in what can be chosen."""
        self.today = today
        self.product.choices = product_choices(kinds)
        self.status.choices = [
            ("issued", _("Once it is activated, or its PIN is set with a one-time code")),
            ("active", _("At once")),
        ]


def product_choices(kinds: list[Product]) -> list[tuple[int, str]]:
    """Card products to choose from, with none as the first."""
    return [(0, _("None: the enterprise's limits")), *((kind.id, kind.name) for kind in kinds)]


def chosen_enterprise() -> tuple[Enterprise | None, list[Enterprise]]:
    """The enterprise that a page is about, and for the operator's staff those to choose from.

    They say which by `?enterprise=`; it is None until they have. Any that is not there answers 404.
    """
    own, asked = own_enterprise(), request.args.get("enterprise", "")
    with current.database().transaction(current.scope()) as connection:
        known = enterprises(connection)
    if own is not None:
        current.chosen("enterprise", {own})
        return Enterprise(own, current.staff().tenant_name), []
    if not asked:
        return (known[0] if len(known) == 1 else None), known
    chosen = next((each for each in known if str(each.id) == asked), None)
    if chosen is None:
        if asked.isascii() and asked.isdigit():
            current.missing("organisation", asked[:20])
        abort(404)
    return chosen, known


@blueprint.get("/cards/new")
@requires("cards.issue")
def choose() -> ResponseReturnValue:
    """Look for the member who is to get a card."""
    words = request.args.get("q", "").strip()
    error, lines = None, []
    if len(words) > WORDS_MOST:
        error = _("Type at most %(max)d characters.", max=WORDS_MOST)
    elif words:
        with current.database().transaction(current.scope()) as connection:
            lines = search_holders(connection, words, enterprise=own_enterprise(), most=FOUND_MOST + 1)
    return render_template(
        "cards/choose.html",
        words=words,
        lines=lines[:FOUND_MOST],
        more=len(lines) > FOUND_MOST,
        most=FOUND_MOST,
        error=error,
    )


@blueprint.route(f"/cards/new/<int(max={BIGGEST}):member>", methods=["GET", "POST"])
@requires("cards.issue")
def one(member: int) -> ResponseReturnValue:
    """The form of a new card for one member."""
    with current.database().transaction(current.scope()) as connection:
        holder = find_holder(connection, member)
        kinds = [] if holder is None else products(connection, holder.account.enterprise_id)
        today = business_date(connection)
    if holder is None:
        current.missing("member", member)
    form = NewCardForm()
    form.offer(kinds, today)
    form.fresh()
    refused = None if holder.open else _("The member is closed: no card can be issued.")
    if refused is None and form.validate_on_submit():
        return _issue(holder, form)
    page = render_template("cards/new.html", form=form, holder=holder, refused=refused)
    return page, 409 if refused else 200


def _issue(holder: Holder, form: NewCardForm) -> ResponseReturnValue:
    tenant = holder.account.enterprise_id
    with current.database().transaction(current.scope()) as connection:
        if not form.claim(connection, tenant):
            flash(_("This form was sent before: its card is made. Nothing was done twice."), "wait")
            return redirect(url_for("cards.find", q=holder.code), code=303)
        card = cards.issue_card(
            connection,
            holder.account,
            now=current.now(),
            status=form.status.data,
            expires_on=form.expires_on.data,
            product_id=form.product.data or None,
            staff=current.staff().id,
            reason=form.reason.data or None,
        )
        details = find_card(connection, card.number)
        last_day = form.expires_on.data
        current.record(
            connection,
            "card.issue",
            tenant=tenant,
            kind="card",
            id=card.number,
            after={
                "member": holder.id,
                "status": form.status.data,
                "product": form.product.data or None,
                "expires_on": None if last_day is None else last_day.isoformat(),
            },
            reason=form.reason.data or None,
        )
    assert details is not None
    flash(_("The card is issued. Now print it, or write its chip."))
    return redirect(url_for("cards.card", number=card.number), code=303)
