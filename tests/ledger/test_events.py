"""Events: what one program commits, the others hear; nothing else disturbs them."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope
from ledger.events import CHANNEL, Event, announce, listen
from tests.conftest import TestDatabase
from tests.desk import PATIENCE_S

LAST = Event("day")  # what a test announces to know that everything before it has been delivered


@dataclass
class Listener:
    """A thread that listens, and what it heard."""

    heard: "queue.Queue[Event]" = field(default_factory=queue.Queue)
    failed: list[Exception] = field(default_factory=list)
    ready: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def run(self, url: str) -> None:
        try:
            listen(url, self.heard.put, self.ready.set, self.stop.is_set)
        except DatabaseAway as error:
            self.failed.append(error)

    def until_last(self) -> list[Event]:
        """Everything heard before LAST."""
        heard = []
        while (event := self.heard.get(timeout=PATIENCE_S)) != LAST:
            heard.append(event)
        return heard


@contextmanager
def listening(url: str) -> Iterator[Listener]:
    listener = Listener()
    listener.thread = threading.Thread(target=listener.run, args=(url,))
    listener.thread.start()
    try:
        assert listener.ready.wait(PATIENCE_S)
        yield listener
    finally:
        listener.stop.set()
        listener.thread.join(PATIENCE_S)
        assert not listener.thread.is_alive()


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def test_what_is_committed_is_heard_in_order_by_both_roles(database_urls: TestDatabase) -> None:
    told = [
        Event("ended", terminal=7, serial=3, reason="revoked"),
        Event("catalogue"),
        Event("key", terminal=9),
    ]
    with (
        listening(database_urls.server) as server,
        listening(database_urls.site) as site,
        opened(database_urls.site) as database,
        database.transaction(Scope.tenant(1)) as connection,
    ):
        for event in (*told, LAST):
            announce(connection, event)
        assert server.heard.empty()
        connection.commit()
        assert server.until_last() == told
        assert site.until_last() == told
    assert server.failed == site.failed == []


def test_what_is_rolled_back_is_never_heard(database_urls: TestDatabase) -> None:
    with listening(database_urls.server) as listener, opened(database_urls.site) as database:
        with database.transaction(Scope.everything()) as connection:
            announce(connection, Event("catalogue"))
            connection.rollback()
        with database.transaction(Scope.everything()) as connection:
            announce(connection, LAST)
        assert listener.until_last() == []


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "nonsense",
        "[]",
        '"day"',
        "{}",
        '{"kind": 1}',
        '{"kind": ["day"]}',
        '{"kind": "of a later version"}',
        '{"kind": "ended"}',
        '{"kind": "ended", "terminal": 1, "serial": 2}',
        '{"kind": "ended", "terminal": "1", "serial": 2, "reason": "revoked"}',
        '{"kind": "ended", "terminal": true, "serial": 2, "reason": "revoked"}',
        '{"kind": "ended", "terminal": 1, "serial": 2, "reason": 3}',
        "[" * 3_000,
    ],
)
def test_words_that_say_nothing_are_passed_over(database_urls: TestDatabase, payload: str) -> None:
    with listening(database_urls.server) as listener, opened(database_urls.site) as database:
        with psycopg.connect(database_urls.site) as other:
            other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        with database.transaction(Scope.everything()) as connection:
            announce(connection, LAST)
        assert listener.until_last() == []
    assert listener.failed == []


def test_what_a_later_version_adds_to_an_event_is_passed_over(database_urls: TestDatabase) -> None:
    with listening(database_urls.server) as listener, psycopg.connect(database_urls.site) as other:
        other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, '{"kind": "catalogue", "version": 9}'))
        other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, '{"kind": "day"}'))
        other.commit()
        assert listener.until_last() == [Event("catalogue")]


def test_a_lost_connection_is_told(database_urls: TestDatabase) -> None:
    with listening(database_urls.server) as listener:
        with psycopg.connect(database_urls.server, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database() AND usename = current_user"
            )
        assert listener.thread is not None
        listener.thread.join(PATIENCE_S)
    assert len(listener.failed) == 1


def test_a_database_that_is_not_there_is_told() -> None:
    url = "postgresql://tessera_server:geheim@127.0.0.1:1/tessera"
    with pytest.raises(DatabaseAway, match="refused") as caught:
        listen(url, lambda event: None, lambda: None, lambda: False)
    assert "geheim" not in str(caught.value)
    with pytest.raises(DatabaseUnfit, match="not one of PostgreSQL"):
        listen("nonsense", lambda event: None, lambda: None, lambda: False)


def test_an_unknown_kind_is_not_announced(database_urls: TestDatabase) -> None:
    with (
        opened(database_urls.site) as database,
        database.transaction(Scope.everything()) as connection,
        pytest.raises(ValueError, match="no event is called 'noise'"),
    ):
        announce(connection, Event("noise"))
