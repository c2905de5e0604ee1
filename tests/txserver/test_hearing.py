"""Events of the database reach trio; a connection that is lost is made anew, and nobody is held up by it."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from ledger import events
from ledger.database import Database, Scope
from ledger.embedded import EmbeddedPostgres
from ledger.events import Event, announce
from tests.conftest import TestDatabase
from tests.txserver.batching import Executioner
from txserver.hearing import Ear
from txserver.logs import make_log

PATIENCE_S = 20
NOWHERE = "postgresql://tessera_server@127.0.0.1:1/nowhere"
REVOKED = Event("ended", terminal=7, serial=3, reason="revoked")


@dataclass
class Hearer:
    """What was heard, how often hearing began, and the log."""

    log: io.StringIO = field(default_factory=io.StringIO)
    heard: list[Event] = field(default_factory=list)
    begun: int = 0

    def ready(self) -> None:
        self.begun += 1

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]

    async def until(self, *, heard: int = 0, begun: int = 0, logged: int = 0) -> None:
        with trio.fail_after(PATIENCE_S):
            while len(self.heard) < heard or self.begun < begun or len(self.events()) < logged:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def hearing(url: str) -> AsyncIterator[Hearer]:
    hearer = Hearer()
    ear = Ear(url, deliver=hearer.heard.append, ready=hearer.ready, log=make_log(hearer.log))
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE_S):
            await nursery.start(ear.run)
        yield hearer
        nursery.cancel_scope.cancel()


def tell(urls: TestDatabase, *events: Event) -> None:
    database = Database(urls.site)
    with database.transaction(Scope.everything()) as connection:
        for event in events:
            announce(connection, event)
    database.close()


async def test_events_are_heard_in_their_order(database_urls: TestDatabase) -> None:
    async with hearing(database_urls.server) as hearer:
        assert hearer.begun == 1
        told = [REVOKED, Event("day"), Event("key", terminal=4), Event("catalogue")]
        tell(database_urls, *told)
        await hearer.until(heard=4)
        assert hearer.heard == told
        assert hearer.events() == []


async def test_a_lost_connection_is_made_anew_and_both_are_said(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with hearing(database_urls.server) as hearer:
        with Executioner.of(postgres, database_urls) as executioner:
            assert executioner.strike() == 1
        await hearer.until(begun=2)
        tell(database_urls, REVOKED)
        await hearer.until(heard=1)
        assert hearer.events() == ["events_lost", "events_heard_again"]


async def test_a_database_that_is_away_is_said_once_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("txserver.hearing.AGAIN_SECONDS", 0.01)
    tries = 0

    def listen(*_: Any) -> None:
        nonlocal tries
        tries += 1
        heard(*_)

    heard = events.listen
    monkeypatch.setattr("ledger.events.listen", listen)
    async with hearing(NOWHERE) as hearer:
        assert hearer.begun == 0
        with trio.fail_after(PATIENCE_S):
            while tries < 3:
                await trio.lowlevel.checkpoint()
        assert hearer.events() == ["events_lost"]


async def test_a_bug_is_logged_and_hearing_goes_on(
    database_urls: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:

    listen, bugs = events.listen, [ValueError("a bug")]

    def sometimes(*given: Any) -> None:
        if bugs:
            raise bugs.pop()
        listen(*given)

    monkeypatch.setattr("txserver.hearing.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("ledger.events.listen", sometimes)
    async with hearing(database_urls.server) as hearer:
        await hearer.until(begun=1)
        assert hearer.events() == ["events_failed", "events_heard_again"]
