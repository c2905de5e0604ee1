"""What belongs to the request that is being answered: its person, what they may see, and the time."""

from collections.abc import Callable
from datetime import datetime

from flask import current_app
from flask_login import current_user

from admin.settings import Settings
from ledger.database import Database, Scope
from ledger.staff import StaffProfile

__all__ = ["database", "now", "random_bytes", "scope", "settings", "staff"]


def database() -> Database:
    """The database, for `database().transaction(scope())`."""
    found: Database = current_app.extensions["database"]
    return found


def staff() -> StaffProfile:
    """The person who asks."""
    found: StaffProfile = current_user.staff
    return found


def scope() -> Scope:
    """Whose rows the person who asks may see."""
    return staff().scope


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
