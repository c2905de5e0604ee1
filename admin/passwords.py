"""The fields in which somebody chooses a password."""

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import Field, PasswordField, ValidationError
from wtforms.validators import InputRequired, Length

from admin.language import gettext as _
from ledger.staff import PASSWORD_MIN

__all__ = ["PASSWORD_MOST", "ChoiceOfPassword"]

PASSWORD_MOST = 200


class ChoiceOfPassword(FlaskForm):  # type: ignore[misc]
    """A new password, typed twice."""

    password = PasswordField(
        _l("New password"),
        validators=[
            InputRequired(_l("Choose a password.")),
            Length(
                min=PASSWORD_MIN,
                max=PASSWORD_MOST,
                message=_l("A password has %(min)d to %(max)d characters."),
            ),
        ],
        description=_l("At least 8 characters. Several words that nobody else would put together are best."),
    )
    again = PasswordField(_l("The same again"), validators=[InputRequired(_l("Type it once more."))])

    def validate_again(self, field: Field) -> None:
        """Both must be the same: nobody sees what they type."""
        if field.data != self.password.data:
            raise ValidationError(_("The two are not the same. Type the password twice."))
