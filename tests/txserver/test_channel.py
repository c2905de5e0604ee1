"""What is said leaves in its order, whole, or not at all; nobody waits for who does not read."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from protocol.errors import LocalProtocolError
from protocol.messages import Closing, Echo, EchoReply, Message, Notice
from protocol.session import TerminalSession
from tests.protocol.factories import create_ends
from tests.txserver.server_house import envelope
from txserver.channel import Channel
from txserver.line import Line


class Throat(Line):
    """The outside world at its worst: takes three bytes of what is sent, and no more until it is opened."""

    closed = False

    def __init__(self) -> None:
        self.taken = b""
        self.room = 3
        self.opened = trio.Event()

    def read(self) -> bytes | None:
        return b""

    async def receive(self) -> bytes:
        return b""

    def send(self, data: bytes | memoryview) -> int:
        if self.closed:
            raise trio.BrokenResourceError
        fits = bytes(data[: self.room])
        self.room -= len(fits)
        self.taken += fits
        return len(fits)

    async def writable(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        await self.opened.wait()

    def open(self, room: int) -> None:
        self.room += room
        self.opened.set()
        if room < 2**20:
            self.opened = trio.Event()

    def end(self) -> None:
        self.taken += b"the end"

    def close(self) -> None:
        self.closed = True


@dataclass
class Scene:
    channel: Channel
    throat: Throat
    terminal: TerminalSession

    def heard(self) -> list[Message]:
        """What the terminal makes of everything that the throat has taken."""
        return self.terminal.receive_data(self.throat.taken.removesuffix(b"the end"))


@asynccontextmanager
async def create_scene(write_s: float = 10) -> AsyncIterator[Scene]:
    ends, throat = create_ends(), Throat()
    async with trio.open_nursery() as nursery:
        yield Scene(Channel(throat, ends.server, nursery, write_s), throat, ends.terminal)
        nursery.cancel_scope.cancel()


def notice(number: int) -> Notice:
    return Notice(server_at=0, catalogue=number)


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_what_is_not_taken_at_once_follows_in_order() -> None:
    async with create_scene() as scene:
        for number in range(3):
            scene.channel.say(notice(number))
        assert scene.channel.unsent == 3
        await settled()
        scene.throat.open(100)
        await settled()
        assert scene.channel.unsent == 2, "the first has gone, the second in part"
        scene.throat.open(2**20)
        await scene.channel.flushed()
        assert scene.channel.unsent == 0
        scene.channel.say(notice(3))
        assert scene.heard() == [notice(number) for number in range(4)]


async def test_who_sends_waits_for_its_own_message_only() -> None:
    async with create_scene() as scene:
        sent: list[int] = []

        async def send(number: int) -> None:
            await scene.channel.send(notice(number))
            sent.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(send, number)
                await settled()
            for frames in (1, 2):
                scene.throat.open(82)
                await settled()
                assert sent == [0, 1][:frames], "three bytes of the first had gone before"
            scene.throat.open(2**20)
        assert sent == [0, 1, 2]


async def test_a_write_that_was_cut_short_is_the_last(autojump_clock: trio.testing.MockClock) -> None:
    async with create_scene() as scene:
        with scene.channel.reading:
            await scene.channel.send(notice(0))
        assert scene.throat.closed
        assert scene.channel.lost == "write_timeout"
        assert scene.channel.reading.cancel_called
        await scene.channel.send(notice(1))
        assert len(scene.throat.taken) == 3


async def test_each_frame_has_its_own_time(autojump_clock: trio.testing.MockClock) -> None:
    async with create_scene(write_s=10) as scene:
        for number in range(3):
            scene.channel.say(notice(number))
        for _ in range(3):
            await trio.sleep(9)
            assert not scene.throat.closed
            scene.throat.open(82)  # a frame: length, 64 bytes of plaintext, tag
        await trio.sleep(1)
        assert scene.channel.unsent == 0
        assert len(scene.heard()) == 3


async def test_who_stops_waiting_does_not_cut_the_frame() -> None:
    async with create_scene() as scene:
        with trio.move_on_after(0):
            await scene.channel.send(notice(0))
        scene.throat.open(2**20)
        await scene.channel.send(notice(1))
        assert scene.heard() == [notice(0), notice(1)]


async def test_who_waits_behind_a_broken_write_sends_nothing() -> None:
    async with create_scene(write_s=0.1) as scene:
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(scene.channel.send, notice(number))
        assert len(scene.throat.taken) == 3


async def test_a_notice_that_comes_after_the_farewell_is_not_sent() -> None:
    async with create_scene() as scene:
        scene.throat.open(2**20)
        scene.channel.say(Closing(reason="idle"))
        said = scene.throat.taken
        scene.channel.say(notice(8))
        assert scene.throat.taken == said
        assert scene.heard() == [Closing(reason="idle")]
        assert not scene.throat.closed


async def test_nothing_is_said_to_who_broke_the_rules() -> None:
    async with create_scene() as scene:
        scene.throat.open(2**20)
        scene.channel.hush()
        scene.channel.say(notice(0))
        assert scene.throat.taken == b""


async def test_a_lost_line_keeps_nobody_waiting() -> None:
    for lose in (lambda channel: channel.lose("fault"), lambda channel: channel.line.close()):
        await lost_while_sending(lose)


async def lost_while_sending(lose: Callable[[Channel], None]) -> None:
    async with create_scene() as scene:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.channel.send, notice(0))
            await settled()
            lose(scene.channel)
            scene.throat.open(2**20)
        assert scene.channel.unsent == 0
        scene.channel.say(notice(1))
        assert len(scene.throat.taken) == 3


async def test_the_last_message_leaves_before_the_end() -> None:
    async with create_scene() as scene:
        scene.channel.say(Closing(reason="idle"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.channel.finish)
            await settled()
            assert len(scene.throat.taken) == 3
            scene.throat.open(2**20)
        assert scene.heard() == [Closing(reason="idle")]
        assert scene.throat.taken.endswith(b"the end")


async def test_a_message_that_does_not_fit_is_our_bug_and_uses_up_nothing() -> None:
    async with create_scene() as scene:
        scene.throat.open(2**20)
        reply = EchoReply(id=bytes(16), code=0, text="x" * 9_000, server_at=0, business_date="2026-11-22")
        with pytest.raises(LocalProtocolError):
            scene.channel.say(reply)
        scene.channel.say(notice(1))
        assert scene.heard() == [notice(1)]


async def test_messages_that_come_together_are_received_together() -> None:
    async with create_scene() as scene:
        echoes = [Echo(**envelope()) for _ in range(3)]
        data = b"".join(scene.terminal.send(echo) for echo in echoes)
        pieces = [data[:5], None, data[5:], b""]
        scene.throat.read = lambda: pieces.pop(0)  # type: ignore[method-assign]
        assert [scene.channel.read() for _ in range(4)] == [[], [], echoes, None]
