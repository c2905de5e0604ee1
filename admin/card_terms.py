"""What cards may do: an enterprise's terms, its card products, and the limits of one card."""

import hashlib
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import IntegerField, SelectField, StringField
from wtforms.validators import DataRequired, InputRequired, Length, NumberRange, Optional, Regexp

from admin import current
from admin.access import requires
from admin.card_issue import BIGGEST, chosen_enterprise, product_choices
from admin.cards import REASON_MOST, no_card, noted
from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from ledger.card_details import CardDetails, find_card
from ledger.cards import locked_status
from ledger.limits import (
    Limits,
    Product,
    Terms,
    create_product,
    find_product,
    products,
    read_terms,
    set_limits,
    set_terms,
    update_product,
)

__all__ = ["POINTS_MOST", "blueprint"]

POINTS_MOST = 1_000_000_000
GRACE_MOST = 366
NAME_MOST = 60
CODE_MOST = 20

blueprint = Blueprint("cards_terms", __name__)

_POINTS = NumberRange(1, POINTS_MOST, _l("Type a whole number of points, 1 to 1,000,000,000."))
_ABOVE = NumberRange(0, POINTS_MOST, _l("Type a whole number of points, 0 to 1,000,000,000."))


class LimitForm(MarkedForm):
    """Limits; an empty one says nothing."""

    limit_points = IntegerField(
        _l("Most points of one purchase (optional)"), validators=[Optional(), _POINTS]
    )
    day_limit_points = IntegerField(
        _l("Most points of one business date (optional)"), validators=[Optional(), _POINTS]
    )
    pin_above_points = IntegerField(
        _l("A PIN is needed above so many points (optional)"),
        validators=[Optional(), _ABOVE],
        description=_l("0: for every purchase."),
    )

    @property
    def limits(self) -> Limits:
        return Limits(
            limit_points=self.limit_points.data,
            day_limit_points=self.day_limit_points.data,
            pin_above_points=self.pin_above_points.data,
        )


class ProductForm(LimitForm):
    """A card product. Of a new one the code, too."""

    name = StringField(
        _l("Name"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Give it a name, such as Gold.")),
            plain,
            Length(max=NAME_MOST, message=_l("Type at most %(max)d characters.")),
        ],
    )


class NewProductForm(OnceForm, ProductForm):
    """A new card product: sent twice, it is made once."""

    code = StringField(
        _l("Code"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Give it a code, such as GOLD.")),
            Length(max=CODE_MOST, message=_l("Type at most %(max)d characters.")),
            Regexp(r"^[A-Za-z0-9._-]+$", message=_l("Type letters, digits and . _ - only.")),
        ],
        description=_l("Short and lasting: it is not changed later."),
    )


class TermsForm(LimitForm):
    """What counts where neither a card nor its product says otherwise."""

    pin_above_points = IntegerField(
        _l("A PIN is needed above so many points"),
        validators=[InputRequired(_l("Type 0 for a PIN at every purchase.")), _ABOVE],
        description=_l("0: for every purchase."),
    )
    refund_grace_days = IntegerField(
        _l("Days that refunded points can be spent although their last day is over"),
        validators=[
            InputRequired(_l("Type 0 for none.")),
            NumberRange(0, GRACE_MOST, _l("Type a number of days, 0 to 366.")),
        ],
    )


class CardLimitForm(LimitForm):
    """One card's product, and limits of its own."""

    product = SelectField(_l("Card product"), coerce=int)
    reason = StringField(
        _l("Reason (optional)"),
        filters=[trimmed],
        validators=[plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))],
        description=_l("Kept in the card's history, with your name."),
    )


@blueprint.get("/cards/products")
@requires("cards.view")
def overview() -> ResponseReturnValue:
    """An enterprise's terms and its card products."""
    enterprise, known = chosen_enterprise()
    if enterprise is None:
        return render_template("cards/enterprise.html", title=_("Card products and limits"), known=known)
    with current.database().transaction(current.scope()) as connection:
        kinds = products(connection, enterprise.id)
        terms = read_terms(connection, enterprise.id)
    return render_template(
        "cards/products.html", enterprise=enterprise, known=known, kinds=kinds, terms=terms
    )


@blueprint.route("/cards/products/new", methods=["GET", "POST"])
@requires("cards.terms", whole=True)
def new() -> ResponseReturnValue:
    """The form of a new card product."""
    enterprise, known = chosen_enterprise()
    if enterprise is None:
        return render_template("cards/enterprise.html", title=_("New card product"), known=known)
    form = NewProductForm()
    form.fresh()
    back = _products_of(enterprise.id)
    if form.validate_on_submit():
        with current.database().transaction(current.scope()) as connection:
            if form.code.data.lower() in {each.code.lower() for each in products(connection, enterprise.id)}:
                form.code.errors = [_("A card product has this code already.")]
            elif not form.claim(connection, enterprise.id):
                flash(_("This form was sent before. Nothing was done twice."), "wait")
                return redirect(back, code=303)
            else:
                made = create_product(
                    connection, enterprise=enterprise.id, code=form.code.data, name=form.name.data,
                    limits=form.limits,
                )  # fmt: skip
                after = {"code": form.code.data, "name": form.name.data} | _told(form.limits)
                current.record(
                    connection, "card_product.create", tenant=enterprise.id, kind="card_product", id=made,
                    after=after,
                )  # fmt: skip
                flash(_("The card product is made."))
                return redirect(back, code=303)
    return render_template("cards/product.html", form=form, product=None, back=back, enterprise=enterprise)


@blueprint.route(f"/cards/products/<int(max={BIGGEST}):product>", methods=["GET", "POST"])
@requires("cards.terms", whole=True)
def change(product: int) -> ResponseReturnValue:
    """Change a card product; it counts for its cards from the next message on."""
    with current.database().transaction(current.scope()) as connection:
        found = find_product(connection, product)
    if found is None:
        current.missing("card_product", product)
    enterprise, seen = found
    form = ProductForm(data={"name": seen.name} | _told(seen.limits))
    if request.method == "GET":
        form.mark.data = _product_mark(seen)
    refused = None
    if form.validate_on_submit():
        with current.database().transaction(current.scope()) as connection:
            locked = find_product(connection, product, lock=True)
            assert locked is not None
            if form.mark.data == _product_mark(locked[1]):
                update_product(connection, product, name=form.name.data, limits=form.limits)
                before = {"name": locked[1].name} | _told(locked[1].limits)
                after = {"name": form.name.data} | _told(form.limits)
                current.record(
                    connection, "card_product.change", tenant=enterprise, kind="card_product", id=product,
                    before=before, after=after,
                )  # fmt: skip
                flash(_("The card product is changed, from the next purchase on."))
                return redirect(_products_of(enterprise), code=303)
        refused = _stale()
    page = render_template(
        "cards/product.html", form=form, product=seen, back=_products_of(enterprise), refused=refused
    )
    return page, 409 if refused else 200


@blueprint.route("/cards/products/terms", methods=["GET", "POST"])
@requires("cards.terms", whole=True)
def terms() -> ResponseReturnValue:
    """Change what counts for all cards of an enterprise that say nothing else."""
    enterprise, known = chosen_enterprise()
    if enterprise is None:
        return render_template("cards/enterprise.html", title=_("Limits of all cards"), known=known)
    with current.database().transaction(current.scope()) as connection:
        seen = read_terms(connection, enterprise.id)
    form = TermsForm(data=_terms_told(seen))
    if request.method == "GET":
        form.mark.data = _mark(_terms_told(seen))
    refused = None
    if form.validate_on_submit():
        wanted = Terms(
            limit_points=form.limit_points.data,
            day_limit_points=form.day_limit_points.data,
            pin_above_points=form.pin_above_points.data,
            refund_grace_days=form.refund_grace_days.data,
        )
        with current.database().transaction(current.scope()) as connection:
            present = read_terms(connection, enterprise.id, lock=True)
            if form.mark.data == _mark(_terms_told(present)):
                set_terms(connection, enterprise.id, wanted)
                current.record(
                    connection, "enterprise_terms.change", tenant=enterprise.id, kind="organisation",
                    id=enterprise.id, before=_terms_told(present), after=_terms_told(wanted),
                )  # fmt: skip
                flash(_("The limits are changed, from the next purchase on."))
                return redirect(_products_of(enterprise.id), code=303)
        refused = _stale()
    page = render_template(
        "cards/terms.html", form=form, enterprise=enterprise, back=_products_of(enterprise.id),
        refused=refused,
    )  # fmt: skip
    return page, 409 if refused else 200


@blueprint.route("/cards/<number>/limits", methods=["GET", "POST"])
@requires("cards.change")
def card_limits(number: str) -> ResponseReturnValue:
    """Change one card's product and its own limits."""
    with current.database().transaction(current.scope()) as connection:
        details = find_card(connection, number)
        kinds = [] if details is None else products(connection, details.enterprise_id)
    if details is None:
        no_card(number)
    form = CardLimitForm(data=_told(details.own) | {"product": details.product_id or 0})
    if request.method == "GET":
        form.mark.data = _card_mark(details)
    form.product.choices = product_choices(kinds)
    refused = _("The card is closed, for good. Nothing was changed.") if details.status == "closed" else None
    if refused is None and form.validate_on_submit():
        if _set_card_limits(details, form):
            flash(_("The card's limits are changed, from the next purchase on."))
            return redirect(url_for("cards.card", number=details.card.number), code=303)
        refused = _stale()
    page = render_template("cards/limits.html", form=form, card=details, refused=refused)
    return page, 409 if refused else 200


def _set_card_limits(seen: CardDetails, form: CardLimitForm) -> bool:
    with current.database().transaction(current.scope()) as connection:
        locked_status(connection, seen.card)
        present = find_card(connection, seen.card.number)
        if present is None or form.mark.data != _card_mark(present):
            return False
        reason = form.reason.data or None
        set_limits(
            connection, present.card, product_id=form.product.data or None, limits=form.limits,
            now=current.now(), staff=current.staff().id, reason=reason,
        )  # fmt: skip
        noted(connection, present, "limits", reason)
    return True


def _stale() -> str:
    return _("Somebody has changed this since you opened the form. Look again. Nothing was changed now.")


def _products_of(enterprise: int) -> str:
    operator = current.staff().tenant_kind == "operator"
    return url_for("cards_terms.overview", enterprise=enterprise if operator else None)


def _told(limits: Limits) -> dict[str, Any]:
    return {
        "limit_points": limits.limit_points,
        "day_limit_points": limits.day_limit_points,
        "pin_above_points": limits.pin_above_points,
    }


def _terms_told(terms: Terms) -> dict[str, Any]:
    return {
        "limit_points": terms.limit_points,
        "day_limit_points": terms.day_limit_points,
        "pin_above_points": terms.pin_above_points,
        "refund_grace_days": terms.refund_grace_days,
    }


def _product_mark(product: Product) -> str:
    return _mark(product.name, _told(product.limits))


def _card_mark(card: CardDetails) -> str:
    return _mark(card.product_id, _told(card.own), card.status, card.card.issue)


def _mark(*seen: object) -> str:
    return hashlib.blake2b(repr(seen).encode(), digest_size=12).hexdigest()
