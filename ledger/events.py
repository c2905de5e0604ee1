"""What one program tells the others through the database: a session is over, something has changed.

PostgreSQL delivers an event when the transaction that announced it has committed, and to nobody who was
not listening. So an event is a hint to look now; who listens also looks after each (re)connection.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from ledger.database import DatabaseAway, psycopg_url

__all__ = ["CHANNEL", "KINDS", "Event", "announce", "listen", "payload"]

KINDS = frozenset({"ended", "catalogue", "day", "key"})
CHANNEL = "tessera"
NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', :payload)")

LOOK_SECONDS = 0.5  # between questions whether to stop
# A listener sends nothing, so only these tell it that a database has gone without a word.
ALIVE = {
    "connect_timeout": "5", "keepalives_idle": "5", "keepalives_interval": "5", "keepalives_count": "3",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` "ended": the sessions of `terminal` below `serial` are over, for `reason`.

    "catalogue": services or prices were edited. "day": another business date is open. "key": `terminal` is
    to be asked for a new key.
    """

    kind: str
    terminal: int | None = None
    serial: int | None = None
    reason: str | None = None


def announce(connection: Connection, event: Event) -> None:
    """Tell every listener, when `connection`'s transaction commits. ValueError for an unknown kind."""
    connection.execute(NOTIFY, {"payload": payload(event)})


def payload(event: Event) -> str:
    """What travels on CHANNEL. ValueError for an unknown kind."""
    if event.kind not in KINDS:
        raise ValueError(f"no event is called {event.kind!r}")
    told = {name: getattr(event, name) for name in ("kind", "terminal", "serial", "reason")}
    return json.dumps({name: value for name, value in told.items() if value is not None})


def listen(
    url: str, deliver: Callable[[Event], None], ready: Callable[[], None], stopping: Callable[[], bool]
) -> None:
    """Deliver events as they come, until `stopping()` is true, which is asked twice a second. Blocks.

    `ready` is called once the database delivers: what was announced before has to be looked up. Raises
    DatabaseAway when it cannot be reached or the connection is lost, DatabaseUnfit for a URL of no sense.
    """
    address = psycopg_url(url).set(drivername="postgresql").update_query_dict(ALIVE)
    try:
        with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            ready()
            while not stopping():
                for notice in connection.notifies(timeout=LOOK_SECONDS):
                    event = _event(notice.payload)
                    if event is not None:
                        deliver(event)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseAway(next(iter(str(error).splitlines()), type(error).__name__)) from error


def _event(payload: str) -> Event | None:
    """What a payload says, or None: a newer version's event, or somebody else's words on our channel."""
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    kind = _word(told, "kind") if isinstance(told, Mapping) else None
    if kind is None or kind not in KINDS:
        return None
    event = Event(kind, _whole(told, "terminal"), _whole(told, "serial"), _word(told, "reason"))
    whole = event.kind != "ended" or None not in (event.terminal, event.serial, event.reason)
    return event if whole else None


def _whole(told: Mapping[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _word(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) else None
