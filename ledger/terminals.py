"""Terminals: created by the site, enrolled and logged in by their keys, revoked by people.

A terminal's serial rises with each login, enrolment and revocation. A session with an older one is
over, in whichever process: an event says so at once, and `outdated` to who missed it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from ledger.events import Event, announce

__all__ = [
    "KEY_DAYS", "SEATED", "Invitation", "TerminalSeat", "ask_key_change", "change_key", "clock_off_s",
    "count_named", "create_terminal", "enrol", "invitation", "is_active",
    "key_changes_asked", "move", "outdated", "refused_invitation", "replaced", "revoke",
]  # fmt: skip

INSERT = text(
    """INSERT INTO terminal (tenant_id, store_id, kind, name)
       SELECT tenant_id, id, :kind, :name FROM organisation WHERE id = :store AND kind = 'store'
       RETURNING id"""
)
REFUSED = text(
    """SELECT e.terminal_id,
              CASE WHEN t.status = 'revoked' THEN 'revoked' WHEN e.used_at IS NOT NULL THEN 'used'
                   WHEN e.expires_at <= :now THEN 'expired' ELSE 'key_taken' END AS reason
       FROM enrolment e JOIN terminal t ON t.id = e.terminal_id WHERE e.id = :id"""
)
INVITATION = text(
    """SELECT t.store_id, e.used_at IS NULL AND e.expires_at > :now AND t.status <> 'revoked'
       FROM enrolment e JOIN terminal t ON t.id = e.terminal_id WHERE e.id = :id"""
)
COUNT_NAMED = text("SELECT count(*) FROM terminal WHERE store_id = :store AND starts_with(name, :start)")
IS_ACTIVE = text(
    """SELECT EXISTS (SELECT FROM terminal
                      WHERE (public_key = :key OR next_public_key = :key) AND status = 'active')"""
)

# Whoever changes an enrolment holds its terminal's lock: who invites (ledger.enrolments) and who enrols.
LOCK_INVITED = text(
    "SELECT FROM terminal WHERE id = (SELECT terminal_id FROM enrolment WHERE id = :id) FOR UPDATE"
)
ENROLMENT = text(
    """SELECT e.terminal_id, e.expires_at, e.used_at, t.public_key, t.status, t.worker
       FROM enrolment e JOIN terminal t ON t.id = e.terminal_id WHERE e.id = :id"""
)
USE_ENROLMENT = text("UPDATE enrolment SET used_at = :now WHERE id = :id AND used_at IS NULL")
# Of terminals that have just been updated, as `sat`: the fields of a TerminalSeat.
SEATED = """SELECT t.id, t.status, t.tenant_id, t.store_id, m.name, s.name, t.serial, t.last_batch,
                   t.key_change_asked OR coalesce(t.key_since < {key_since_least}, false)
            FROM sat t JOIN organisation s ON s.id = t.store_id JOIN organisation m ON m.id = t.tenant_id"""
ENROL = text(
    """WITH sat AS (
           UPDATE terminal t
           SET serial = t.serial + 1, worker = nullif(:worker, ''), software = :software,
               last_login_at = :now, clock_off_s = :clock_off_s, status = 'active', model = :model,
               public_key = :key,
               key_since = CASE WHEN t.public_key IS DISTINCT FROM :key THEN :now ELSE t.key_since END,
               next_public_key = CASE WHEN t.public_key = :key THEN t.next_public_key END,
               key_change_asked = t.key_change_asked AND t.public_key IS NOT DISTINCT FROM :key
           WHERE t.id = :terminal RETURNING t.*
       ) """
    + SEATED.format(key_since_least=":key_since_least")
)
REVOKE = text(
    """UPDATE terminal SET status = 'revoked', serial = serial + 1
       WHERE id = :terminal AND status <> 'revoked' AND kind <> 'office' RETURNING serial"""
)
# A key may be one terminal's present one or one's next; no constraint covers two columns.
LOCK_KEY = text("SELECT pg_advisory_xact_lock(hashtextextended('tessera.key ' || :name, 0))")
KEY_TAKEN = text(
    """SELECT EXISTS (SELECT FROM terminal
                      WHERE (public_key = :key OR next_public_key = :key) AND id <> :terminal)"""
)
# To a store that is open, of the same merchant.
MOVE = text(
    """UPDATE terminal t SET store_id = s.id FROM organisation s
       WHERE t.id = :terminal AND t.status <> 'revoked' AND t.kind <> 'office' AND s.id = :store
         AND s.tenant_id = t.tenant_id AND s.kind = 'store' AND s.status = 'open' AND t.store_id <> s.id
       RETURNING t.id"""
)
CHANGE_KEY = text(
    """UPDATE terminal SET next_public_key = :key
       WHERE id = :terminal AND status = 'active' AND public_key <> :key RETURNING id"""
)
ASK_KEY_CHANGE = text(
    """UPDATE terminal SET key_change_asked = true
       WHERE id = :terminal AND status <> 'revoked' AND kind <> 'office' RETURNING id"""
)
KEY_CHANGES_ASKED = text("SELECT id FROM terminal WHERE key_change_asked AND id = ANY(:terminals)")
OUTDATED = text(
    """SELECT t.id, CASE t.status WHEN 'revoked' THEN 'revoked' ELSE 'replaced' END AS reason
       FROM unnest(CAST(:terminals AS int8[]), CAST(:serials AS int8[])) AS k(id, serial)
       JOIN terminal t ON t.id = k.id WHERE t.serial > k.serial"""
)

KEY_BYTES = 32
KEY_DAYS = 365  # after which a terminal's key is to be changed, unless told otherwise

# Points of small order: whatever the other side's secret, what both share with them is zero. On Curve25519
# and its twist: 0, 1, two of order eight, p - 1, p, p + 1, little-endian. The list of libsodium's
# has_small_order and of D. J. Bernstein, https://cr.yp.to/ecdh.html#validate.
_P = 2**255 - 19
SMALL_ORDER = frozenset(
    point.to_bytes(KEY_BYTES, "little")
    for point in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _P - 1,
        _P,
        _P + 1,
    )
)


@dataclass(frozen=True, slots=True)
class TerminalSeat:
    """Where a terminal stands: its id, its merchant and store with their names, and its newest session.

    `last_batch` is the newest batch that was reconciled; `change_key`: it is to be asked for a new key.
    """

    id: int
    status: str
    merchant_id: int
    store_id: int
    merchant: str
    store: str
    serial: int
    last_batch: int | None
    change_key: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """An enrolment: of a terminal of which store, and whether a device may still use it."""

    store_id: int
    open: bool


def create_terminal(connection: Connection, *, store: int, kind: str, name: str) -> int:
    """A terminal of `store` (pos, phone or counter), waiting for its device. Returns its id."""
    new: int = connection.execute(INSERT, {"store": store, "kind": kind, "name": name}).scalar_one()
    return new


def refused_invitation(connection: Connection, enrolment_id: bytes, now: datetime) -> tuple[str, int | None]:
    """Why nobody may enrol with this id, for the log, and of which terminal it is, if of any.

    unknown, used, expired, revoked; key_taken when it is the device's key that cannot be used.
    """
    row = connection.execute(REFUSED, {"id": enrolment_id, "now": now}).one_or_none()
    return (row.reason, row.terminal_id) if row is not None else ("unknown", None)


def invitation(connection: Connection, enrolment_id: bytes, now: datetime) -> Invitation | None:
    """The enrolment with this id, or None."""
    row = connection.execute(INVITATION, {"id": enrolment_id, "now": now}).one_or_none()
    return Invitation(*row) if row is not None else None


def count_named(connection: Connection, store: int, start: str) -> int:
    """How many terminals of a store have names that start so."""
    count: int = connection.execute(COUNT_NAMED, {"store": store, "start": start}).scalar_one()
    return count


def is_active(connection: Connection, public_key: bytes) -> bool:
    """Whether a terminal with this key, present or next, may log in."""
    active: bool = connection.execute(IS_ACTIVE, {"key": public_key}).scalar_one()
    return active


def enrol(
    connection: Connection,
    *,
    enrolment_id: bytes,
    public_key: bytes,
    model: str,
    software: str,
    now: datetime,
    worker: str = "",
    terminal_at: datetime | None = None,
) -> TerminalSeat | None:
    """Give the invited terminal its key, in a session of `worker`. `terminal_at` is the device's clock.

    None when the invitation is unknown, used, expired or revoked, or another terminal's key is shown.
    The device whose reply was lost may ask again: the same invitation with the same key is welcome.
    """
    _lock_key(connection, public_key)
    connection.execute(LOCK_INVITED, {"id": enrolment_id})
    row = connection.execute(ENROLMENT, {"id": enrolment_id}).one_or_none()
    if row is None:
        return None
    terminal, expires_at, used_at, known_key, status, worker_before = row
    again = used_at is not None and known_key == public_key and status == "active"
    fresh = used_at is None and now < expires_at and status != "revoked"
    if not (again or fresh):
        return None
    if connection.execute(KEY_TAKEN, {"key": public_key, "terminal": terminal}).scalar_one():
        return None
    connection.execute(USE_ENROLMENT, {"id": enrolment_id, "now": now})
    told = {"key": public_key, "model": model, "software": software, "now": now, "worker": worker}
    told |= {"terminal": terminal, "clock_off_s": clock_off_s(terminal_at, now)}
    told |= {"key_since_least": now - timedelta(days=KEY_DAYS)}
    seat = TerminalSeat(*connection.execute(ENROL, told).one())
    event = replaced(seat.id, seat.serial, worker_before, worker)
    if event is not None:
        announce(connection, event)
    return seat


def revoke(connection: Connection, terminal: int) -> bool:
    """The terminal cannot log in any more, and its open session ends, in whichever process that is.

    False when there was nothing to revoke. A revoked terminal is not brought back: it gets a new place.
    """
    serial = connection.execute(REVOKE, {"terminal": terminal}).scalar_one_or_none()
    if serial is None:
        return False
    announce(connection, Event("ended", terminal=terminal, serial=serial, reason="revoked"))
    return True


def move(connection: Connection, terminal: int, store: int) -> bool:
    """What the terminal sells from now on, another store of its merchant sells. What it has sold stays.

    False, and nothing is done, for a revoked one and for a store that is closed, another merchant's, or
    its own already. Its receipts name the new store after its next login.
    """
    return connection.execute(MOVE, {"terminal": terminal, "store": store}).scalar_one_or_none() is not None


def change_key(connection: Connection, terminal: int, key: bytes) -> bool:
    """Note a terminal's next key; its first login with it makes it the present one. Again is fine.

    False when it cannot be used: it is no point that keeps a secret, or some terminal has it already. `now`
    decides nothing: a key counts from its first login on.
    """
    if not _keeps_secrets(key):
        return False
    _lock_key(connection, key)
    asked = {"terminal": terminal, "key": key}
    if connection.execute(KEY_TAKEN, asked).scalar_one():
        return False
    return connection.execute(CHANGE_KEY, asked).scalar_one_or_none() is not None


def ask_key_change(connection: Connection, terminal: int) -> bool:
    """Have the terminal asked for a new key, now and at each login until it uses one. False: no terminal."""
    if connection.execute(ASK_KEY_CHANGE, {"terminal": terminal}).scalar_one_or_none() is None:
        return False
    announce(connection, Event("key", terminal=terminal))
    return True


def key_changes_asked(connection: Connection, terminals: Iterable[int]) -> set[int]:
    """Which of these terminals are to be asked for a new key, as `ask_key_change` said, and have none yet."""
    return set(connection.execute(KEY_CHANGES_ASKED, {"terminals": list(terminals)}).scalars())


def outdated(connection: Connection, serials: Mapping[int, int]) -> dict[int, str]:
    """Of open sessions, as terminal -> serial, those that are over: terminal -> "replaced" or "revoked"."""
    if not serials:
        return {}
    asked = {"terminals": list(serials.keys()), "serials": list(serials.values())}
    return {row.id: row.reason for row in connection.execute(OUTDATED, asked)}


def replaced(terminal: int, serial: int, before: str | None, worker: str) -> Event | None:
    """What the others hear when `worker` has a terminal's newest session; None when it had the one before."""
    if before is None or before == worker:
        return None
    return Event("ended", terminal=terminal, serial=serial, reason="replaced")


def clock_off_s(terminal_at: datetime | None, now: datetime) -> int | None:
    """The terminal's clock minus ours, to the nearest second."""
    if terminal_at is None:
        return None
    return (terminal_at - now + timedelta(milliseconds=500)) // timedelta(seconds=1)


def _lock_key(connection: Connection, key: bytes) -> None:
    """Whoever else wants to give this key to a terminal waits until this transaction ends."""
    connection.execute(LOCK_KEY, {"name": key.hex()})


def _keeps_secrets(key: bytes) -> bool:
    """Whether a public key has the right length and no small order. X25519 ignores its highest bit."""
    if len(key) != KEY_BYTES:
        return False
    return key[:-1] + bytes([key[-1] & 0x7F]) not in SMALL_ORDER
