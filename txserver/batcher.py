"""Gathers postings from all sockets into database transactions, and tells each its outcome.

While batches are in the database the next one gathers, so batches grow with the load by themselves;
there is no artificial delay, and who waits holds nothing. There are two lanes, each a connection with
one batch at a time: while one batch is being committed the other is decided. A posting that was taken
is carried to its end whatever becomes of the socket it came from.
"""

import math
from collections.abc import Awaitable, Callable, Hashable
from contextlib import closing
from typing import Generic

import trio
from structlog.typing import FilteringBoundLogger

from txserver.lane import BatcherMetrics, Lane, Left, Outcome_, Request_, Stages, Waiter
from txserver.pipeline import Pipeline

__all__ = ["LANES", "Batcher", "NotRecorded"]

LANES = 2  # batches under way: a third gains nothing, and every one more makes batches smaller
MAX_BATCH = 256  # postings in one transaction: locks are held for milliseconds, and one more is no cheaper
MAX_WAITING = 8_192  # postings that wait: some seconds of work; beyond that "repeat later" is more honest


class NotRecorded(Exception):
    """The posting was not recorded, or nobody knows: the terminal repeats it under the same txid."""


class Batcher(Generic[Request_, Outcome_]):
    """Post with `put` or `post`; `run` must be running in a task of its own.

    Requests of one `key`, such as an account, are in one batch at a time: two would only wait for each
    other's locks, and take that for somebody else's.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Pipeline]],
        stages: Stages[Request_, Outcome_],
        key: Callable[[Request_], Hashable],
        *,
        log: FilteringBoundLogger,
        metrics: BatcherMetrics,
        lanes: int = LANES,
    ) -> None:
        self._log = log
        self._key = key
        self._left = Left(key)
        self._under_way: set[Hashable] = set()  # keys in the batches of the lanes
        self._lanes = [Lane(connect, stages, log=log, metrics=metrics, left=self._left) for _ in range(lanes)]
        self._waiting: list[Waiter[Request_, Outcome_]] = []
        self._idle = trio.lowlevel.ParkingLot()  # lanes without work
        self._called = False  # one of them is on its way
        self._stopping = False

    def put(self, request: Request_, done: Callable[[Outcome_ | None], None]) -> None:
        """Post, and have `done` called, once: with the committed outcome, or None when nothing was recorded,
        or nobody knows. At once when nothing can be taken."""
        if self._stopping or len(self._waiting) >= MAX_WAITING or request in self._left:
            done(None)
            return
        self._waiting.append(Waiter(request, done))
        if not self._called:
            self._called = True
            self._idle.unpark()

    async def post(self, request: Request_) -> Outcome_:
        """The outcome, once it is committed. Raises NotRecorded."""
        told = trio.Event()
        outcome: Outcome_ | None = None

        def done(found: Outcome_ | None) -> None:
            nonlocal outcome
            outcome = found
            told.set()

        self.put(request, done)
        await told.wait()
        if outcome is None:
            raise NotRecorded
        return outcome

    def stop(self) -> None:
        """Take nothing new; `run` returns when what was taken is done."""
        self._stopping = True
        self._idle.unpark_all()

    async def run(self) -> None:
        """Commit batches until `stop`, or until cancelled: what was taken is carried to its end first."""
        try:
            async with trio.open_nursery() as nursery:
                committed, to_tell = trio.open_memory_channel[list[Waiter[Request_, Outcome_]]](math.inf)
                nursery.start_soon(self._tell_all, to_tell)
                with committed:
                    for lane in self._lanes:
                        nursery.start_soon(self._run_lane, lane, committed.clone())
        finally:
            self._stopping = True
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:  # put while the lanes were ending
                waiter.tell(self._log)

    async def _run_lane(
        self,
        lane: Lane[Request_, Outcome_],
        committed: trio.MemorySendChannel[list[Waiter[Request_, Outcome_]]],
    ) -> None:
        with closing(lane), committed:
            while True:
                self._called = False
                keys, batch = self._take()
                if not batch:
                    if self._stopping:  # what still waits belongs to a lane that will look again
                        return
                    await self._idle.park()
                    continue
                try:
                    with trio.CancelScope(shield=True):
                        await lane.commit(batch)
                finally:
                    self._under_way -= keys
                    committed.send_nowait(batch)

    def _take(self) -> tuple[set[Hashable], list[Waiter[Request_, Outcome_]]]:
        """The next batch with its keys, in the order of coming; empty when all that waits has to wait."""
        keys: set[Hashable] = set()
        batch: list[Waiter[Request_, Outcome_]] = []
        later: list[Waiter[Request_, Outcome_]] = []
        for waiter in self._waiting:
            key = self._key(waiter.request)
            if key in self._under_way or len(batch) == MAX_BATCH:
                later.append(waiter)
            else:
                keys.add(key)
                batch.append(waiter)
        self._waiting = later
        self._under_way |= keys
        return keys, batch

    async def _tell_all(self, committed: trio.MemoryReceiveChannel[list[Waiter[Request_, Outcome_]]]) -> None:
        """Tell of each batch in a turn of its own: its lane has the next one under way by then."""
        with trio.CancelScope(shield=True):  # what is committed is told, until the last lane has ended
            async for batch in committed:
                for waiter in batch:
                    waiter.tell(self._log)
