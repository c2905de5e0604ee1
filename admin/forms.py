"""What forms of this site have in common: plain words in one line, and what they were made for."""

import unicodedata
from uuid import UUID

from flask_wtf import FlaskForm
from wtforms import Field, HiddenField, ValidationError

from admin import current
from admin.language import gettext as _
from ledger import submissions
from ledger.database import Connection

__all__ = ["MarkedForm", "OnceForm", "plain", "trimmed"]


class MarkedForm(FlaskForm):  # type: ignore[misc]
    """A form that remembers what it was made for: sent twice or too late, it finds this changed."""

    mark = HiddenField()


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
