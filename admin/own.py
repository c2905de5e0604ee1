"""A person's own page: password, second factor, where they are logged in, and who tried to be them."""

import pyotp
import segno
from flask import Blueprint, flash, redirect, render_template, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_user
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin import current
from admin.access import SIGNED_IN, Person, requires
from admin.enrolment import QUIET_ZONE
from admin.language import gettext as _
from admin.login import visitor
from admin.login_words import browser_words, outcome_standing
from admin.passwords import PASSWORD_MOST, ChoiceOfPassword
from admin.permission_words import reach_words, role_words, sentences
from ledger import invitations, second_factor, staff_sessions
from ledger.database import Scope
from ledger.keyring import Keyring
from ledger.login_events import login_history
from ledger.roles import held_by
from ledger.staff import authenticate, set_password, staff_by_id

__all__ = ["HISTORY_MOST", "blueprint"]

HISTORY_MOST = 30
ISSUER = "Tessera"  # what an app lists the codes under
BIGGEST = 2**63 - 1  # of the database's ids

blueprint = Blueprint("own", __name__)
for word in (browser_words, outcome_standing, reach_words, role_words):
    blueprint.add_app_template_filter(word)


class PresentPassword(FlaskForm):  # type: ignore[misc]
    """What weakens a login asks for its password again."""

    present = PasswordField(
        _l("Your password now"),
        validators=[InputRequired(_l("Type your password.")), Length(max=PASSWORD_MOST)],
    )


class PasswordForm(PresentPassword, ChoiceOfPassword):
    """A new password for the old one."""


class ConfirmForm(PresentPassword):
    """A first code, which shows that the app has the secret; and the password.

    Else who finds an open browser locks its person out with a factor of their own.
    """

    code = StringField(
        _l("Login code"),
        validators=[
            InputRequired(_l("Type the code.")),
            Length(max=20, message=_l("Type at most %(max)d characters.")),
        ],
        description=_l("The six digits that the app shows now."),
    )


def scope() -> Scope:
    """The person's own tenant: what is here is their own, whatever units their roles reach."""
    return Scope.tenant(current.staff().tenant_id)


@blueprint.get("/own")
@requires(SIGNED_IN)
def page() -> ResponseReturnValue:
    """The page."""
    staff, now = current.staff(), current.now()
    with current.database().transaction(scope()) as connection:
        factor = second_factor.factor_of(connection, staff.id)
        sessions = staff_sessions.sessions_of(connection, staff.id, now=now)
        logins = login_history(connection, staff.id, most=HISTORY_MOST)
        held = held_by(connection, staff.id)
    return render_template(
        "own/page.html",
        factor=factor,
        sessions=sessions,
        logins=logins,
        held=held,
        may=sentences(frozenset(staff.rights.units), staff.tenant_kind),
        now=now,
    )


@blueprint.route("/own/password", methods=["GET", "POST"])
@requires(SIGNED_IN)
def password() -> ResponseReturnValue:
    """Choose a new password; every other session ends."""
    form = PasswordForm()
    if not form.validate_on_submit() or not _knows(form):
        return render_template("own/password.html", form=form)
    staff = current.staff()
    with current.database().transaction(scope()) as connection:
        set_password(connection, staff.id, form.password.data)
        invitations.forget(connection, staff.id)
        staff_sessions.end_all(connection, staff.id, but=current_user.session)
        renewed = staff_by_id(connection, staff.id)
        current.record(connection, "staff.password", tenant=staff.tenant_id, kind="staff", id=staff.id)
    if renewed is not None:  # this session carries the mark of the password that it began with
        login_user(Person(renewed, current_user.session, current_user.token))
    flash(_("You have a new password. Wherever else you were logged in, you are not any more."))
    return redirect(url_for("own.page"), code=303)


@blueprint.route("/own/second-factor", methods=["GET", "POST"])
@requires(SIGNED_IN)
def factor() -> ResponseReturnValue:
    """Set up a second factor: the secret as QR and text, and the first code. Answers with recovery codes."""
    staff, form = current.staff(), ConfirmForm()
    if staff.second_factor:
        return redirect(url_for("own.page"), code=303)
    keyring = Keyring.load(current.settings().secrets)
    valid = form.validate_on_submit() and _knows(form)
    with current.database().transaction(scope()) as connection:
        secret = second_factor.offered(connection, staff.id, keyring) if form.is_submitted() else None
        if secret is None:
            secret = second_factor.offer(connection, staff.id, keyring, current.random_bytes)
        elif valid and second_factor.confirm(
            connection, staff.id, keyring, form.code.data, now=current.now()
        ):
            staff_sessions.end_all(connection, staff.id, but=current_user.session)
            codes = second_factor.renew_recovery_codes(connection, staff.id, keyring, current.random_bytes)
            current.record(connection, "staff.factor_on", tenant=staff.tenant_id, kind="staff", id=staff.id)
            return render_template("own/codes.html", codes=codes, fresh=True)
    if valid:
        form.code.errors = [
            _("This code does not fit. Check the clock of the phone, and type the code that it shows now.")
        ]
    address = pyotp.TOTP(secret).provisioning_uri(name=staff.login, issuer_name=ISSUER)
    picture = segno.make(address, micro=False).svg_inline(
        border=QUIET_ZONE, omitsize=True, svgclass="qr", lineclass=None, dark="#000", light="#fff"
    )
    return render_template(
        "own/factor.html",
        form=form,
        secret=" ".join(secret[place : place + 4] for place in range(0, len(secret), 4)),
        picture=Markup(picture),  # noqa: S704 - segno's own drawing
    )


@blueprint.route("/own/second-factor/codes", methods=["GET", "POST"])
@requires(SIGNED_IN)
def codes() -> ResponseReturnValue:
    """Fresh recovery codes in the place of the old ones."""
    staff, form = current.staff(), PresentPassword()
    if not staff.second_factor:
        return redirect(url_for("own.page"), code=303)
    if not form.validate_on_submit() or not _knows(form):
        return render_template("own/ask.html", form=form, what="codes")
    keyring = Keyring.load(current.settings().secrets)
    with current.database().transaction(scope()) as connection:
        fresh = second_factor.renew_recovery_codes(connection, staff.id, keyring, current.random_bytes)
        current.record(connection, "staff.recovery_codes", tenant=staff.tenant_id, kind="staff", id=staff.id)
    return render_template("own/codes.html", codes=fresh, fresh=False)


@blueprint.route("/own/second-factor/remove", methods=["GET", "POST"])
@requires(SIGNED_IN)
def remove() -> ResponseReturnValue:
    """Take the second factor off."""
    staff, form = current.staff(), PresentPassword()
    if not staff.second_factor:
        return redirect(url_for("own.page"), code=303)
    if not form.validate_on_submit() or not _knows(form):
        return render_template("own/ask.html", form=form, what="remove")
    with current.database().transaction(scope()) as connection:
        second_factor.remove(connection, staff.id)
        current.record(connection, "staff.factor_off", tenant=staff.tenant_id, kind="staff", id=staff.id)
    flash(_("From now on your password alone lets you in."), "wait")
    return redirect(url_for("own.page"), code=303)


@blueprint.post(f"/own/sessions/<int(max={BIGGEST}):number>/end")
@requires(SIGNED_IN)
def end_session(number: int) -> ResponseReturnValue:
    """Log out another browser; or this one."""
    staff = current.staff()
    with current.database().transaction(scope()) as connection:
        ended = staff_sessions.end(connection, staff.id, number)
        if ended:
            current.record(
                connection, "staff.session_end", tenant=staff.tenant_id, kind="staff", id=staff.id,
                after={"sessions": 1},
            )  # fmt: skip
    if number == current_user.session:
        session.clear()
        return redirect(url_for("login.form"), code=303)
    flash(_("That browser is logged out.") if ended else _("That browser was logged out already."))
    return redirect(url_for("own.page"), code=303)


@blueprint.post("/own/sessions/others")
@requires(SIGNED_IN)
def end_others() -> ResponseReturnValue:
    """Log out every other browser."""
    staff = current.staff()
    with current.database().transaction(scope()) as connection:
        ended = staff_sessions.end_all(connection, staff.id, but=current_user.session)
        if ended:
            current.record(
                connection, "staff.session_end", tenant=staff.tenant_id, kind="staff", id=staff.id,
                after={"sessions": ended},
            )  # fmt: skip
    flash(_("You are logged in here only."))
    return redirect(url_for("own.page"), code=303)


def _knows(form: PresentPassword) -> bool:
    """Whether the password is right; wrong ones count as they do at the login."""
    staff = authenticate(
        current.database(), current.staff().login, form.present.data, now=current.now(), visitor=visitor()
    )
    if staff is not None and staff.id == current.staff().id:
        return True
    form.present.errors = [
        _("This is not your password. After several wrong ones it stays closed for a while.")
    ]
    return False
