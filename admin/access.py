"""Who may what: every route names its permission, and a route without one is closed to everybody.

`public` and `signed_in` stand beside the names of operations such as `transactions.view`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from ledger.permissions import ALL
from ledger.staff import StaffProfile

__all__ = ["PUBLIC", "SIGNED_IN", "Person", "guard", "permission_of", "requires"]

PUBLIC = "public"
SIGNED_IN = "signed_in"

# Files that anyone may fetch; their views come from Flask and Bootstrap-Flask.
FILES = {"static": PUBLIC, "bootstrap.static": PUBLIC}

# What somebody may do who has yet to set up the second factor that their tenant asks for.
BEFORE_THE_FACTOR = {"own.factor", "own.password", "login.leave"}

View = TypeVar("View", bound=Callable[..., Any])


class Person:
    """The staff who is signed in, as Flask-Login wants to see them."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, staff: StaffProfile, session: int, token: str) -> None:
        """`session` is the row of this browser's session, `token` in hex what its cookie proves it with."""
        self.staff = staff
        self.permissions = frozenset(staff.rights.units)
        self.session = session
        self.token = token

    def get_id(self) -> str:
        """What the session remembers: it ends when the password changes."""
        return f"{self.token}.{self.staff.password_mark}"


def requires(permission: str, *, whole: bool = False) -> Callable[[View], View]:
    """Declare a view's permission: `public`, `signed_in`, or the name of an operation.

    `whole`: what is done there counts for the whole tenant, so a reach over some of its units is not enough.
    """
    if permission not in ALL | {PUBLIC, SIGNED_IN}:
        raise ValueError(f"no permission is called {permission!r}")

    def declare(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
        view.whole = whole  # type: ignore[attr-defined]
        return view

    return declare


def permission_of(app: Flask, endpoint: str) -> str | None:
    """The permission that an endpoint declares, or None when it declares none."""
    declared: str | None = getattr(app.view_functions[endpoint], "permission", None)
    return declared or FILES.get(endpoint)


def guard() -> ResponseReturnValue | None:
    """Before every request: let it pass, ask for a login, or refuse."""
    if request.endpoint is None:  # no such page: the answer is 404, for everyone
        return None
    permission = permission_of(current_app, request.endpoint)
    if permission == PUBLIC:
        return None
    if permission is None:
        current_app.logger.error("route %s declares no permission", request.endpoint)
        abort(403)
    if not current_user.is_authenticated:
        answer: ResponseReturnValue = current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
        return answer
    if permission != SIGNED_IN and permission not in current_user.permissions:
        abort(403)
    whole = getattr(current_app.view_functions[request.endpoint], "whole", False)
    if whole and not current_user.staff.rights.whole(permission):
        abort(403)
    if current_user.staff.factor_due and request.endpoint not in BEFORE_THE_FACTOR:
        return redirect(url_for("own.factor"), code=303)
    return None
