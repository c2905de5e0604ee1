"""The page behind an invitation's link: a new person chooses login and password, or an old one a password."""

import base64
import binascii

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import logout_user
from wtforms import Field, StringField, ValidationError
from wtforms.validators import DataRequired, Length

from admin import current
from admin.access import PUBLIC, requires
from admin.forms import plain, trimmed
from admin.language import gettext as _
from admin.language import language
from admin.passwords import ChoiceOfPassword
from admin.permission_words import role_words
from ledger import trail
from ledger.database import Connection, Scope
from ledger.invitations import TOKEN_BYTES, InvitationOver, LoginTaken, Opened, accept, opened
from ledger.staff import LOGIN_PATTERN, typed_login

__all__ = ["LOGIN_MOST", "NAME_MOST", "blueprint", "link_of", "login_sensible"]

NAME_MOST = 60
LOGIN_MOST = 64

blueprint = Blueprint("invitations", __name__)


def login_sensible(_form: object, field: Field) -> None:
    """A login is made of what people can type on any keyboard. WTForms' validator."""
    if field.data and not LOGIN_PATTERN.fullmatch(typed_login(field.data)):
        raise ValidationError(
            _("A login has small letters, digits and . _ @ - only, and begins with a letter or digit.")
        )


class PasswordForm(ChoiceOfPassword):
    """Somebody who has a login chooses a new password."""


class AcceptForm(ChoiceOfPassword):
    """A new person's login, name and password."""

    login = StringField(
        _l("Login"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Choose a login.")),
            Length(max=LOGIN_MOST, message=_l("Type at most %(max)d characters.")),
            login_sensible,
        ],
        description=_l("What you type to log in: small letters, digits and . _ @ -"),
    )
    name = StringField(
        _l("Your name"),
        filters=[trimmed],
        validators=[
            DataRequired(_l("Type your name.")),
            plain,
            Length(max=NAME_MOST, message=_l("Type at most %(max)d characters.")),
        ],
    )


def link_of(token: bytes) -> str:
    """The whole address of the link that holds a token."""
    written = base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")
    return url_for("invitations.answer", token=written, _external=True)


@blueprint.route("/invitation/<token>", methods=["GET", "POST"])
@requires(PUBLIC)
def answer(token: str) -> ResponseReturnValue:
    """The form, and what was chosen."""
    secret = _read(token)
    with current.database().transaction(Scope.everything()) as connection:
        found = None if secret is None else opened(connection, secret, now=current.now())
    if found is None or secret is None:
        return render_template("invitations/over.html"), 404
    form = PasswordForm() if found.staff_id is not None else AcceptForm(login=found.login, name=found.name)
    if form.validate_on_submit():
        try:
            _accept(secret, found, form)
        except InvitationOver:
            return render_template("invitations/over.html"), 404
        except LoginTaken:
            form.login.errors = [_("Somebody has this login already. Choose another.")]
        else:
            logout_user()
            session.clear()
            flash(_("It is done: log in with your new password."))
            return redirect(url_for("login.form"), code=303)
    return render_template(
        "invitations/answer.html", form=form, found=found, role=role_words(found.ready_made)
    )


def _accept(secret: bytes, found: Opened, form: ChoiceOfPassword) -> None:
    login, name = found.login or "", found.name or ""
    if isinstance(form, AcceptForm):
        login, name = form.login.data, form.name.data
    with current.database().transaction(Scope.everything()) as connection:
        used, staff = accept(
            connection, secret, login=login, name=name, password=form.password.data, language=language(),
            now=current.now(),
        )  # fmt: skip
        _record(connection, used, staff, name)


def _record(connection: Connection, used: Opened, staff: int, name: str) -> None:
    """The trail's line: the person themselves did it, with the link."""
    what = "staff.join" if used.staff_id is None else "staff.password"
    actor = trail.Actor(staff, name, request.remote_addr)
    after = {
        "invitation": used.id,
        "organisation": used.organisation_id,
        "role": used.ready_made or used.role_id,
    }
    trail.record(
        connection, actor, what, tenant=used.tenant_id, kind="staff", id=staff,
        after=after if used.staff_id is None else {"invitation": used.id}, now=current.now(),
    )  # fmt: skip


def _read(token: str) -> bytes | None:
    """The bytes of a link's token; None for what is none."""
    try:
        secret = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return secret if len(secret) == TOKEN_BYTES else None
