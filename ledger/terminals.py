"""Terminals: created by the site, enrolled and logged in by their keys."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

__all__ = [
    "Invitation",
    "TerminalSeat",
    "count_named",
    "create_enrolment",
    "create_terminal",
    "enrol",
    "invitation",
    "is_active",
    "login",
    "revoke",
]

INSERT = text(
    """INSERT INTO terminal (tenant_id, store_id, kind, name)
       SELECT tenant_id, id, :kind, :name FROM organisation WHERE id = :store AND kind = 'store'
       RETURNING id"""
)
INSERT_ENROLMENT = text(
    """INSERT INTO enrolment (id, tenant_id, terminal_id, expires_at)
       SELECT :id, tenant_id, id, :expires_at FROM terminal WHERE id = :terminal RETURNING id"""
)
REVOKE = text("UPDATE terminal SET status = 'revoked' WHERE id = :terminal")
SEAT = """SELECT t.id, t.status, t.tenant_id, t.store_id, m.name, s.name
          FROM terminal t
          JOIN organisation s ON s.id = t.store_id
          JOIN organisation m ON m.id = t.tenant_id"""
SEAT_BY_ID = text(f"{SEAT} WHERE t.id = :terminal")
LOCK_ENROLMENT = text(
    """SELECT e.terminal_id, e.expires_at, e.used_at, t.public_key, t.status
       FROM enrolment e JOIN terminal t ON t.id = e.terminal_id
       WHERE e.id = :id FOR UPDATE OF e, t"""
)
USE_ENROLMENT = text("UPDATE enrolment SET used_at = :now WHERE id = :id")
ACTIVATE = text(
    """UPDATE terminal SET public_key = :key, status = 'active', model = :model, software = :software,
              last_login_at = :now WHERE id = :terminal"""
)
INVITATION = text(
    """SELECT t.store_id, e.used_at IS NULL AND e.expires_at > :now AND t.status <> 'revoked'
       FROM enrolment e JOIN terminal t ON t.id = e.terminal_id WHERE e.id = :id"""
)
COUNT_NAMED = text("SELECT count(*) FROM terminal WHERE store_id = :store AND starts_with(name, :start)")
IS_ACTIVE = text("SELECT EXISTS (SELECT FROM terminal WHERE public_key = :key AND status = 'active')")
KEY_TAKEN = text("SELECT EXISTS (SELECT FROM terminal WHERE public_key = :key AND id <> :terminal)")
LOGIN = text(
    """WITH known AS (
           UPDATE terminal SET last_login_at = :now, software = :software
           WHERE public_key = :key AND status = 'active' RETURNING id
       )
       """
    + SEAT
    + " WHERE t.id = (SELECT id FROM known)"
)


@dataclass(frozen=True, slots=True)
class TerminalSeat:
    """Where a terminal stands: its id, its merchant and store with their names."""

    id: int
    status: str
    merchant_id: int
    store_id: int
    merchant: str
    store: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """An enrolment: of a terminal of which store, and whether a device may still use it."""

    store_id: int
    open: bool


def create_terminal(connection: Connection, *, store: int, kind: str, name: str) -> int:
    """A terminal of `store` (pos, phone or counter), waiting for its device. Returns its id."""
    new: int = connection.execute(INSERT, {"store": store, "kind": kind, "name": name}).scalar_one()
    return new


def create_enrolment(
    connection: Connection, terminal: int, *, enrolment_id: bytes, expires_at: datetime
) -> None:
    """Invite a device. `enrolment_id` is 16 random bytes; the secret is derived from it (ledger.keyring)."""
    connection.execute(
        INSERT_ENROLMENT, {"id": enrolment_id, "terminal": terminal, "expires_at": expires_at}
    ).scalar_one()


def invitation(connection: Connection, enrolment_id: bytes, now: datetime) -> Invitation | None:
    """The enrolment with this id, or None."""
    row = connection.execute(INVITATION, {"id": enrolment_id, "now": now}).one_or_none()
    return Invitation(*row) if row is not None else None


def count_named(connection: Connection, store: int, start: str) -> int:
    """How many terminals of a store have names that start so."""
    count: int = connection.execute(COUNT_NAMED, {"store": store, "start": start}).scalar_one()
    return count


def is_active(connection: Connection, public_key: bytes) -> bool:
    """Whether a terminal with this key may log in."""
    active: bool = connection.execute(IS_ACTIVE, {"key": public_key}).scalar_one()
    return active


def revoke(connection: Connection, terminal: int) -> None:
    """The terminal redeems and inquires nothing from the next message on, and cannot log in again.

    A session that is open may still undo what it did before: a shop must be able to give points back.
    """
    connection.execute(REVOKE, {"terminal": terminal})


def enrol(
    connection: Connection,
    *,
    enrolment_id: bytes,
    public_key: bytes,
    model: str,
    software: str,
    now: datetime,
) -> TerminalSeat | None:
    """Give the invited terminal its key. None when the invitation is unknown, used, expired or revoked.

    The device whose reply was lost may ask again: the same invitation with the same key is welcome.
    """
    row = connection.execute(LOCK_ENROLMENT, {"id": enrolment_id}).one_or_none()
    if row is None:
        return None
    terminal, expires_at, used_at, known_key, status = row
    again = used_at is not None and known_key == public_key and status == "active"
    fresh = used_at is None and now < expires_at and status != "revoked"
    if not (again or fresh):
        return None
    if connection.execute(KEY_TAKEN, {"key": public_key, "terminal": terminal}).scalar_one():
        return None
    if fresh:
        connection.execute(USE_ENROLMENT, {"id": enrolment_id, "now": now})
        connection.execute(
            ACTIVATE,
            {"key": public_key, "model": model, "software": software, "now": now, "terminal": terminal},
        )
    return TerminalSeat(*connection.execute(SEAT_BY_ID, {"terminal": terminal}).one())


def login(connection: Connection, *, public_key: bytes, software: str, now: datetime) -> TerminalSeat | None:
    """The active terminal with this key, its login noted; None for an unknown or revoked key."""
    row = connection.execute(LOGIN, {"key": public_key, "software": software, "now": now}).one_or_none()
    return TerminalSeat(*row) if row is not None else None
