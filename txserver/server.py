"""One worker process of the server, put together: database, batcher, listener, health, and its end."""

import signal
import socket
import threading
from collections.abc import Callable, Generator
from datetime import datetime
from functools import partial
from typing import Protocol

import trio
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from ledger import books, logins, merchants
from ledger.database import Database, Rows, Scope, Stage
from ledger.keyring import Keyring
from ledger.postings import Outcome, Request
from txserver.batcher import LANES, Batcher
from txserver.context import Context
from txserver.conversation import converse
from txserver.ear import Ear
from txserver.health import serve_health
from txserver.house import House
from txserver.listener import Listener, bind
from txserver.metrics import Metrics
from txserver.notices import Notices
from txserver.pipeline import Pipeline
from txserver.registry import Facts, Registry
from txserver.settings import Settings
from txserver.turns import Turns
from txserver.watcher import Watcher, keep_day, key_pairs
from txserver.workers import parent_gone

__all__ = ["Edge", "Server", "serve"]

ROLE = "tessera_server"
# Pooled connections, each for a thread of its own.
ENROLMENTS = 2
READS = 4  # catalogues, histories, new keys and the end of a day
HANDSHAKES = 4  # steps of handshakes in one turn of the loop: a millisecond at most
SPARE = 3  # the health check, the watcher's looks and its sweep


class Edge(Protocol):
    """What comes from outside the process: clock and randomness.

    `books_now` dates what is booked; None leaves that to the database, one clock for all processes.
    """

    def now(self) -> datetime: ...
    @property
    def books_now(self) -> Callable[[], datetime] | None: ...
    def random_bytes(self, count: int) -> bytes: ...


class Server:
    """A running server: where it listens, and how to end it."""

    def __init__(self, port: int, health_port: int, stop: Callable[[], None]) -> None:
        self.port = port
        self.health_port = health_port
        self.stop = stop


async def serve(
    settings: Settings,
    keyring: Keyring,
    edge: Edge,
    log: FilteringBoundLogger,
    *,
    worker: int | None = None,
    reload: Callable[[], Keyring] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve terminals until stopped by SIGINT, SIGTERM or Server.stop, then finish what is under way.

    `worker` is this process's number when it is one of several; it then stops with its parent too.
    `reload` reads the keyring again, so that keys which are rotated are taken over while it runs.

    Raises DatabaseUnfit, DatabaseAway, PortTaken before anything was accepted.
    """
    database = Database(settings.database_url, pool_size=ENROLMENTS + READS + SPARE)
    try:
        await trio.to_thread.run_sync(database.check, ROLE)
        facts = await trio.to_thread.run_sync(_first_facts, database, keyring, edge, log)
        house = _furnish(settings, keyring, edge, log, database, facts)
        watcher = Watcher(
            house,
            settings.database_url,
            look_s=settings.look_s,
            sweep_s=settings.sweep_s,
            sweeps=not worker,  # the first of several
            reload=reload,
        )
        with (
            bind(settings.host, settings.port, shared=settings.workers > 1) as sock,
            serve_health(
                settings.health_host,
                settings.health_port + (worker or 0) if settings.health_port else 0,
                registry=house.metrics.registry,
                database=database,
                token=trio.lowlevel.current_trio_token(),
            ) as health_port,
        ):
            listener = _listener(sock, house, settings)
            stopping = trio.Event()
            async with trio.open_nursery() as watch:
                await watch.start(_watch_signals, stopping)
                if worker is not None:
                    watch.start_soon(_watch_parent, stopping)
                await _run(listener, house, watcher, settings, stopping, health_port, task_status)
                with trio.move_on_after(settings.drain_s):
                    await house.context.turns.rest()
                    await watcher.rest()
                watch.cancel_scope.cancel()
    finally:
        database.close()


def _first_facts(database: Database, keyring: Keyring, edge: Edge, log: FilteringBoundLogger) -> Facts:
    """What the first terminals are told. Raises DatabaseUnfit, DatabaseAway."""
    day = keep_day(database, edge.books_now() if edge.books_now else None, log)
    with database.transaction(Scope.everything()) as connection:
        catalogue = merchants.catalogue_version(connection)
    return Facts(catalogue, day, keyring.next_key_id)


def _furnish(
    settings: Settings,
    keyring: Keyring,
    edge: Edge,
    log: FilteringBoundLogger,
    database: Database,
    facts: Facts,
) -> House:
    """What all conversations of this process share."""
    metrics = Metrics(CollectorRegistry())
    connect = partial(Pipeline.connect, settings.database_url)

    def enter(asked: list[logins.Login]) -> Generator[Stage, list[Rows], list[logins.LoggedIn]]:
        return logins.stages(asked, edge.now(), settings.key_days)

    def book(requests: list[Request]) -> Generator[Stage, list[Rows], list[Outcome]]:
        return books.stages(requests, edge.books_now() if edge.books_now else None)

    registry, keys = Registry(), key_pairs(keyring)

    # Other processes have batches under way too; more of them would only be smaller.
    lanes = 1 if settings.workers > 1 else LANES

    def account_of(request: Request) -> tuple[int, int]:
        return (request.slot, request.account)

    return House(
        context=Context(
            batcher=Batcher(connect, book, account_of, log=log, metrics=metrics.batches, lanes=lanes),
            logins=Batcher(
                connect, enter, lambda asked: asked.public_key, log=log, metrics=metrics.logins, lanes=1
            ),
            database=database,
            turns=Turns(enrolments=ENROLMENTS, reads=READS),
            keyring=keyring,
            now=edge.now,
            books_now=edge.books_now,
            business_date=facts.business_date,
        ),
        ear=Ear(),
        turnstile=trio.CapacityLimiter(HANDSHAKES),
        registry=registry,
        notices=Notices(registry, facts, keys=keys, now=edge.now, log=log, metrics=metrics),
        metrics=metrics,
        log=log,
        keys=keys,
        worker=edge.random_bytes(8).hex(),
        random_bytes=edge.random_bytes,
        handshake_s=settings.handshake_s,
        idle_s=settings.idle_s,
        write_s=settings.write_s,
    )


def _listener(sock: socket.socket, house: House, settings: Settings) -> Listener:
    return Listener(
        sock,
        lambda line, authenticated: converse(line, house, authenticated),
        log=house.log,
        metrics=house.metrics,
        unauthenticated=settings.unauthenticated,
        per_address=settings.unauthenticated_per_address,
    )


async def _run(
    listener: Listener,
    house: House,
    watcher: Watcher,
    settings: Settings,
    stopping: trio.Event,
    health_port: int,
    task_status: trio.TaskStatus[Server],
) -> None:
    batchers, log = (house.context.batcher, house.context.logins), house.log
    async with trio.open_nursery() as background:
        for batcher in batchers:
            background.start_soon(batcher.run)
        background.start_soon(house.notices.run)
        background.start_soon(house.ear.run)
        await background.start(watcher.run)
        async with trio.open_nursery() as front:
            front.start_soon(listener.run)
            log.info("listening", host=settings.host, port=listener.port, health_port=health_port)
            task_status.started(Server(listener.port, health_port, stopping.set))
            await stopping.wait()
            log.info("stopping", sessions=len(house.registry))
            listener.accepting.cancel()
            house.registry.stop()
            # What is not done by then is cut off; what was posted is still committed below.
            front.cancel_scope.deadline = trio.current_time() + settings.drain_s
        for batcher in batchers:
            batcher.stop()
        background.cancel_scope.cancel()
    log.info("stopped")


async def _watch_signals(
    stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only; a server that a test runs elsewhere is stopped by its stop().
        task_status.started()
        return
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            stopping.set()


async def _watch_parent(stopping: trio.Event) -> None:
    await parent_gone()
    stopping.set()
