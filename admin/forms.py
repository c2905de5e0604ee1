"""What forms of this site have in common: plain words in one line, and what they were made for."""

import unicodedata
from typing import Any
from uuid import UUID

from flask_wtf import FlaskForm
from wtforms import DateField, Field, HiddenField, SelectField, ValidationError

from admin import current
from admin.language import gettext as _
from ledger import submissions
from ledger.database import Connection

__all__ = ["MarkedForm", "OnceForm", "plain", "trimmed"]


YEARS = range(
    1900, 2400
)  # days far beyond any agreement are slips of the keyboard, and days beside them must exist


def _years() -> dict[str, int]:
    return {"first": YEARS[0], "last": YEARS[-1]}


class MarkedForm(FlaskForm):  # type: ignore[misc]
    """A form that remembers what it was made for: sent twice or too late, it finds this changed."""

    mark = HiddenField()

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether all is well. 404, and a line in the trail, for the number of a thing that was not offered.

        It is nobody's, or another's: a person chooses from a list, which has no such line.
        """
        valid = bool(super().validate(extra_validators))
        for field in self:
            if isinstance(field, DateField) and field.data is not None and field.data.year not in YEARS:
                field.errors = [*field.errors, _("Give a day from %(first)s to %(last)s.", **_years())]
                valid = False
        for field in () if valid else self:
            if isinstance(field, SelectField) and field.coerce is int and field.validate_choice:
                sent = str(field.raw_data[0]) if field.raw_data else ""
                known = {str(value) for value, *_rest in field.iter_choices()}
                if sent.isascii() and sent.isdigit() and sent.lstrip("0") and sent not in known:
                    current.missing("choice", f"{field.name} {sent[:40]}")
        return valid


class OnceForm(MarkedForm):
    """A form that makes something: its mark is a fresh number, which only one sending can claim."""

    def fresh(self) -> None:
        """Give the form its mark, when it is shown for the first time."""
        if not self.mark.data:
            self.mark.data = str(UUID(bytes=current.random_bytes(16)))

    def claim(self, connection: Connection, tenant: int) -> bool:
        """Whether this is the first time that the form is sent. False, too, for a mark that is none."""
        try:
            mark = UUID(self.mark.data or "")
        except ValueError:
            return False
        return submissions.claim(connection, mark, tenant=tenant, now=current.now())


def trimmed(value: str | None) -> str:
    """Without the white space around it. WTForms' filter."""
    return (value or "").strip()


def plain(_form: FlaskForm, field: Field) -> None:
    """Words in one line: no control characters, of which PostgreSQL takes some and pages show none."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in field.data or ""):
        raise ValidationError(_("Type it in one line, with letters, digits and signs only."))
