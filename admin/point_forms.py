"""Forms of orders of points, and of budgets."""

import unicodedata

from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    DateField,
    Field,
    Form,
    SelectField,
    StringField,
    TextAreaField,
    ValidationError,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length, Optional

from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.language import gettext as _
from admin.money import CURRENCIES, parse_money
from ledger.point_lines import read_points

__all__ = [
    "AdjustForm", "BudgetForm", "FilterForm", "GrantForm", "LimitForm", "NewBudgetForm", "NoteForm",
    "TopUpForm", "codes_field", "points_of",
]  # fmt: skip

REASON_MOST = 200
CODES_MOST = 60_000  # characters: what a form may hold
CODE_MOST = 60


def whole_points(_form: Form, field: Field) -> None:
    """A whole number from 1 on. WTForms' validator."""
    if field.data and read_points(_typed(field)) is None:
        raise ValidationError(_("Type a whole number from 1 on."))


def points_of(field: Field) -> int | None:
    """What was typed, as a number."""
    return read_points(_typed(field))


def _typed(field: Field) -> str:
    return unicodedata.normalize("NFKC", field.data or "")


def _lines(_form: Form, field: Field) -> None:
    """No characters that PostgreSQL does not take."""
    if "\0" in (field.data or ""):
        raise ValidationError(_("Type it with letters, digits and signs only."))


def codes_field() -> TextAreaField:
    """Members' codes, one a line."""
    return TextAreaField(
        _l("Members' codes"),
        validators=[
            Optional(),
            _lines,
            Length(max=CODES_MOST, message=_l("That is too long for a form. Send it in parts.")),
        ],
        description=_l(
            "One a line. Behind a code, after a comma or a tab, may stand its own number of points: "
            "cells copied from a spreadsheet work."
        ),
        render_kw={"rows": 6, "autocomplete": "off", "spellcheck": "false"},
    )


def _points(label: str | None = None, *, needed: bool = True) -> StringField:
    return StringField(
        label or _l("Points for each"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type how many points.")) if needed else Optional(),
            Length(max=20, message=_l("Type a whole number from 1 on.")),
            whole_points,
        ],
        render_kw={"inputmode": "numeric", "autocomplete": "off"},
    )


def _reason() -> StringField:
    return StringField(
        _l("Reason"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Say why: it stands in the books for good.")),
            plain,
            Length(max=REASON_MOST, message=_l("Type at most %(max)d characters.")),
        ],
        render_kw={"autocomplete": "off"},
    )


def _last_day() -> DateField:
    return DateField(
        _l("Last day"),
        validators=[Optional()],
        description=_l("Until when the points can be spent. Empty: they do not expire."),
    )


def _lot_kind() -> SelectField:
    return SelectField(
        _l("Kind of points"),
        choices=[SelectChoice("granted", _l("Granted")), SelectChoice("promotional", _l("Promotional"))],
    )


class OrderForm(OnceForm):
    """What every order says. `funder` has choices only for the operator's staff."""

    funder = SelectField(_l("Funded by"), coerce=int)
    reason = _reason()


class ListForm(OrderForm):
    """An order for a list of members."""

    codes = codes_field()
    file = FileField(
        _l("Or a file"),
        description=_l("CSV or XLSX: a column with members' codes, and perhaps one with points."),
    )
    leave_out = BooleanField(_l("Leave out the lines that cannot be used"))


class GrantForm(ListForm):
    """Points for the members of a list."""

    points = _points(needed=False)
    lot_kind = _lot_kind()
    expires_on = _last_day()


class FilterForm(OrderForm):
    """Points for all members that a filter finds."""

    unit = SelectField(_l("Unit, with all below it"), coerce=int)
    product = SelectField(_l("Card product"), coerce=int)
    joined_since = DateField(_l("Joined from"), validators=[Optional()])
    joined_until = DateField(_l("Joined until"), validators=[Optional()])
    points = _points()
    lot_kind = _lot_kind()
    expires_on = _last_day()


class AdjustForm(ListForm):
    """Points more or fewer: a correction."""

    direction = SelectField(
        _l("What"),
        choices=[SelectChoice("take", _l("Take points back")), SelectChoice("give", _l("Give points"))],
    )
    points = _points(needed=False)
    expires_on = _last_day()


class TopUpForm(OnceForm):
    """Points that a member has paid for."""

    code = StringField(
        _l("Member's code"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type the member's code.")),
            plain,
            Length(max=CODE_MOST, message=_l("Type at most %(max)d characters.")),
        ],
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )
    points = _points(_l("Points"))
    paid = StringField(
        _l("Paid"),
        filters=[trimmed],
        validators=[DataRequired(_l("Type the amount of money."))],
        render_kw={"inputmode": "decimal", "autocomplete": "off"},
    )
    currency = SelectField(_l("Currency"), choices=[SelectChoice(code, code) for code in CURRENCIES])
    payment = SelectField(
        _l("Paid by"),
        choices=[
            SelectChoice("cash", _l("Cash, at the counter")),
            SelectChoice("card", _l("Bank card, at the counter")),
            SelectChoice("transfer", _l("Bank transfer to the operator")),
        ],
    )
    reference = StringField(
        _l("Reference"),
        filters=[trimmed],
        validators=[ plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))
        ],
        description=_l("Number of the receipt, or of the transfer, by which it can be found."),
        render_kw={"autocomplete": "off"},
    )  # fmt: skip

    def validate_paid(self, field: Field) -> None:
        """An amount of the currency."""
        try:
            minor = parse_money(field.data or "", self.currency.data or CURRENCIES[0])
        except ValueError:
            minor = 0
        if minor <= 0:
            raise ValidationError(_("Type an amount of money such as 50 or 49.90."))

    def validate_reference(self, field: Field) -> None:
        """A transfer is found again by something."""
        if self.payment.data == "transfer" and not field.data:
            raise ValidationError(_("Type what the transfer can be found by."))


class NoteForm(MarkedForm):
    """A decision, with a word on it."""

    note = StringField(
        _l("Note"),
        filters=[trimmed],
        validators=[
            Optional(), plain, Length(max=REASON_MOST, message=_l("Type at most %(max)d characters."))
        ],
        render_kw={"autocomplete": "off"},
    )  # fmt: skip


class NewBudgetForm(OnceForm):
    """A budget, for good or for a time."""

    points = _points(_l("Points"))
    since = DateField(_l("First day"), validators=[Optional()], description=_l("Empty: from now on."))
    last = DateField(_l("Last day"), validators=[Optional()], description=_l("Empty: without end."))


class BudgetForm(MarkedForm):
    """Another number of points for a budget."""

    points = _points(_l("Points"))


class LimitForm(MarkedForm):
    """Above how many points a second person approves; 0 is every order."""

    limit = StringField(
        _l("Points of an order that need nobody else"),
        filters=[trimmed],
        validators=[DataRequired(_l("Type how many points."))],
        description=_l("With more, a second person approves. 0: every order needs one."),
        render_kw={"inputmode": "numeric", "autocomplete": "off"},
    )

    def validate_limit(self, field: Field) -> None:
        """A whole number from 0 on."""
        typed = _typed(field).strip()
        if typed != "0" and read_points(typed) is None:
            raise ValidationError(_("Type a whole number from 0 on."))
