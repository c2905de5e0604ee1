"""Logging in and out: the password, where it is set up a second factor, and the session of the browser."""

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, Flask, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from admin import current
from admin.access import PUBLIC, SIGNED_IN, Person, requires
from admin.addresses import safe_next
from ledger import staff_sessions
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from ledger.login_events import Outcome, Visitor, may_try, record_login
from ledger.second_factor import take_code
from ledger.staff import StaffProfile, authenticate, staff_by_id

__all__ = ["LOGIN_LASTS", "SECOND_STEP_LASTS", "begin_session", "blueprint", "init_login", "visitor"]

LOGIN_LASTS = staff_sessions.SESSION_LASTS
SECOND_STEP_LASTS = timedelta(minutes=5)  # to take out the phone; then the password is asked again
PASSED = "passed"  # in the session, between the two steps: whose password was right, and when
TOKEN_BYTES = 32
CODE_MOST = 40  # characters; a recovery code has eleven

blueprint = Blueprint("login", __name__)


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Login and password; `next` is where the person wanted to go."""

    login = StringField(_l("Login"), validators=[InputRequired(_l("Type your login.")), Length(max=200)])
    password = PasswordField(
        _l("Password"), validators=[InputRequired(_l("Type your password.")), Length(max=200)]
    )
    next = HiddenField()


class CodeForm(FlaskForm):  # type: ignore[misc]
    """The second step."""

    code = StringField(
        _l("Login code"),
        validators=[
            InputRequired(_l("Type the code.")),
            Length(max=CODE_MOST, message=_l("Type at most %(max)d characters.")),
        ],
        description=_l("Six digits from your app, or one of your recovery codes."),
    )
    next = HiddenField()


def init_login(app: Flask, database: Database, clock: Callable[[], datetime]) -> None:
    """Flask-Login over the staff's sessions."""
    manager = LoginManager()
    # Its context processor would ask the database for the person on every page, error pages included.
    manager.init_app(app, add_context_processor=False)
    manager.session_protection = None  # a phone changes its address; the cookie is signed and ends by itself

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(session_id: str) -> Person | None:
        token, _, mark = session_id.partition(".")
        try:
            proof = bytes.fromhex(token)
        except ValueError:
            return None
        with database.transaction(Scope.everything()) as connection:
            found = staff_sessions.find(connection, proof, request.remote_addr or "", now=clock())
            staff = None if found is None else staff_by_id(connection, found[1])
        if found is None or staff is None or staff.password_mark != mark:
            return None
        return Person(staff, found[0], token)

    @manager.unauthorized_handler  # type: ignore[untyped-decorator]
    def ask() -> ResponseReturnValue:
        wanted = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("login.form", next=wanted if wanted != "/" else None), code=303)


def visitor() -> Visitor:
    """Where this request comes from."""
    return Visitor.seen(request.remote_addr, request.user_agent.string)


@blueprint.route("/login", methods=["GET", "POST"])
@requires(PUBLIC)
def form() -> ResponseReturnValue:
    """The form, and the check of what was typed."""
    if request.method == "GET" and current_user.is_authenticated:
        return redirect(safe_next(request.args.get("next")), code=303)
    page = LoginForm(next=request.args.get("next", ""))
    if not page.validate_on_submit():
        return _form(page)
    now, seen = current.now(), visitor()
    if not _may_try(seen, now):
        return _form(page, crowded=True), 429
    staff = authenticate(current.database(), page.login.data, page.password.data, now=now, visitor=seen)
    if staff is None:
        return _form(page, refused=True), 401
    session.clear()  # nothing from before the login stays: no fixed session, a new CSRF token
    if not staff.second_factor:
        begin_session(staff, "in")
        return redirect(safe_next(page.next.data), code=303)
    session[PASSED] = [staff.id, staff.password_mark, int(now.timestamp())]
    return redirect(url_for("login.second", next=page.next.data or None), code=303)


def _form(page: LoginForm, *, refused: bool = False, crowded: bool = False) -> str:
    return render_template("login/form.html", form=page, refused=refused, crowded=crowded)


@blueprint.route("/login/second", methods=["GET", "POST"])
@requires(PUBLIC)
def second() -> ResponseReturnValue:
    """The second step: a code, from somebody whose password was right a moment ago."""
    staff = _passed()
    if staff is None:
        return redirect(url_for("login.form", next=request.args.get("next") or None), code=303)
    page = CodeForm(next=request.args.get("next", ""))
    if not page.validate_on_submit():
        return render_template("login/second.html", form=page, refused=False, crowded=False)
    now, seen, database = current.now(), visitor(), current.database()
    if not _may_try(seen, now):
        return render_template("login/second.html", form=page, refused=False, crowded=True), 429
    keyring = Keyring.load(current.settings().secrets)
    taken = take_code(database, staff.id, keyring, page.code.data, now=now)
    if taken is None:
        with database.transaction(Scope.everything()) as connection:
            record_login(connection, seen, "wrong_code", staff=staff.id, tenant=staff.tenant_id, now=now)
        return render_template("login/second.html", form=page, refused=True, crowded=False), 401
    session.clear()
    begin_session(staff, "recovery" if taken == "recovery" else "in")
    return redirect(safe_next(page.next.data), code=303)


def begin_session(staff: StaffProfile, outcome: Outcome) -> None:
    """Log a person in, in this browser, and write it down."""
    token, now, seen = current.random_bytes(TOKEN_BYTES), current.now(), visitor()
    with current.database().transaction(Scope.everything()) as connection:
        number = staff_sessions.begin(connection, staff.id, token, seen, now=now)
        record_login(connection, seen, outcome, staff=staff.id, tenant=staff.tenant_id, now=now)
    session.permanent = True
    login_user(Person(staff, number, token.hex()))


@blueprint.post("/logout")
@requires(SIGNED_IN)
def leave() -> ResponseReturnValue:
    """End the session in this browser."""
    staff = current.staff()
    with current.database().transaction(Scope.tenant(staff.tenant_id)) as connection:
        staff_sessions.end(connection, staff.id, current_user.session)
    logout_user()
    session.clear()
    return redirect(url_for("login.form"), code=303)


def _may_try(seen: Visitor, now: datetime) -> bool:
    with current.database().transaction(Scope.everything()) as connection:
        return may_try(connection, seen, now=now)


def _passed() -> StaffProfile | None:
    """Whose password was right in this browser, a moment ago."""
    told = session.get(PASSED)
    if told is None:
        return None
    try:
        staff_id, mark, since = told
    except (TypeError, ValueError):  # the cookie is ours and signed, but may be of another version
        abort(400)
    if current.now().timestamp() - since >= SECOND_STEP_LASTS.total_seconds():
        return None
    with current.database().transaction(Scope.everything()) as connection:
        staff = staff_by_id(connection, staff_id)
    return staff if staff is not None and staff.second_factor and staff.password_mark == mark else None
