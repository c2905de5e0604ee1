"""Hears the events of the database on a thread of its own, for as long as the connection lives."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from ledger import events
from ledger.database import DatabaseAway
from ledger.events import Event

__all__ = ["Ear"]

AGAIN_SECONDS = 1.0  # before a lost connection is made anew


class Ear:
    """Calls `deliver` with each event and `ready` whenever hearing begins, both from trio's own thread."""

    def __init__(
        self,
        url: str,
        *,
        deliver: Callable[[Event], None],
        ready: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._url = url
        self._deliver = deliver
        self._ready = ready
        self._log = log
        self._stopping = False
        self._said_lost = False
        self._settled = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. Started when events are heard, or when it is known that they are not."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                await self._settled.wait()
                task_status.started()
        finally:
            self._stopping = True  # the thread looks twice a second, and nobody waits for it

    async def _listen(self) -> None:
        token = trio.lowlevel.current_trio_token()

        def tell(what: Callable[[], None]) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(what)

        listening = partial(
            events.listen,
            self._url,
            lambda event: tell(partial(self._heard, event)),
            lambda: tell(self._begun),
            lambda: self._stopping,
        )
        while True:
            try:
                await trio.to_thread.run_sync(
                    listening, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True
                )
            except DatabaseAway as error:
                if not self._said_lost:
                    self._log.error("events_lost", error=str(error))
                    self._said_lost = True
            except Exception:  # noqa: BLE001 - what events would tell is looked up too, every few seconds
                self._log.exception("events_failed")
                self._said_lost = True
            self._settled.set()
            await trio.sleep(AGAIN_SECONDS)

    def _begun(self) -> None:
        if self._said_lost:
            self._log.info("events_heard_again")
            self._said_lost = False
        self._settled.set()
        self._ready()

    def _heard(self, event: Event) -> None:
        if not self._stopping:
            self._deliver(event)
