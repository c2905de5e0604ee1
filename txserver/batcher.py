"""Gathers postings from all sockets into one database transaction.

While one batch is in the database the next one gathers, so batches grow with the load by
themselves; there is no artificial delay, and who waits holds nothing. A posting that was taken is
carried to its end whatever becomes of the socket it came from.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from ledger.books import stages
from ledger.postings import Outcome, Request
from ledger.statements import LOCK_ACCOUNTS
from txserver.pipeline import DatabaseGone, Pipeline, StatementFailed

__all__ = ["Batcher", "BatcherMetrics", "NotRecorded"]

MAX_BATCH = 256  # postings in one transaction: locks are held for milliseconds, and one more is no cheaper
MAX_WAITING = 8_192  # postings that wait: some seconds of work; beyond that "repeat later" is more honest
SINGLE_SECONDS = 5  # for posting a failed batch one by one: beyond that the rest is told to repeat
RECONNECT_SECONDS = 0.5  # between attempts; meanwhile every posting is told at once that it was not recorded

# An account whose lock somebody else holds is left alone for a while, doubling to a minute: each look
# at it keeps everyone waiting for as long as a lock is waited for.
STUCK_SECONDS = 2.0
STUCK_SECONDS_MOST = 60.0
_ACCOUNT_LOCKED = (LOCK_ACCOUNTS.name, "55P03")  # lock not available


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


class NotRecorded(Exception):
    """The posting was not recorded, or nobody knows: the terminal repeats it under the same txid."""


class BatcherMetrics(Protocol):
    """What is counted of batches."""

    def batch(self, size: int, seconds: float) -> None: ...


class _Waiter:
    """One posting on its way: its request, and the outcome when there is one."""

    __slots__ = ("done", "outcome", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.outcome: Outcome | None = None
        self.done = trio.Event()


class Batcher:
    """Post with `post`; `run` must be running in a task of its own. `now` None: the database's clock."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Pipeline]],
        *,
        now: Callable[[], datetime] | None,
        log: FilteringBoundLogger,
        metrics: BatcherMetrics,
    ) -> None:
        self._connect = connect
        self._now = now
        self._log = log
        self._metrics = metrics
        self._waiting: list[_Waiter] = []
        self._wake = trio.Event()
        self._pipeline: Pipeline | None = None
        self._connect_not_before = float("-inf")
        # (slot, account) -> when it may be tried again, and how long it was left alone
        self._stuck: dict[tuple[int, int], tuple[float, float]] = {}
        self._stopping = False

    async def post(self, request: Request) -> Outcome:
        """The outcome, once it is committed. Raises NotRecorded."""
        if self._stopping or len(self._waiting) >= MAX_WAITING:
            raise NotRecorded
        until, _ = self._stuck.get((request.slot, request.account), (0.0, 0.0))
        if trio.current_time() < until:
            raise NotRecorded
        waiter = _Waiter(request)
        self._waiting.append(waiter)
        self._wake.set()
        await waiter.done.wait()
        if waiter.outcome is None:
            raise NotRecorded
        return waiter.outcome

    def stop(self) -> None:
        """Take nothing new; `run` returns when what was taken is done."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Commit batches until `stop`, or until cancelled: what was taken is carried to its end first."""
        try:
            while self._waiting or not self._stopping:
                if not self._waiting:
                    self._wake = trio.Event()
                    await self._wake.wait()
                    continue
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                try:
                    with trio.CancelScope(shield=True):
                        await self._commit(batch)
                finally:
                    for waiter in batch:
                        waiter.done.set()
        finally:
            self._stopping = True
            if self._pipeline is not None:
                self._pipeline.close()

    async def _commit(self, batch: list[_Waiter]) -> None:
        """Give each waiter its outcome, or leave it without one."""
        pipeline = await self._connected()
        if pipeline is None:
            return
        began = trio.current_time()
        try:
            await self._attempt(pipeline, batch)
        except DatabaseGone as error:
            self._lose(error)
        except Exception as error:  # noqa: BLE001 - one bad posting, or a bug met by one, must not stop the others
            await self._one_by_one(batch, error)
        self._metrics.batch(len(batch), trio.current_time() - began)

    async def _attempt(self, pipeline: Pipeline, batch: list[_Waiter]) -> None:
        outcomes = await pipeline.run(
            stages([waiter.request for waiter in batch], self._now() if self._now else None)
        )
        for waiter, outcome in zip(batch, outcomes, strict=True):
            waiter.outcome = outcome
        if self._stuck:
            for waiter in batch:
                self._stuck.pop((waiter.request.slot, waiter.request.account), None)

    async def _one_by_one(self, batch: list[_Waiter], error: Exception) -> None:
        """The batch failed as a whole: find the one that is guilty, so that the others do not suffer."""
        self._log.warning("batch_failed", size=len(batch), error=str(error))
        give_up = trio.current_time() + SINGLE_SECONDS
        for number, waiter in enumerate(batch):
            if trio.current_time() > give_up:
                # What is wrong is wrong with all of them, such as a lock on the business day.
                self._log.error("batch_abandoned", left=len(batch) - number)
                return
            await self._one(waiter)
            waiter.done.set()

    async def _one(self, waiter: _Waiter) -> None:
        pipeline = await self._connected()
        if pipeline is None:
            return
        account = (waiter.request.slot, waiter.request.account)
        try:
            await self._attempt(pipeline, [waiter])
        except DatabaseGone as gone:
            self._lose(gone)
        except StatementFailed as failure:
            self._log.exception("posting_failed", kind=waiter.request.kind)
            if (failure.statement, failure.sqlstate) == _ACCOUNT_LOCKED:
                _, before = self._stuck.get(account, (0.0, 0.0))
                pause = min(max(STUCK_SECONDS, before * 2), STUCK_SECONDS_MOST)
                self._stuck[account] = (trio.current_time() + pause, pause)
        except Exception:  # noqa: BLE001 - as above; it is logged, and the terminal repeats
            self._log.exception("posting_failed", kind=waiter.request.kind)

    async def _connected(self) -> Pipeline | None:
        """The connection, made anew when it was lost; None while the database is away."""
        if self._pipeline is None and trio.current_time() >= self._connect_not_before:
            try:
                self._pipeline = await self._connect()
                self._log.info("database_connected")
            except DatabaseGone as error:
                self._connect_not_before = trio.current_time() + RECONNECT_SECONDS
                self._log.error("database_unreachable", error=_first_line(error))
        return self._pipeline

    def _lose(self, error: DatabaseGone) -> None:
        self._log.error("database_lost", error=_first_line(error))
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
