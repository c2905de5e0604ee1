"""What forms of this site have in common: plain words in one line, and what they were made for."""

import unicodedata

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, ValidationError

from admin.language import gettext as _

__all__ = ["MarkedForm", "plain", "trimmed"]


class MarkedForm(FlaskForm):  # type: ignore[misc]
    """A form that remembers what it was made for: sent twice or too late, it finds this changed."""

    mark = HiddenField()


def trimmed(value: str | None) -> str:
    """Without the white space around it. WTForms' filter."""
    return (value or "").strip()


def plain(_form: FlaskForm, field: Field) -> None:
    """Words in one line: no control characters, of which PostgreSQL takes some and pages show none."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in field.data or ""):
        raise ValidationError(_("Type it in one line, with letters, digits and signs only."))
