"""Several worker processes on one port: started, watched, restarted and stopped together."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

import trio
from structlog.typing import FilteringBoundLogger

from txserver.listener import bind
from txserver.settings import Settings

__all__ = ["UNFIT", "WORKER", "parent_gone", "supervise", "with_free_port"]

WORKER = "TESSERA_WORKER"  # in a worker's environment: its number, from 0
UNFIT = 2  # the exit code of a process that could not start and has said why: starting it again is no use
RESTART_SECONDS = 1.0  # before a worker that died is started again


def with_free_port(settings: Settings) -> Settings:
    """The settings with a port that was free just now. Raises PortTaken when the one named is in use.

    Workers share a port, and the kernel would let a second server share it too: so ask first, alone.
    """
    with bind(settings.host, settings.port, shared=False) as probe:
        port: int = probe.getsockname()[1]
    return replace(settings, port=port)


async def parent_gone() -> None:
    """Return when the process that started this worker has ended: its end of our standard input closes."""
    await trio.lowlevel.wait_readable(sys.stdin.fileno())


async def supervise(settings: Settings, environment: Mapping[str, str], log: FilteringBoundLogger) -> int:
    """Run `settings.workers` processes until SIGINT or SIGTERM; returns an exit code."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    stopping = trio.Event()
    codes: list[int] = []
    waiting = trio.CapacityLimiter(settings.workers)  # a thread for each, whatever trio's own limit is

    def stop() -> None:
        stopping.set()
        for child in children.values():
            child.terminate()

    async def keep(number: int) -> None:
        restarted = False
        while not stopping.is_set():
            with _start(settings, environment, number) as child:
                children[number] = child
                code = await trio.to_thread.run_sync(child.wait, limiter=waiting)
            if stopping.is_set():
                return
            # One that comes back while the database is away must not take the others with it.
            if code == UNFIT and not restarted:
                codes.append(code)
                stop()
                return
            restarted = True
            log.error("worker_died", worker=number, exit_code=code)
            with trio.move_on_after(RESTART_SECONDS):
                await stopping.wait()

    async with trio.open_nursery() as watch:
        await watch.start(_stop_on_signal, stop)
        async with trio.open_nursery() as keepers:
            for number in range(settings.workers):
                keepers.start_soon(keep, number)
        watch.cancel_scope.cancel()
    return max(codes, default=0)


def _start(settings: Settings, environment: Mapping[str, str], number: int) -> "subprocess.Popen[bytes]":
    """A worker in a session of its own, so that Ctrl-C reaches it through us, once."""
    return subprocess.Popen(
        [sys.executable, "-m", "txserver", "serve"],
        env={**environment, WORKER: str(number), "TESSERA_PORT": str(settings.port)},
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


async def _stop_on_signal(
    stop: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            stop()
