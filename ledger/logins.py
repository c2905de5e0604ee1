"""Terminals that log in: many in one transaction, as the books post.

When a town's terminals come back in the same second, a transaction each would cost more than their
handshakes. The stages run in either driver (ledger.database, txserver.pipeline).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection

from ledger.database import Rows, Stage, Statement, run_stages
from ledger.events import CHANNEL, payload
from ledger.merchants import VERSION
from ledger.terminals import KEY_DAYS, SEATED, TerminalSeat, clock_off_s, replaced

__all__ = ["STATEMENTS", "LoggedIn", "Login", "login", "stages"]

# Keys are unique, so each names one terminal; which one that is, is looked at again under the lock.
LOCK_KNOWN = Statement(
    "lock_known",
    """SELECT t.id, t.public_key, t.next_public_key, t.status, t.serial, t.worker
       FROM (SELECT DISTINCT coalesce((SELECT p.id FROM terminal p WHERE p.public_key = k.key),
                                      (SELECT n.id FROM terminal n WHERE n.next_public_key = k.key)) AS id
             FROM unnest($1::bytea[]) AS k(key)) AS asked
       JOIN terminal t ON t.id = asked.id ORDER BY t.id FOR UPDATE OF t""",
    ("bytea[]",),
)
READ_CATALOGUE_VERSION = Statement("read_catalogue_version", f"SELECT coalesce(({VERSION.text}), 0)")
# A next key becomes the present one by its first login. `times`: so often has the terminal logged in here.
SEAT_KNOWN = Statement(
    "seat_known",
    """WITH sat AS (
           UPDATE terminal t
           SET serial = t.serial + a.times, worker = nullif(a.worker, ''), software = a.software,
               last_login_at = $7::timestamptz, clock_off_s = a.clock_off_s, public_key = a.key,
               next_public_key = CASE WHEN t.next_public_key = a.key THEN NULL ELSE t.next_public_key END,
               key_since = CASE WHEN t.next_public_key = a.key THEN $7 ELSE t.key_since END,
               key_change_asked = t.key_change_asked AND t.next_public_key IS DISTINCT FROM a.key
           FROM unnest($1::int8[], $2::bytea[], $3::int8[], $4::text[], $5::text[], $6::int8[])
               AS a(id, key, times, worker, software, clock_off_s)
           WHERE t.id = a.id RETURNING t.*
       ) """
    + SEATED.format(key_since_least="$8::timestamptz"),
    ("int8[]", "bytea[]", "int8[]", "text[]", "text[]", "int8[]", "timestamptz", "timestamptz"),
)
# As ledger.events.announce, for many.
TELL = Statement(
    "tell", f"SELECT count(pg_notify('{CHANNEL}', t)) FROM unnest($1::text[]) AS k(t)", ("text[]",)
)

STATEMENTS = (LOCK_KNOWN, READ_CATALOGUE_VERSION, SEAT_KNOWN, TELL)


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
    calls: list[tuple[Statement, tuple[Any, ...]]] = []
    if entering:
        calls.append((SEAT_KNOWN, _columns(entering, logins, now, key_days)))
    told = _told(entering, logins)
    if told:
        calls.append((TELL, (told,)))
    found = yield Stage(calls, final=True)
    answers = [LoggedIn(None, version[0][0]) for _ in logins]
    for row in found[0] if entering else []:
        seat = TerminalSeat(*row)
        for later, place in enumerate(reversed(entering[seat.id].places)):
            answers[place] = LoggedIn(replace(seat, serial=seat.serial - later), version[0][0])
    return answers


@dataclass(slots=True)
class _Entering:
    """A terminal that is let in: its keys as they are by now, and which of the logins are its own.

    `serial` and `worker` are those of its session before.
    """

    present: bytes | None
    coming: bytes | None
    serial: int
    worker: str | None
    places: list[int] = field(default_factory=list)


def _let_in(logins: Sequence[Login], known: Rows) -> dict[int, _Entering]:
    """Who is let in, by terminal. While the locks were waited for, some may have stopped waiting."""
    terminals = {
        number: _Entering(present, coming, serial, worker)
        for number, present, coming, status, serial, worker in known
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


def _told(entering: dict[int, _Entering], logins: Sequence[Login]) -> list[str]:
    """What other workers hear, whose sessions are over by these logins."""
    events = [
        replaced(number, each.serial + len(each.places), each.worker, logins[each.places[-1]].worker)
        for number, each in entering.items()
    ]
    return [payload(event) for event in events if event is not None]
