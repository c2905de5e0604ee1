"""One connection to the books and one batch at a time: committed together, or one by one when one is bad."""

from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from ledger.database import Rows, Stage
from ledger.statements import LOCK_ACCOUNTS
from txserver.pipeline import DatabaseGone, Pipeline, StatementFailed

__all__ = ["Asked", "BatcherMetrics", "Lane", "Left", "Outcome_", "Request_", "Stages", "Waiter"]

SINGLE_SECONDS = 5  # for posting a failed batch one by one: beyond that the rest is told to repeat
RECONNECT_SECONDS = 0.5  # between attempts; meanwhile every posting is told at once that it was not recorded

# An account whose lock somebody else holds is left alone for a while, doubling to a minute: each look
# at it keeps everyone waiting for as long as a lock is waited for.
STUCK_SECONDS = 2.0
STUCK_SECONDS_MOST = 60.0
_ACCOUNT_LOCKED = (LOCK_ACCOUNTS.name, "55P03")  # lock not available


class Asked(Protocol):
    """What is posted: its kind, for the log."""

    @property
    def kind(self) -> str: ...


Request_ = TypeVar("Request_", bound=Asked)
Outcome_ = TypeVar("Outcome_")

Stages = Callable[[list[Request_]], Generator[Stage, list[Rows], list[Outcome_]]]
"""A batch as stages for a Pipeline: one outcome a request, in their order."""


class BatcherMetrics(Protocol):
    """What is counted of batches."""

    def batch(self, size: int, seconds: float, round_trips: int) -> None: ...


class Waiter(Generic[Request_, Outcome_]):
    """One posting on its way: its request, its outcome when there is one, and who is to be told."""

    __slots__ = ("_done", "outcome", "request")

    def __init__(self, request: Request_, done: Callable[[Outcome_ | None], None]) -> None:
        self.request = request
        self.outcome: Outcome_ | None = None
        self._done: Callable[[Outcome_ | None], None] | None = done

    def tell(self, log: FilteringBoundLogger) -> None:
        """Tell the outcome, if that has not been done yet."""
        done, self._done = self._done, None
        if done is None:
            return
        try:
            done(self.outcome)
        except Exception:  # a bug met by one must not keep it from the others; the terminal asks again
            log.exception("telling_failed", kind=self.request.kind)


class Left:
    """What is left alone for a while, as `key` names it: accounts."""

    def __init__(self, key: Callable[[Any], Hashable]) -> None:
        self._key = key
        self._until: dict[
            Hashable, tuple[float, float]
        ] = {}  # when it may be tried again, and after how long

    def __contains__(self, request: Any) -> bool:
        if not self._until:
            return False
        until, _ = self._until.get(self._key(request), (0.0, 0.0))
        return trio.current_time() < until

    def add(self, request: Any) -> None:
        """Leave the account of the request alone, twice as long as the last time."""
        key = self._key(request)
        _, before = self._until.get(key, (0.0, 0.0))
        pause = min(max(STUCK_SECONDS, before * 2), STUCK_SECONDS_MOST)
        self._until[key] = (trio.current_time() + pause, pause)

    def forget(self, waiters: Iterable[Waiter[Any, Any]]) -> None:
        """These went through."""
        if self._until:
            for waiter in waiters:
                self._until.pop(self._key(waiter.request), None)


class Lane(Generic[Request_, Outcome_]):
    """`connect` makes the connection, and makes it anew when it was lost. `left` is shared by all lanes."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Pipeline]],
        stages: Stages[Request_, Outcome_],
        *,
        log: FilteringBoundLogger,
        metrics: BatcherMetrics,
        left: Left,
    ) -> None:
        self._connect = connect
        self._stages = stages
        self._log = log
        self._metrics = metrics
        self._left = left
        self._pipeline: Pipeline | None = None
        self._connect_not_before = float("-inf")

    async def commit(self, batch: list[Waiter[Request_, Outcome_]]) -> None:
        """Give each waiter its outcome, or leave it without one. Who was posted alone is told at once."""
        pipeline = await self._connected()
        if pipeline is None:
            return
        began, trips = trio.current_time(), pipeline.round_trips
        try:
            await self._attempt(pipeline, batch)
        except DatabaseGone as error:
            self._lose(error)
        except Exception as error:  # noqa: BLE001 - one bad posting, or a bug met by one, must not stop the others
            await self._one_by_one(batch, error)
        self._metrics.batch(len(batch), trio.current_time() - began, pipeline.round_trips - trips)

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    async def _attempt(self, pipeline: Pipeline, batch: list[Waiter[Request_, Outcome_]]) -> None:
        outcomes = await pipeline.run(self._stages([waiter.request for waiter in batch]))
        for waiter, outcome in zip(batch, outcomes, strict=True):
            waiter.outcome = outcome
        self._left.forget(batch)

    async def _one_by_one(self, batch: list[Waiter[Request_, Outcome_]], error: Exception) -> None:
        """The batch failed as a whole: find the one that is guilty, so that the others do not suffer."""
        self._log.warning("batch_failed", size=len(batch), error=str(error))
        give_up = trio.current_time() + SINGLE_SECONDS
        for number, waiter in enumerate(batch):
            if trio.current_time() > give_up:
                # What is wrong is wrong with all of them, such as a lock on the business day.
                self._log.error("batch_abandoned", left=len(batch) - number)
                return
            if waiter.request not in self._left:  # else one before it has just shown that it is stuck
                await self._one(waiter)
            waiter.tell(self._log)

    async def _one(self, waiter: Waiter[Request_, Outcome_]) -> None:
        pipeline = await self._connected()
        if pipeline is None:
            return
        try:
            await self._attempt(pipeline, [waiter])
        except DatabaseGone as gone:
            self._lose(gone)
        except StatementFailed as failure:
            self._log.exception("posting_failed", kind=waiter.request.kind)
            if (failure.statement, failure.sqlstate) == _ACCOUNT_LOCKED:
                self._left.add(waiter.request)
        except Exception:  # noqa: BLE001 - as above; it is logged, and the terminal repeats
            self._log.exception("posting_failed", kind=waiter.request.kind)

    async def _connected(self) -> Pipeline | None:
        """The connection, made anew when it was lost; None while the database is away."""
        if self._pipeline is not None and not self._pipeline.alive():
            # It went while nothing was under way: nobody needs to be told to repeat.
            self._lose(DatabaseGone("the connection was closed"))
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
        self.close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
