"""Sessions of staff as rows: who is logged in where, each of which can be ended."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from ledger.login_events import Visitor

__all__ = ["SESSION_LASTS", "SessionLine", "begin", "end", "end_all", "find", "sessions_of"]

SESSION_LASTS = timedelta(
    hours=12
)  # a working day; then the password is asked again, whatever happened since
SEEN_EVERY = timedelta(minutes=1)  # how exactly a session knows when it was last used

CLEAR = text("DELETE FROM staff_session WHERE staff_id = :staff AND began_at <= :old")
BEGIN = text(
    """INSERT INTO staff_session (tenant_id, staff_id, token_hash, began_at, seen_at, address, browser)
       SELECT tenant_id, id, :hash, :now, :now, :address, :browser FROM staff WHERE id = :staff
       RETURNING id"""
)
FIND = text("SELECT id, staff_id, seen_at FROM staff_session WHERE token_hash = :hash AND began_at > :old")
SEEN = text(
    """UPDATE staff_session SET seen_at = :now, address = :address
       WHERE id = :id AND seen_at <= :before"""
)
END = text("DELETE FROM staff_session WHERE staff_id = :staff AND id = :id RETURNING id")
END_ALL = text("DELETE FROM staff_session WHERE staff_id = :staff AND id <> :but RETURNING id")
LIST = text(
    """SELECT id, began_at, seen_at, address, browser FROM staff_session
       WHERE staff_id = :staff AND began_at > :old ORDER BY seen_at DESC, id DESC"""
)


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A browser in which somebody is logged in."""

    id: int
    began_at: datetime
    seen_at: datetime
    address: str
    browser: str


def begin(connection: Connection, staff: int, token: bytes, visitor: Visitor, *, now: datetime) -> int:
    """A new session, which whoever brings `token` is in; the person's old ones are cleared away."""
    connection.execute(CLEAR, {"staff": staff, "old": now - SESSION_LASTS})
    told = {
        "staff": staff,
        "hash": _hash(token),
        "now": now,
        "address": visitor.address,
        "browser": visitor.browser,
    }
    new: int = connection.execute(BEGIN, told).scalar_one()
    return new


def find(connection: Connection, token: bytes, address: str, *, now: datetime) -> tuple[int, int] | None:
    """The session that `token` stands for, and its person; None when it ended. Notes that it is in use."""
    row = connection.execute(FIND, {"hash": _hash(token), "old": now - SESSION_LASTS}).one_or_none()
    if row is None:
        return None
    if row.seen_at <= now - SEEN_EVERY:
        connection.execute(SEEN, {"id": row.id, "now": now, "address": address, "before": now - SEEN_EVERY})
    return row.id, row.staff_id


def end(connection: Connection, staff: int, session: int) -> bool:
    """End one session of a person; False when it is none of theirs, or ended already."""
    return connection.execute(END, {"staff": staff, "id": session}).one_or_none() is not None


def end_all(connection: Connection, staff: int, *, but: int = 0) -> int:
    """End a person's sessions, `but` one. Returns how many ended."""
    return len(connection.execute(END_ALL, {"staff": staff, "but": but}).all())


def sessions_of(connection: Connection, staff: int, *, now: datetime) -> list[SessionLine]:
    """Where a person is logged in, the latest used first."""
    rows = connection.execute(LIST, {"staff": staff, "old": now - SESSION_LASTS})
    return [SessionLine(*row) for row in rows]


def _hash(token: bytes) -> bytes:
    # The token is random and long: nothing is to be guessed, so a plain hash is enough.
    return hashlib.blake2b(token, digest_size=32, person=b"staff session").digest()
