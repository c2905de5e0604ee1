"""Who may what: every route names its permission, and a route without one is closed to everybody.

`public` and `signed_in` stand beside the names of operations such as `transactions.view`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, abort, current_app, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from ledger.permissions import ALL
from ledger.staff import StaffProfile

__all__ = ["PUBLIC", "SIGNED_IN", "Person", "guard", "permission_of", "requires"]

PUBLIC = "public"
SIGNED_IN = "signed_in"

# Files that anyone may fetch; their views come from Flask and Bootstrap-Flask.
FILES = {"static": PUBLIC, "bootstrap.static": PUBLIC}

View = TypeVar("View", bound=Callable[..., Any])


class Person:
    """The staff who is signed in, as Flask-Login wants to see them."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, staff: StaffProfile) -> None:
        self.staff = staff
        self.permissions = frozenset(staff.rights.units)

    def get_id(self) -> str:
        """What the session remembers: it ends when the password changes."""
        return f"{self.staff.id}.{self.staff.password_mark}"


def requires(permission: str) -> Callable[[View], View]:
    """Declare a view's permission: `public`, `signed_in`, or the name of an operation."""
    if permission not in ALL | {PUBLIC, SIGNED_IN}:
        raise ValueError(f"no permission is called {permission!r}")

    def declare(view: View) -> View:
        view.permission = permission  # type: ignore[attr-defined]
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
    return None
