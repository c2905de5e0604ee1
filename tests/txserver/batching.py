"""A batcher on a real database, and what troubles it: locks, constraints, and an executioner."""

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
import trio
import trio.testing

from ledger.books import stages
from ledger.database import Scope
from ledger.embedded import SUPERUSER, EmbeddedPostgres
from ledger.postings import Outcome, Request
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import NOW, Holder
from txserver.batcher import Batcher, NotRecorded
from txserver.logs import make_log
from txserver.pipeline import Pipeline

PATIENCE_S = 20

# The server's own connection: it is the one that has prepared the statements of the books.
POSTING = "datname = current_database() AND usename = 'tessera_server' AND pid <> pg_backend_pid()"
WAITING = f"SELECT count(*) FROM pg_stat_activity WHERE {POSTING} AND wait_event_type = 'Lock'"
TERMINATE = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {POSTING}"


@dataclass
class Bench:
    """A running batcher; the sizes of its batches; its log."""

    batcher: Batcher[Request, Outcome]
    log: io.StringIO
    sizes: list[int]
    runner: trio.CancelScope = field(default_factory=trio.CancelScope)

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]

    async def try_post(self, request: Request) -> Outcome | None:
        """The outcome, or None when it was not recorded."""
        try:
            with trio.fail_after(PATIENCE_S):
                return await self.batcher.post(request)
        except NotRecorded:
            return None

    async def post_all(self, requests: Sequence[Request]) -> list[Outcome | None]:
        """All at once; the answers in the order of the requests."""
        answers: list[Outcome | None] = [None] * len(requests)

        async def one(number: int) -> None:
            answers[number] = await self.try_post(requests[number])

        async with trio.open_nursery() as nursery:
            for number in range(len(requests)):
                nursery.start_soon(one, number)
        return answers

    async def gathered(self, count: int) -> None:
        """Return when `count` postings wait for the next batch."""
        with trio.fail_after(PATIENCE_S):
            while len(self.batcher._waiting) < count:
                await trio.lowlevel.checkpoint()


@asynccontextmanager
async def running_batcher(urls: TestDatabase, *, lanes: int = 1) -> AsyncIterator[Bench]:
    """A batcher until the block ends; then it drains. With one lane it is known which batch comes next."""
    log = io.StringIO()
    sizes: list[int] = []

    class Tally:
        def batch(self, size: int, seconds: float, round_trips: int) -> None:
            sizes.append(size)

    batcher: Batcher[Request, Outcome] = Batcher(
        partial(Pipeline.connect, urls.server),
        lambda requests: stages(requests, NOW),
        lambda request: (request.slot, request.account),
        log=make_log(log),
        metrics=Tally(),
        lanes=lanes,
    )
    async with trio.open_nursery() as nursery:
        bench = Bench(batcher, log, sizes)

        async def run() -> None:
            with bench.runner:
                await batcher.run()

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()  # so that what is posted together is one batch
        yield bench
        batcher.stop()


@contextmanager
def held(books: Books, holder: Holder) -> Iterator[Callable[[Holder], None]]:
    """Someone else has the account's lock until the block ends. Gives what locks one more."""
    with books.database.transaction(Scope.everything()) as connection:

        def lock(one: Holder) -> None:
            connection.exec_driver_sql("SELECT * FROM account WHERE id = %s FOR UPDATE", (one.account.id,))

        lock(holder)
        yield lock


@contextmanager
def day_held(books: Books) -> Iterator[None]:
    """Someone else has the business day's lock, as its closing does, until the block ends."""
    with books.database.transaction(Scope.everything()) as connection:
        connection.exec_driver_sql("LOCK TABLE business_day IN EXCLUSIVE MODE")
        yield


@contextmanager
def refusing(urls: TestDatabase, word: str) -> Iterator[None]:
    """The database refuses redemptions with this reference until the block ends."""
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        check = f"CHECK (reference IS DISTINCT FROM '{word}')"
        owner.execute(f"ALTER TABLE transaction ADD CONSTRAINT poison {check}".encode())
        try:
            yield
        finally:
            owner.execute("ALTER TABLE transaction DROP CONSTRAINT poison")


class Executioner:
    """An administrator's connection, who sees who waits and can end the server's connections."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def of(cls, postgres: EmbeddedPostgres, urls: TestDatabase) -> "Iterator[Executioner]":
        with psycopg.connect(postgres.url(SUPERUSER, urls.name), autocommit=True) as connection:
            yield cls(connection)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode()).fetchall()

    async def until_waiting(self) -> None:
        """Return when the server's connection waits for a lock."""
        with trio.fail_after(PATIENCE_S):
            while self.ask(WAITING) == [(0,)]:
                await trio.lowlevel.checkpoint()

    def ask_nothing(self, sql: str) -> None:
        self._connection.execute(sql.encode())

    def strike(self) -> int:
        """End every connection of the server's role; how many there were."""
        return len(self.ask(TERMINATE))
