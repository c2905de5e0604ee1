"""The forms of staff and their roles, and what of them is offered to choose from."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from flask_babel import lazy_gettext as _l
from wtforms import SelectField, SelectMultipleField, StringField
from wtforms.validators import DataRequired, InputRequired, Length

from admin import current
from admin.forms import MarkedForm, OnceForm, plain, trimmed
from admin.invitations import LOGIN_MOST, NAME_MOST, login_sensible
from admin.language import LANGUAGES
from admin.language import gettext as _
from admin.permission_words import reach_words, role_words
from ledger.database import Connection
from ledger.permissions import REACHES, READY_MADE
from ledger.roles import roles_of
from ledger.staff_lists import Tenant, Unit, units

__all__ = [
    "BEYOND", "ROLE_NAME_MOST", "Chosen", "EditForm", "GiveForm", "InviteForm", "RoleForm", "RuleForm",
    "chosen_role", "fill_language", "fill_places", "fill_roles", "last_administrator", "mark_of",
    "note_foreign", "refuse_beyond", "refuse_missing",
]  # fmt: skip

ROLE_NAME_MOST = 40
INDENT = "\N{EM SPACE}"
BEYOND = _l("This goes beyond your own rights: nobody gives away more than they have.")


class Chosen(NamedTuple):
    """A role as a form names it: ready made, or of the tenant's own."""

    ready_made: str | None
    role: int | None


class RoleOfForm(OnceForm):
    """A role with its reach."""

    role = SelectField(_l("Role"), validators=[InputRequired(_l("Choose a role."))])
    reach = SelectField(_l("Reach"), description=_l("Whose members, terminals and staff the role is about."))


class GiveForm(RoleOfForm):
    """A role at a unit."""

    unit = SelectField(_l("At"), coerce=int)


class InviteForm(RoleOfForm):
    """A new person, with a first role at the unit that they belong to."""

    name = StringField(
        _l("Name (optional)"),
        filters=[trimmed],
        validators=[plain, Length(max=NAME_MOST, message=_l("Type at most %(max)d characters."))],
    )
    login = StringField(
        _l("Login (optional)"),
        filters=[trimmed],
        validators=[
            Length(max=LOGIN_MOST, message=_l("Type at most %(max)d characters.")),
            login_sensible,
        ],
        description=_l("A suggestion: the person may choose another."),
    )
    organisation = SelectField(_l("Belongs to"), coerce=int, description=_l("The role is held there, too."))


class EditForm(MarkedForm):
    """What the house knows of a person."""

    name = StringField(
        _l("Name"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type a name.")),
            plain,
            Length(max=NAME_MOST, message=_l("Type at most %(max)d characters.")),
        ],
    )
    organisation = SelectField(_l("Belongs to"), coerce=int)
    language = SelectField(_l("Language"))


class RuleForm(MarkedForm):
    """Of whom the tenant asks a second factor."""

    rule = SelectField(_l("Asked of"))


class RoleForm(OnceForm):
    """A role's name and what it permits."""

    name = StringField(
        _l("Name"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Give it a name, such as Night desk.")),
            plain,
            Length(max=ROLE_NAME_MOST, message=_l("Type at most %(max)d characters.")),
        ],
    )
    permissions = SelectMultipleField(_l("What it permits"))


def fill_roles(connection: Connection, form: RoleOfForm, tenant: Tenant) -> None:
    """Offer the tenant's roles: its own first, then the ready-made ones."""
    own = [(f"own:{role.id}", role.name) for role in roles_of(connection, tenant.id)]
    ready = [(f"ready:{code}", role_words(code)) for code in READY_MADE[tenant.kind]]
    # Nothing is chosen beforehand: whoever hurries gives nobody everything.
    form.role.choices = [("", _("Choose a role")), *own, *ready]
    form.reach.choices = [(reach, reach_words(reach)) for reach in reversed(REACHES)]
    if form.reach.data is None and tenant.id == current.staff().tenant_id:
        form.reach.data = "below"


def fill_places(connection: Connection, field: SelectField, tenant: Tenant) -> list[Unit]:
    """Offer the open units of a tenant that the person who asks may manage staff of."""
    staff = current.staff()
    own = staff.rights.units.get("staff.change") if tenant.id == staff.tenant_id else None
    found = units(connection, tenant.id, only=own)
    field.choices = [(unit.id, INDENT * unit.depth + unit.name) for unit in found]
    return found


def fill_language(form: EditForm) -> None:
    """Offer the site's languages."""
    form.language.choices = [(code, name) for code, (name, _html) in LANGUAGES.items()]


def chosen_role(value: str) -> Chosen:
    """What a role's field says; it is one of the choices."""
    kind, _separator, named = value.partition(":")
    return Chosen(named, None) if kind == "ready" else Chosen(None, int(named))


def mark_of(*values: object) -> str:
    """A mark of a state: another when any of the values is another."""
    told = "\x1f".join(map(str, values)).encode()
    return hashlib.blake2b(told, digest_size=8).hexdigest()


def refuse_beyond(form: RoleOfForm) -> None:
    """Say beside the role that it is too much."""
    form.role.errors = [str(BEYOND)]


def refuse_missing(form: RoleOfForm) -> None:
    """Say beside the role that it or its unit went away meanwhile."""
    form.role.errors = [_("The role or the unit is not there any more. Choose again.")]


def note_foreign(form: OnceForm | EditForm, fields: Sequence[SelectField]) -> None:
    """404, and a line in the trail, for a unit or role that was not offered: it is nobody's, or another's."""
    for field in fields if form.is_submitted() else ():
        sent = field.raw_data[0] if field.raw_data else None
        if sent is not None and sent not in {str(value) for value, *_rest in field.choices}:
            current.missing("choice", f"{field.name} {sent[:40]}")


def last_administrator() -> str:
    """Why the last one stays."""
    return _(
        "This is the last administrator: without one nobody could manage staff and roles any more. "
        "Make somebody else administrator first. Nothing was changed."
    )
