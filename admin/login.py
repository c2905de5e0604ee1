"""Logging in and out."""

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, Flask, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin import current
from admin.access import PUBLIC, SIGNED_IN, Person, requires
from admin.addresses import safe_next
from ledger.database import Database, Scope
from ledger.staff import authenticate, staff_by_id

__all__ = ["LOGIN_LASTS", "blueprint", "init_login"]

LOGIN_LASTS = timedelta(hours=12)  # a working day; then the password is asked again, whatever happened since
SINCE = "since"  # in the session: when the person logged in, seconds since 1970 UTC

blueprint = Blueprint("login", __name__)


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Login and password; `next` is where the person wanted to go."""

    login = StringField(_l("Login"), validators=[InputRequired(_l("Type your login.")), Length(max=200)])
    password = PasswordField(
        _l("Password"), validators=[InputRequired(_l("Type your password.")), Length(max=200)]
    )
    next = HiddenField()


def init_login(app: Flask, database: Database, clock: Callable[[], datetime]) -> None:
    """Flask-Login over the staff table."""
    manager = LoginManager()
    # Its context processor would ask the database for the person on every page, error pages included.
    manager.init_app(app, add_context_processor=False)
    manager.session_protection = None  # a phone changes its address; the cookie is signed and ends by itself

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(session_id: str) -> Person | None:
        since = session.get(SINCE)
        if not isinstance(since, int) or clock().timestamp() - since >= LOGIN_LASTS.total_seconds():
            return None
        staff_id, _, mark = session_id.partition(".")
        if not staff_id.isdecimal():
            return None
        with database.transaction(Scope.everything()) as connection:
            staff = staff_by_id(connection, int(staff_id))
        return Person(staff) if staff is not None and staff.password_mark == mark else None

    @manager.unauthorized_handler  # type: ignore[untyped-decorator]
    def ask() -> ResponseReturnValue:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("login.form", next=wanted if wanted != "/" else None), code=303)


@blueprint.route("/login", methods=["GET", "POST"])
@requires(PUBLIC)
def form() -> ResponseReturnValue:
    """The form, and the check of what was typed."""
    if request.method == "GET" and current_user.is_authenticated:
        return redirect(safe_next(request.args.get("next")), code=303)
    page = LoginForm(next=request.args.get("next", ""))
    if not page.validate_on_submit():
        return render_template("login/form.html", form=page, refused=False)
    now = current.now()
    staff = authenticate(current.database(), page.login.data, page.password.data, now=now)
    if staff is None:
        return render_template("login/form.html", form=page, refused=True), 401
    session.clear()  # nothing from before the login stays: no fixed session, a new CSRF token
    session.permanent = True
    session[SINCE] = int(now.timestamp())
    login_user(Person(staff))
    return redirect(safe_next(page.next.data), code=303)


@blueprint.post("/logout")
@requires(SIGNED_IN)
def leave() -> ResponseReturnValue:
    """End the session in this browser."""
    logout_user()
    session.clear()
    return redirect(url_for("login.form"), code=303)
