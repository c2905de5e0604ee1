"""Who waits for whom: logins for no reads, a terminal for its own, and nobody for one terminal alone."""

import threading
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from txserver.turns import PER_TERMINAL, Turns

PATIENCE_S = 20


@dataclass
class Slow:
    """Work that lasts until it is let go, and says how often it has begun."""

    begun: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> str:
        self.begun += 1
        assert self.done.wait(PATIENCE_S)
        return "done"

    async def until_begun(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while self.begun < count:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
        assert self.begun == count


def quick() -> str:
    return "quick"


async def test_one_terminal_takes_two_places_and_its_other_reads_wait() -> None:
    turns, slow = Turns(enrolments=1, reads=PER_TERMINAL + 1), Slow()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(turns.read, 1, slow)
            await slow.until_begun(PER_TERMINAL)
            assert await turns.read(2, quick) == "quick"
            assert slow.begun == PER_TERMINAL
            slow.done.set()
    assert slow.begun == 10


async def test_logins_do_not_wait_for_reads_nor_reads_for_logins() -> None:
    turns, reading, greeting = Turns(enrolments=1, reads=2), Slow(), Slow()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for terminal in range(5):
                nursery.start_soon(turns.read, terminal, reading)
            await reading.until_begun(2)
            assert await turns.enrol(quick) == "quick"
            nursery.start_soon(turns.enrol, greeting)
            await greeting.until_begun(1)
            reading.done.set()
            assert await turns.read(9, quick) == "quick"
            greeting.done.set()


async def test_a_place_is_taken_until_its_thread_has_ended_also_when_nobody_waits() -> None:
    turns, slow = Turns(enrolments=1, reads=10), Slow()
    async with trio.open_nursery() as nursery:
        for _ in range(PER_TERMINAL):
            nursery.start_soon(turns.read, 1, slow)
        await slow.until_begun(PER_TERMINAL)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.read, 1, slow)
        await trio.testing.wait_all_tasks_blocked()
        assert slow.begun == PER_TERMINAL
        slow.done.set()
    assert slow.begun == PER_TERMINAL + 1
    with trio.fail_after(PATIENCE_S):
        await turns.rest()


async def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    turns, slow = Turns(enrolments=1, reads=1), Slow()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.read, 1, slow)
        await slow.until_begun(1)
        async with trio.open_nursery() as impatient:
            for _ in range(5):
                impatient.start_soon(turns.read, 2, slow)
            await trio.testing.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        slow.done.set()
    with trio.fail_after(PATIENCE_S):
        assert [await turns.read(2, quick) for _ in range(3)] == ["quick"] * 3
        await turns.rest()


async def test_what_the_work_raises_is_raised_and_frees_the_place() -> None:
    def bug() -> None:
        raise LookupError("a bug")

    turns = Turns(enrolments=1, reads=1)
    for _ in range(3):
        with pytest.raises(LookupError):
            await turns.read(1, bug)
        with pytest.raises(LookupError):
            await turns.enrol(bug)
