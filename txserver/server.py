"""One worker process of the server, put together: database, batcher, listener, health, and its end."""

import signal
import threading
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Protocol

import trio
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from ledger import businessday
from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope
from ledger.keyring import Keyring
from protocol.noise import KeyPair
from txserver.batcher import Batcher
from txserver.context import Context
from txserver.conversation import House, Registry, converse
from txserver.health import serve_health
from txserver.listener import Listener, listen
from txserver.metrics import Metrics
from txserver.pipeline import Pipeline
from txserver.settings import Settings
from txserver.workers import parent_gone

__all__ = ["Edge", "Server", "serve"]

DAY_SECONDS = 20  # between looks at the calendar: the business date turns within this of its time
ROLE = "tessera_server"
POOL = 8  # pooled connections for logins, catalogues and histories
SPARE = 2  # of them, for the health check and the calendar


class Edge(Protocol):
    """What comes from outside the process: clock, calendar, randomness."""

    def now(self) -> datetime: ...
    def today(self) -> date: ...
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
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve terminals until stopped by SIGINT, SIGTERM or Server.stop, then finish what is under way.

    `worker` is this process's number when it is one of several; it then stops with its parent too.

    Raises DatabaseUnfit, DatabaseAway, PortTaken before anything was accepted.
    """
    database = Database(settings.database_url, pool_size=POOL)
    try:
        await trio.to_thread.run_sync(database.check, ROLE)
        day = await trio.to_thread.run_sync(_keep_day, database, edge, log)
        house = _furnish(settings, keyring, edge, log, database, day)
        with (
            listen(settings.host, settings.port, shared=settings.workers > 1) as sock,
            serve_health(
                settings.health_host,
                settings.health_port + (worker or 0) if settings.health_port else 0,
                registry=house.metrics.registry,
                database=database,
                token=trio.lowlevel.current_trio_token(),
            ) as health_port,
        ):
            listener = Listener(
                sock,
                lambda stream, authenticated: converse(stream, house, authenticated),
                log=log,
                metrics=house.metrics,
                unauthenticated=settings.unauthenticated,
                per_address=settings.unauthenticated_per_address,
            )
            stopping = trio.Event()
            async with trio.open_nursery() as watch:
                await watch.start(_watch_signals, stopping)
                if worker is not None:
                    watch.start_soon(_watch_parent, stopping)
                await _run(listener, house, edge, settings, stopping, health_port, task_status)
                with trio.move_on_after(settings.drain_s):
                    await house.context.rest()
                watch.cancel_scope.cancel()
    finally:
        database.close()


def _furnish(
    settings: Settings, keyring: Keyring, edge: Edge, log: FilteringBoundLogger, database: Database, day: date
) -> House:
    """What all conversations of this process share."""
    metrics = Metrics(CollectorRegistry())
    batcher = Batcher(
        partial(Pipeline.connect, settings.database_url), now=edge.now, log=log, metrics=metrics
    )
    return House(
        context=Context(
            batcher=batcher,
            database=database,
            threads=trio.CapacityLimiter(POOL - SPARE),
            keyring=keyring,
            now=edge.now,
            business_date=day,
        ),
        registry=Registry(),
        metrics=metrics,
        log=log,
        keys={number: KeyPair.from_private(key) for number, key in keyring.server_keys.items()},
        random_bytes=edge.random_bytes,
        handshake_s=settings.handshake_s,
        idle_s=settings.idle_s,
        write_s=settings.write_s,
    )


async def _run(
    listener: Listener,
    house: House,
    edge: Edge,
    settings: Settings,
    stopping: trio.Event,
    health_port: int,
    task_status: trio.TaskStatus[Server],
) -> None:
    batcher, log = house.context.batcher, house.log
    async with trio.open_nursery() as background:
        background.start_soon(batcher.run)
        background.start_soon(_watch_day, house, edge, log)
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


async def _watch_day(house: House, edge: Edge, log: FilteringBoundLogger) -> None:
    """Open the next business date when the calendar says so. Harmless in several processes at once."""
    context = house.context
    while True:
        await trio.sleep(DAY_SECONDS)
        try:
            context.business_date = await trio.to_thread.run_sync(
                _keep_day, context.database, edge, log, abandon_on_cancel=True
            )
        except DatabaseAway as error:
            log.error("business_day_unknown", error=str(error))
        except Exception:  # the calendar must not take the listener down; the next look may succeed
            log.exception("business_day_failed")


def _keep_day(database: Database, edge: Edge, log: FilteringBoundLogger) -> date:
    """The open business date, after opening today's if it is later and can be opened now.

    Raises DatabaseUnfit when there is no day at all and none can be opened.
    """
    with database.transaction(Scope.everything()) as connection:
        day = businessday.business_date(connection)
    today = edge.today()
    if day is not None and day >= today:
        return day
    try:
        with database.transaction(Scope.everything()) as connection:
            return businessday.advance(connection, today, edge.now())
    except (businessday.DayBusy, businessday.ClockWrong) as error:
        log.error("business_day_kept", error=str(error))
        if day is None:
            raise DatabaseUnfit(f"No business day is open: {error}.") from error
        return day
