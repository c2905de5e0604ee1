"""What belongs to the request that is being answered: its person, what they may see, and the time."""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from typing import Any, NoReturn

from flask import abort, current_app, request
from flask_login import current_user

from admin.settings import Settings
from ledger import trail
from ledger.database import Connection, Database, Scope
from ledger.staff import StaffProfile

__all__ = [
    "actor", "chosen", "database", "missing", "now", "random_bytes", "record", "scope", "settings", "staff",
]  # fmt: skip


def database() -> Database:
    """The database, for `database().transaction(scope())`."""
    found: Database = current_app.extensions["database"]
    return found


def staff() -> StaffProfile:
    """The person who asks."""
    found: StaffProfile = current_user.staff
    return found


def scope() -> Scope:
    """Whose rows the person who asks may see, by the permission that the page's route declares.

    PermissionError where it names no operation.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    return staff().scope(getattr(view, "permission", ""))


def actor() -> trail.Actor:
    """The person who asks, as the trail names them."""
    return trail.Actor(staff().id, staff().name, request.remote_addr)


def record(
    connection: Connection,
    what: str,
    *,
    tenant: int,
    kind: str,
    id: int | str,  # noqa: A002 - the noun's own word
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Write into `tenant`'s trail what the person who asks has just done (ledger.trail.record)."""
    trail.record(
        connection, actor(), what, tenant=tenant, kind=kind, id=id, before=before, after=after,
        reason=reason, now=now(),
    )  # fmt: skip


def missing(kind: str, id: int | str) -> NoReturn:  # noqa: A002
    """Answer 404 for a thing that is not there or not this person's to see, and leave a line in the trail."""
    own = staff().tenant_id
    with database().transaction(Scope.tenant(own)) as connection:
        record(connection, "missing", tenant=own, kind=kind, id=id, after={"path": request.path})
    abort(404)


def chosen(name: str, known: Container[int], *, kind: str = "organisation") -> int | None:
    """The number of a `kind` that the address chooses by `?name=`, of those that were offered; None for none.

    404, and a line in the trail, for any other number. What is no number is a slip, and passed over.
    """
    asked = request.args.get(name, "").strip()
    if not (asked.isascii() and asked.isdigit() and asked.lstrip("0")):
        return None
    if len(asked) > 19 or int(asked) not in known:
        missing(kind, asked[:40])
    return int(asked)


def now() -> datetime:
    """The time, aware."""
    clock: Callable[[], datetime] = current_app.extensions["clock"]
    return clock()


def random_bytes(size: int) -> bytes:
    """Random bytes that nobody can guess."""
    source: Callable[[int], bytes] = current_app.extensions["random_bytes"]
    return source(size)


def settings() -> Settings:
    """The site's settings."""
    found: Settings = current_app.extensions["settings"]
    return found
