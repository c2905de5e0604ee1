"""Many prices changed at once: chosen, shown line by line before anything happens, then all or none."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DateField, Field, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import requires
from admin.forms import MarkedForm, plain, trimmed
from admin.language import day
from admin.language import gettext as _
from admin.merchant_forms import line_field, state_mark
from admin.money import parse_money
from admin.prices import blueprint
from admin.services import category_choices
from ledger import price_list, services
from ledger.businessday import business_date
from ledger.database import Connection
from ledger.merchants import PriceRefused
from ledger.price_plan import Amount, Line, Refused, plan

__all__ = ["LINES_MOST", "SHOWN_MOST", "blueprint"]

LINES_MOST = 1_000  # changed in one go, within some seconds; each merchant's trail gets its lines
SHOWN_MOST = 100  # in a preview; those with errors first
CODES_MOST = 2_000
PERCENT = re.compile(r"([+-]?)(\d{1,4})(?:\.(\d{1,2}))?", re.ASCII)
HOW = [
    SelectChoice("keep", _l("as they are")),
    SelectChoice("percent", _l("by a percentage")),
    SelectChoice("set", _l("to an amount")),
]


class ChangeForm(MarkedForm):
    """Which prices, from when, and how they change. Its mark is the plan that the preview showed."""

    merchants = StringField(
        _l("Merchants"),
        filters=[trimmed],
        validators=[plain, Length(max=CODES_MOST)],
        description=_l("Their codes, with commas between; empty: all."),
    )
    services = StringField(
        _l("Services"),
        filters=[trimmed],
        validators=[plain, Length(max=CODES_MOST)],
        description=_l("Their codes, with commas between; empty: all."),
    )
    category = SelectField(_l("Category"), coerce=int)
    since = DateField(_l("From"), validators=[DataRequired(_l("Give the first day."))])
    points_how = SelectField(_l("Points change"), choices=HOW)
    points_by = StringField(_l("Percentage, or new points a unit"), filters=[trimmed])
    money_how = SelectField(_l("Settlement prices change"), choices=HOW)
    money_by = StringField(_l("Percentage, or new settlement price"), filters=[trimmed])
    leave_out = BooleanField(_l("Leave out the lines that cannot be changed"))
    reason = line_field(_l("Reason"), description=_l("Optional; it stands in the audit trail."))

    def validate_money_how(self, field: Field) -> None:
        if field.data == "keep" and self.points_how.data == "keep":
            raise ValidationError(_("Then nothing changes: choose a change of points, of money, or of both."))

    def validate_points_by(self, field: Field) -> None:
        if self.points_how.data == "percent":
            parse_percent(field.data)
        elif self.points_how.data == "set":
            words = unicodedata.normalize("NFKC", field.data)
            if not re.fullmatch(r"[0-9]{1,10}", words) or int(words) == 0:
                raise ValidationError(_("Type a number of points."))

    def validate_money_by(self, field: Field) -> None:
        if self.money_how.data == "percent":
            parse_percent(field.data)
        elif self.money_how.data == "set":
            try:
                parse_money(field.data, "CNY")
            except ValueError:
                raise ValidationError(_("Type an amount, such as 20.00.")) from None

    def points(self) -> Amount | None:
        """The change of points; ask after `validate`."""
        if self.points_how.data == "percent":
            return Amount(percent=parse_percent(self.points_by.data))
        if self.points_how.data == "set":
            return Amount(to=int(self.points_by.data))
        return None

    def money(self, currencies: Iterable[str]) -> dict[str, Amount | None] | None:
        """The change of money in each currency; None in one that has no such digits."""
        if self.money_how.data == "percent":
            return dict.fromkeys(currencies, Amount(percent=parse_percent(self.money_by.data)))
        if self.money_how.data == "keep":
            return None
        found: dict[str, Amount | None] = {}
        for currency in currencies:
            try:
                found[currency] = Amount(to=parse_money(self.money_by.data, currency))
            except ValueError:
                found[currency] = None
        return found


def parse_percent(typed: str) -> int:
    """Hundredths of a percent of 5, -10 or +2.5%. ValidationError for anything else, and below -100."""
    words = unicodedata.normalize("NFKC", typed).strip().replace("\N{MINUS SIGN}", "-")
    found = PERCENT.fullmatch(words.removesuffix("%").strip())
    if found is None:
        raise ValidationError(_("Type a percentage such as 5, -10 or 2.5."))
    hundredths = int(Decimal(f"{found[1]}{found[2]}.{found[3] or 0}") * 100)
    if hundredths < -10_000:
        raise ValidationError(_("Nothing can fall by more than 100 percent."))
    return hundredths


@blueprint.app_template_filter("refused_words")
def refused_words(why: Refused) -> str:
    """Why a price cannot be changed like this."""
    words: dict[Refused, str] = {
        "too_small": _("Less than one point: nothing is free here."),
        "too_big": _("More than a price can be."),
        "open_points": _("An open price has no points of its own to change."),
        "money_digits": _("Its currency has not so many digits."),
        "same": _("It stays as it is."),
    }
    return words[why]


def codes(typed: str) -> list[str] | None:
    """The codes of a list with commas or white space between, each once; None when there are none."""
    found = re.split(r"[\s,，、;；]+", typed.strip(" ,，、;；"))
    return list(dict.fromkeys(found)) if found != [""] else None


@blueprint.route("/prices/change", methods=["GET", "POST"])
@requires("prices.change")
def change_many() -> ResponseReturnValue:
    """Choose and preview; the button of the preview changes what it shows, if that is still so."""
    form = ChangeForm()
    with current.database().transaction(current.scope()) as connection:
        known = services.categories(connection)
        today = business_date(connection) or current.now().date()
    form.category.choices = category_choices(known, None, _("All"))
    if request.method == "GET":
        form.merchants.data = request.args.get("merchants", "")[:CODES_MOST]
        form.services.data = request.args.get("services", "")[:CODES_MOST]
    if not form.validate_on_submit() or not _chosen(form, today):
        return render_template("prices/many.html", form=form, lines=None, today=today)
    if request.form.get("step") == "confirm":
        return _confirm(form, today)
    return _preview(form, today)


def _chosen(form: ChangeForm, today: date) -> bool:
    """Whether the codes exist and the day is to come; what is wrong is said beside the field."""
    if form.since.data <= today:
        words = _(
            "Prices that are in force change from tomorrow on: the business date is %(day)s.", day=day(today)
        )
        form.since.errors = [*form.since.errors, words]
        return False
    with current.database().transaction(current.scope()) as connection:
        for kind, field in (("merchant", form.merchants), ("service", form.services)):
            unknown = services.unknown_codes(connection, kind, codes(field.data) or [])
            if unknown:
                field.errors = [*field.errors, _("Unknown: %(codes)s", codes=", ".join(unknown[:10]))]
    return not form.errors


def _plan(connection: Connection, form: ChangeForm) -> list[Line] | None:
    """The lines of the change; None when they are too many."""
    sold = price_list.running_on(
        connection,
        form.since.data,
        merchants=codes(form.merchants.data),
        services=codes(form.services.data),
        category=form.category.data or None,
        most=LINES_MOST + 1,
    )
    if len(sold) > LINES_MOST:
        return None
    return plan(sold, points=form.points(), money=form.money({each.currency for each in sold}))


def _mark(form: ChangeForm, lines: list[Line]) -> str:
    return state_mark(form.since.data, [(line.terms, line.refused) for line in lines])


def _preview(form: ChangeForm, today: date, refused: str | None = None) -> ResponseReturnValue:
    with current.database().transaction(current.scope()) as connection:
        lines = _plan(connection, form)
    if lines is None:
        words = _("These are more than %(most)s prices: choose fewer at a time.", most=LINES_MOST)
        form.merchants.errors = [*form.merchants.errors, words]
        return render_template("prices/many.html", form=form, lines=None, today=today)
    form.mark.data = _mark(form, lines)
    wrong = [line for line in lines if line.refused]
    good = [line for line in lines if not line.refused]
    page = render_template(
        "prices/many.html",
        form=form,
        lines=(wrong + good)[:SHOWN_MOST],
        good=len(good),
        wrong=len(wrong),
        hidden=max(0, len(lines) - SHOWN_MOST),
        today=today,
        refused=refused,
    )
    return (page, 409) if refused else page


def _confirm(form: ChangeForm, today: date) -> ResponseReturnValue:
    changed = _(
        "Prices have changed since this preview was made, perhaps by a second click of your own. This is how "
        "it would be now. Nothing was changed yet."
    )
    try:
        with current.database().transaction(current.scope()) as connection:
            lines = _plan(connection, form)
            if lines is None or form.mark.data != _mark(form, lines):
                raise PriceRefused("changed", "the plan is another by now")
            good = [line for line in lines if not line.refused]
            if not good or (len(good) < len(lines) and not form.leave_out.data):
                return _preview(form, today, _("Some lines cannot be changed. Nothing was changed."))
            price_list.change_many(connection, [line.terms for line in good], since=form.since.data)
            _record(connection, form, good)
    except PriceRefused:
        return _preview(form, today, changed)
    flash(_("%(count)s prices change on %(day)s.", count=len(good), day=day(form.since.data)))
    return redirect(url_for("merchants.overview"), code=303)


def _record(connection: Connection, form: ChangeForm, lines: list[Line]) -> None:
    """A line in the trail of each merchant. In the order of their ids: two who do this never deadlock."""
    for merchant, group in groupby(
        sorted(lines, key=lambda line: (line.sold.merchant_id, line.sold.code)),
        key=lambda line: line.sold.merchant_id,
    ):
        own = list(group)
        current.record(
            connection,
            "price.change_many",
            tenant=merchant,
            kind="merchant",
            id=merchant,
            before={line.sold.code: _told(line.sold.points, line.sold.settlement_minor) for line in own},
            after={
                "since": form.since.data.isoformat(),
                "prices": {line.sold.code: _told(line.points, line.settlement_minor) for line in own},
            },
            reason=form.reason.data or None,
        )


def _told(points: int, settlement_minor: int) -> dict[str, Any]:
    return {"points": points, "settlement_minor": settlement_minor}
