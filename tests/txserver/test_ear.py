"""One task hears all lines: who speaks is called, who has gone is not, and nobody is starved."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise

import pytest
import trio

from tests.txserver.lines import create_line
from txserver.ear import BURST, Ear
from txserver.line import Line


@asynccontextmanager
async def create_ear() -> AsyncIterator[Ear]:
    ear = Ear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.run)
        yield ear
        nursery.cancel_scope.cancel()


async def test_who_speaks_is_heard_and_nobody_else() -> None:
    async with create_ear() as ear:
        with create_line() as (one, her), create_line() as (other, _):
            heard: list[object] = []
            with (
                ear.hearing(one, lambda: heard.append(one.read())),
                ear.hearing(other, lambda: heard.append("other")),
            ):
                her.sendall(b"hello")
                await trio.testing.wait_all_tasks_blocked()
                her.sendall(b"again")
                await trio.testing.wait_all_tasks_blocked()
                her.close()
                while len(heard) < 3:
                    await trio.lowlevel.checkpoint()
            assert heard[:3] == [b"hello", b"again", b""]


async def test_after_the_block_nobody_is_called() -> None:
    async with create_ear() as ear:
        with create_line() as (line, peer):
            heard: list[bytes | None] = []
            with ear.hearing(line, lambda: heard.append(line.read())):
                await trio.testing.wait_all_tasks_blocked()
            peer.sendall(b"late")
            await trio.testing.wait_all_tasks_blocked()
            assert heard == []
            assert line.read() == b"late"


async def test_a_line_that_closes_makes_room_for_the_next_of_its_number() -> None:
    async with create_ear() as ear:
        with create_line() as (old, _), ear.hearing(old, lambda: None):
            number = old.fileno()
            old.close()
            with create_line() as (new, peer):
                assert number in (new.fileno(), peer.fileno()), "the kernel gives the lowest that is free"
                heard: list[bytes | None] = []
                with ear.hearing(new, lambda: heard.append(new.read())):
                    peer.sendall(b"hello")
                    await trio.testing.wait_all_tasks_blocked()
                assert heard == [b"hello"]


async def test_a_line_that_an_earlier_one_of_the_turn_closed_is_not_called() -> None:
    async with create_ear() as ear:
        with create_line() as (one, her), create_line() as (two, him):
            heard: list[Line] = []

            def close_other(me: Line, other: Line) -> None:
                heard.append(me)
                me.read()
                other.close()

            with (
                ear.hearing(one, lambda: close_other(one, two)),
                ear.hearing(two, lambda: close_other(two, one)),
            ):
                her.sendall(b"x")
                him.sendall(b"x")
                await trio.testing.wait_all_tasks_blocked()
            assert len(heard) == 1


async def test_a_line_that_is_already_closed_is_not_kept() -> None:
    async with create_ear() as ear:
        with create_line() as (line, _):
            line.close()
            with pytest.raises(ValueError, match="descriptor"), ear.hearing(line, lambda: None):
                raise AssertionError("nobody is there")
        assert ear._lines == {}


async def test_many_who_speak_at_once_leave_room_for_others() -> None:
    async with create_ear() as ear:
        turns: list[int] = []
        with ExitStack() as stack:
            heard: list[bytes | None] = []
            peers = []
            for _ in range(6 * BURST):
                line, peer = stack.enter_context(create_line())
                stack.enter_context(ear.hearing(line, lambda line=line: heard.append(line.read())))  # type: ignore[misc]
                peers.append(peer)
            for peer in peers:
                peer.sendall(b"x")
            while len(heard) < 6 * BURST:
                turns.append(len(heard))
                await trio.lowlevel.checkpoint()
        assert max(after - before for before, after in pairwise(turns)) <= 2 * BURST, (
            "each turn of the loop runs both, in either order"
        )
        assert len(set(turns)) >= 3
