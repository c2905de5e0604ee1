"""The forms in which prices are agreed on, ended and withdrawn."""

from flask_babel import lazy_gettext as _l
from wtforms import DateField, Field, IntegerField, SelectField, StringField, ValidationError
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Optional

from admin.forms import MarkedForm, trimmed
from admin.language import gettext as _
from admin.merchant_forms import line_field
from admin.money import CURRENCIES, parse_money
from ledger import merchants
from ledger.price_plan import AMOUNT_MOST

__all__ = ["EndForm", "PriceForm", "WithdrawForm"]


class PriceForm(MarkedForm):
    """A new price from a day on. Its mark is the state of the agreements that the page showed."""

    kind = SelectField(
        _l("Price"),
        choices=[
            SelectChoice("fixed", _l("Fixed: so many points a unit")),
            SelectChoice("open", _l("Open: any amount in a range")),
        ],
    )
    points = IntegerField(_l("Points a unit"), validators=[Optional()])
    least = IntegerField(_l("Least points of one purchase"), validators=[Optional()])
    most = IntegerField(_l("Most points of one purchase"), validators=[Optional()])
    settlement = StringField(
        _l("Settlement price"),
        filters=[trimmed],
        validators=[InputRequired(_l("Type an amount, such as 20.00."))],
        description=_l("What the merchant is paid: for a unit, or of an open price for each point."),
    )
    currency = SelectField(_l("Currency"), choices=[SelectChoice(code, code) for code in CURRENCIES])
    since = DateField(_l("From"), validators=[DataRequired(_l("Give its first day."))])
    until = DateField(
        _l("Until, its last day"),
        validators=[Optional()],
        description=_l("Empty: without end, or until the last day of the price that it takes the place of."),
    )

    # Fields that are Optional run these only when something was typed; `validate` asks for the rest.
    def validate_points(self, field: Field) -> None:
        if self.kind.data == "fixed":
            _in_range(field)

    def validate_least(self, field: Field) -> None:
        if self.kind.data == "open":
            _in_range(field)

    def validate_most(self, field: Field) -> None:
        if self.kind.data != "open":
            return
        _in_range(field)
        if field.data is not None and self.least.data is not None and field.data < self.least.data:
            raise ValidationError(_("The most is less than the least."))

    def validate_settlement(self, field: Field) -> None:
        try:
            minor = parse_money(field.data, self.currency.data)
        except ValueError:
            raise ValidationError(_("Type an amount, such as 20.00.")) from None
        if minor > AMOUNT_MOST:
            raise ValidationError(_("That is more than a price can be."))

    def validate_until(self, field: Field) -> None:
        if field.data is not None and self.since.data is not None and field.data < self.since.data:
            raise ValidationError(_("The last day is before the first."))

    def validate(self, extra_validators: object = None) -> bool:
        """What the kind of price needs is there, too."""
        valid = bool(super().validate(extra_validators))
        needed = [self.points] if self.kind.data == "fixed" else [self.least, self.most]
        for field in needed:
            if field.data is None and not field.errors:
                field.errors = [*field.errors, _("Type a number of points.")]
                valid = False
        return valid

    def terms(self) -> merchants.PriceTerms:
        """What was typed; ask after `validate`."""
        currency = self.currency.data
        found: merchants.PriceTerms = {
            "settlement_minor": parse_money(self.settlement.data, currency),
            "currency": currency,
        }
        if self.kind.data == "open":
            found["open_range"] = (self.least.data, self.most.data)
        else:
            found["points"] = self.points.data
        return found


class EndForm(MarkedForm):
    """The last day of an agreement."""

    last_day = DateField(_l("Its last day"), validators=[DataRequired(_l("Give its last day."))])
    reason = line_field(_l("Reason"), description=_l("Optional; it stands in the audit trail."))


class WithdrawForm(MarkedForm):
    """An agreement that has not begun is taken back."""

    reason = line_field(_l("Reason"), description=_l("Optional; it stands in the audit trail."))


def _in_range(field: Field) -> None:
    if field.data is not None and not 1 <= field.data <= AMOUNT_MOST:
        raise ValidationError(_("Type a number from 1 to 1,000,000,000."))
