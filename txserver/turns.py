"""Whose turn it is for a thread with a connection: enrolments wait for no reads, no terminal takes all."""

from collections.abc import Callable
from typing import TypeVar, cast
from weakref import WeakValueDictionary

import trio

__all__ = ["PER_TERMINAL", "Turns"]

PER_TERMINAL = 2  # reads of one terminal at a time; the rest of them wait, its debits do not

Answer = TypeVar("Answer")


class Turns:
    """Runs work on threads, at most so many `enrolments` and `reads` at a time as there are connections for.

    Whoever stops waiting leaves the thread to end its work; its place is free only then.
    """

    def __init__(self, *, enrolments: int, reads: int) -> None:
        self._enrolments = trio.CapacityLimiter(enrolments)
        self._reads = trio.CapacityLimiter(reads)
        self._terminals: WeakValueDictionary[int, trio.CapacityLimiter] = WeakValueDictionary()

    async def enrol(self, work: Callable[[], Answer]) -> Answer:
        """Run the work of an enrolment."""
        return await trio.to_thread.run_sync(work, limiter=self._enrolments, abandon_on_cancel=True)

    async def read(self, terminal: int, work: Callable[[], Answer]) -> Answer:
        """Run what a terminal asks for in its session."""
        own = self._terminals.get(terminal)
        if own is None:
            own = self._terminals[terminal] = trio.CapacityLimiter(PER_TERMINAL)
        # trio asks a limiter for no more than these two methods, and says so.
        places = cast("trio.CapacityLimiter", _Places(own, self._reads))
        return await trio.to_thread.run_sync(work, limiter=places, abandon_on_cancel=True)

    async def rest(self) -> None:
        """Return when nothing is under way, also nothing that nobody waits for any more.

        For the end of a program: it takes all places, so whoever asks afterwards waits for ever.
        """
        for limiter in (self._enrolments, self._reads):
            for place in range(int(limiter.total_tokens)):
                await limiter.acquire_on_behalf_of(place)


class _Places:
    """A place among the terminal's own, then one among everybody's."""

    def __init__(self, own: trio.CapacityLimiter, everybodys: trio.CapacityLimiter) -> None:
        self._own = own
        self._everybodys = everybodys

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self._own.acquire_on_behalf_of(borrower)
        try:
            await self._everybodys.acquire_on_behalf_of(borrower)
        except BaseException:
            self._own.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: object) -> None:
        self._everybodys.release_on_behalf_of(borrower)
        self._own.release_on_behalf_of(borrower)
