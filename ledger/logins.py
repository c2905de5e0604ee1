"""Terminals that log in: many in one transaction, as the books post.

When a town's terminals come back in the same second, a transaction each would cost more than their
handshakes. The stages run in either driver (ledger.database, txserver.pipeline).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection

from ledger.database import Rows, Stage, Statement, run_stages
from ledger.events import CHANNEL
from ledger.merchants import VERSION
from ledger.terminals import KEY_DAYS, TerminalSeat, clock_off_s

__all__ = ["STATEMENTS", "LoggedIn", "Login", "login", "stages"]

# Keys are unique, so each names one terminal; which one that is, is looked at again under the lock.
LOCK_KNOWN = Statement(
    "lock_known",
    """SELECT t.id, t.public_key, t.next_public_key, t.status
       FROM (SELECT DISTINCT coalesce((SELECT p.id FROM terminal p WHERE p.public_key = k.key),
                                      (SELECT n.id FROM terminal n WHERE n.next_public_key = k.key)) AS id
             FROM unnest($1::bytea[]) AS k(key)) AS asked
       JOIN terminal t ON t.id = asked.id ORDER BY t.id FOR UPDATE OF t""",
    ("bytea[]",),
)
READ_CATALOGUE_VERSION = Statement("read_catalogue_version", f"SELECT coalesce(({VERSION.text}), 0)")
# A next key becomes the present one by its first login. `times`: so often has the terminal logged in here.
# Another worker that had its session hears that this is over, when it is committed.
SEAT_KNOWN = Statement(
    "seat_known",
    f"""WITH asked AS (
           SELECT * FROM unnest($1::int8[], $2::bytea[], $3::int8[], $4::text[], $5::text[], $6::int8[])
               AS a(id, key, times, worker, software, clock_off_s)
       ), known AS (SELECT id, worker FROM terminal WHERE id = ANY($1)
       ), sat AS (
           UPDATE terminal t
           SET serial = t.serial + a.times, worker = nullif(a.worker, ''), software = a.software,
               last_login_at = $7::timestamptz, clock_off_s = a.clock_off_s, public_key = a.key,
               next_public_key = CASE WHEN t.next_public_key = a.key THEN NULL ELSE t.next_public_key END,
               key_since = CASE WHEN t.next_public_key = a.key THEN $7 ELSE t.key_since END,
               key_change_asked = t.key_change_asked AND t.next_public_key IS DISTINCT FROM a.key
           FROM asked a JOIN known USING (id) WHERE t.id = a.id
           RETURNING t.*, known.worker AS worker_before, a.worker AS worker_now
       )
       SELECT t.id, t.status, t.tenant_id, t.store_id, m.name, s.name, t.serial, t.last_batch,
              t.key_change_asked OR coalesce(t.key_since < $8::timestamptz, false),
              CASE WHEN t.worker_before <> t.worker_now THEN
                  (SELECT count(*) FROM pg_notify('{CHANNEL}', format('{{"kind": "ended", "terminal": %s, '
                                                  '"serial": %s, "reason": "replaced"}}', t.id, t.serial)))
              END
       FROM sat t JOIN organisation s ON s.id = t.store_id JOIN organisation m ON m.id = t.tenant_id""",
    ("int8[]", "bytea[]", "int8[]", "text[]", "text[]", "int8[]", "timestamptz", "timestamptz"),
)

STATEMENTS = (LOCK_KNOWN, READ_CATALOGUE_VERSION, SEAT_KNOWN)


@dataclass(slots=True)
class Login:
    """A terminal that shows its key. `terminal_at` is its clock, `worker` who is to have its session.

    Who sets `given_up` has stopped waiting: then nothing is written, and its session before goes on.
    """

    kind: ClassVar[str] = "login"

    public_key: bytes
    software: str
    worker: str = ""
    terminal_at: datetime | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The seat of who was let in, None for an unknown or revoked key; and the version of the catalogue."""

    seat: TerminalSeat | None
    catalogue: int


def login(
    connection: Connection,
    *,
    public_key: bytes,
    software: str,
    now: datetime,
    worker: str = "",
    terminal_at: datetime | None = None,
    key_days: int = KEY_DAYS,
) -> TerminalSeat | None:
    """The active terminal with this key, in a new session of `worker`; None for an unknown or revoked key."""
    asked = Login(public_key, software, worker, terminal_at)
    answers: list[LoggedIn] = run_stages(connection, stages([asked], now, key_days))
    return answers[0].seat


def stages(
    logins: Sequence[Login], now: datetime, key_days: int
) -> Generator[Stage, list[Rows], list[LoggedIn]]:
    """Log these terminals in, as if one after the other; one answer each, in their order.

    A terminal's next key becomes its present one here. A key of more than `key_days` is to be changed.
    Tells the other workers when a session before was theirs.
    """
    keys = sorted({each.public_key for each in logins})
    known, version = yield Stage([(LOCK_KNOWN, (keys,)), (READ_CATALOGUE_VERSION, ())])
    entering = _let_in(logins, known)
    calls = [(SEAT_KNOWN, _columns(entering, logins, now, key_days))] if entering else []
    found = yield Stage(calls, final=True)
    answers = [LoggedIn(None, version[0][0]) for _ in logins]
    for *row, _ in found[0] if calls else []:
        seat = TerminalSeat(*row)
        for later, place in enumerate(reversed(entering[seat.id].places)):
            answers[place] = LoggedIn(replace(seat, serial=seat.serial - later), version[0][0])
    return answers


@dataclass(slots=True)
class _Entering:
    """A terminal that is let in: its keys as they are by now, and which of the logins are its own."""

    present: bytes | None
    coming: bytes | None
    places: list[int]


def _let_in(logins: Sequence[Login], known: Rows) -> dict[int, _Entering]:
    """Who is let in, by terminal. While the locks were waited for, some may have stopped waiting."""
    terminals = {
        number: _Entering(present, coming, [])
        for number, present, coming, status in known
        if status == "active"
    }
    by_key = {key: each for each in terminals.values() for key in (each.present, each.coming) if key}
    for place, asked in enumerate(logins):
        terminal = by_key.get(asked.public_key)
        if asked.given_up or terminal is None:
            continue
        if asked.public_key == terminal.coming:
            terminal.present, terminal.coming = terminal.coming, None
        if asked.public_key == terminal.present:  # and not the one that a login before this has replaced
            terminal.places.append(place)
    return {number: each for number, each in terminals.items() if each.places}


def _columns(
    entering: dict[int, _Entering], logins: Sequence[Login], now: datetime, key_days: int
) -> tuple[Any, ...]:
    """The parameters of SEAT_KNOWN: the last login of each terminal says who it is now."""
    last = [logins[each.places[-1]] for each in entering.values()]
    return (
        list(entering),
        [each.present for each in entering.values()],
        [len(each.places) for each in entering.values()],
        [each.worker for each in last],
        [each.software for each in last],
        [clock_off_s(each.terminal_at, now) for each in last],
        now,
        now - timedelta(days=key_days),
    )
