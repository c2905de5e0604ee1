"""The listening socket: its caps, its counters, and that nothing which happens in one connection ends it."""

import io
import json
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from prometheus_client import CollectorRegistry

from tests.txserver.hostile import until_closed
from txserver.line import Line
from txserver.listener import Listener, PortTaken, bind
from txserver.logs import make_log
from txserver.metrics import Metrics

PATIENCE_S = 20


@dataclass
class Door:
    """A listener whose connections say what they are told: L logs in, B is a bug, anything else is echoed."""

    listener: Listener
    metrics: Metrics
    log: io.StringIO
    port: int

    def events(self, event: str) -> list[dict[str, Any]]:
        return [
            line for text in self.log.getvalue().splitlines() if (line := json.loads(text))["event"] == event
        ]

    async def logged(self, event: str, count: int) -> list[dict[str, Any]]:
        with trio.fail_after(PATIENCE_S):
            while len(self.events(event)) < count:
                await trio.lowlevel.checkpoint()
        return self.events(event)

    async def knock(self, host: str = "127.0.0.1") -> trio.SocketStream:
        """A connection from a local address."""
        return await trio.open_tcp_stream("127.0.0.1", self.port, local_address=host)

    async def enter(self, host: str = "127.0.0.1") -> trio.SocketStream:
        """A connection that was let in."""
        stream = await self.knock(host)
        assert await says(stream, b"?") == b"?"
        return stream

    @property
    def strangers(self) -> float:
        value = self.metrics.registry.get_sample_value("tessera_unauthenticated_connections")
        assert value is not None
        return value


async def says(stream: trio.SocketStream, data: bytes) -> bytes:
    """The answer to `data`; empty when the connection is closed."""
    with trio.fail_after(PATIENCE_S):
        try:
            await stream.send_all(data)
            return bytes(await stream.receive_some(10))
        except trio.BrokenResourceError:
            return b""


async def parrot(line: Line, authenticated: Callable[[], None]) -> str:
    while data := await line.receive():
        if data == b"L":
            authenticated()
        if data == b"B":
            raise ExceptionGroup("several", [ValueError("a bug")])
        assert line.send(data) == len(data)
    return "logout"


@asynccontextmanager
async def open_door(unauthenticated: int = 100, per_address: int = 100) -> AsyncIterator[Door]:
    log, metrics = io.StringIO(), Metrics(CollectorRegistry())
    with bind("127.0.0.1", 0, shared=False) as sock:
        listener = Listener(
            sock,
            parrot,
            log=make_log(log),
            metrics=metrics,
            unauthenticated=unauthenticated,
            per_address=per_address,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            yield Door(listener, metrics, log, listener.port)
            listener.accepting.cancel()


async def test_an_address_may_have_so_many_strangers() -> None:
    async with open_door(per_address=3) as door:
        inside = [await door.enter() for _ in range(3)]
        refused = await door.knock()
        assert await until_closed(refused) == b""
        elsewhere = await door.enter("127.0.0.2")
        assert await says(inside[0], b"L") == b"L"
        instead = await door.enter()
        assert door.strangers == 4
        for stream in (*inside, refused, elsewhere, instead):
            await stream.aclose()
        await door.logged("connection_closed", 5)
        assert door.strangers == 0
        assert [line["address"] for line in door.events("connection_refused")] == ["127.0.0.1"]
        assert door.listener._strangers == {}


async def test_all_together_may_have_so_many_strangers() -> None:
    async with open_door(unauthenticated=3) as door:
        inside = [await door.enter(f"127.0.0.{number}") for number in (1, 2, 3)]
        for number in (3, 4):
            refused = await door.knock(f"127.0.0.{number}")
            assert await until_closed(refused) == b""
            await refused.aclose()
        await inside[0].aclose()
        await door.logged("connection_closed", 1)
        inside.append(await door.enter("127.0.0.4"))
        for stream in inside:
            await stream.aclose()
        await door.logged("connection_closed", 4)
        assert door.strangers == 0
        assert door.listener._stranger_count == 0
        closed = door.metrics.registry.get_sample_value
        assert closed("tessera_connections_closed_total", {"reason": "too_many"}) == 2
        assert closed("tessera_connections_closed_total", {"reason": "logout"}) == 4


async def test_who_has_logged_in_counts_no_more_and_only_once() -> None:
    async with open_door(unauthenticated=1) as door:
        for _ in range(5):
            stream = await door.enter()
            assert await says(stream, b"L") == b"L"
            assert await says(stream, b"L") == b"L"
            assert door.strangers == 0
            if _ % 2:
                await stream.aclose()
            else:
                assert await says(stream, b"B") == b""
                await stream.aclose()
        await door.logged("connection_closed", 5)
        assert door.strangers == 0


async def test_a_bug_in_a_conversation_is_logged_and_ends_only_that_one() -> None:
    async with open_door() as door:
        other, unlucky = await door.enter(), await door.enter()
        assert await says(unlucky, b"B") == b""
        (line,) = await door.logged("conversation_failed", 1)
        assert "ValueError: a bug" in line["exception"]
        assert [line["reason"] for line in await door.logged("connection_closed", 1)] == ["fault"]
        assert await says(other, b"!") == b"!"
        third = await door.enter()
        for stream in (other, unlucky, third):
            await stream.aclose()


async def test_no_descriptor_left_is_a_pause_and_not_the_end() -> None:
    async with open_door() as door:
        first, second = await door.enter(), trio.socket.socket()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(0)  # the next free descriptor is this one
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
        try:
            await second.connect(("127.0.0.1", door.port))
            (line, *_) = await door.logged("accept_failed", 1)
            assert line["error"] == "Too many open files"
            assert await says(first, b"!") == b"!"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            os.close(free)
        late = trio.SocketStream(second)
        assert await says(late, b"?") == b"?"
        await late.aclose()
        await first.aclose()


async def test_a_stop_waits_for_conversations_and_refuses_new_ones() -> None:
    async with open_door() as door:
        stream = await door.enter()
        door.listener.accepting.cancel()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="connect"):
            await door.knock()
        assert await says(stream, b"!") == b"!"
        await stream.aclose()


async def test_a_connection_cut_off_by_the_end_is_counted() -> None:
    async with open_door() as door:
        stream = await door.enter()
        ours, theirs = socket.socketpair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.listener._one, Line(ours), "198.51.100.1")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert [line["reason"] for line in door.events("connection_closed")] == ["cut_off"]
        assert theirs.recv(1) == b""
        theirs.close()
        await stream.aclose()


# ---- the port -----------------------------------------------------------------------------------


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for shared in (False, True):
            with pytest.raises(
                PortTaken,
                match=rf"^Cannot listen on 127.0.0.1 port {port}: Address already in use. .*TESSERA_PORT",
            ):
                bind("127.0.0.1", port, shared=shared)


def test_a_shared_port_is_shared_with_those_who_share_it_only() -> None:
    with bind("127.0.0.1", 0, shared=True) as one:
        port = one.getsockname()[1]
        with bind("127.0.0.1", port, shared=True) as other:
            assert other.getsockname()[1] == port
        with pytest.raises(PortTaken):
            bind("127.0.0.1", port, shared=False)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a..b", "x" * 300, "host.invalid"])
def test_an_address_that_is_not_ours_is_a_sentence(host: str) -> None:
    with pytest.raises(PortTaken, match=r"^Cannot listen on .* port 7171: .*TESSERA_HOST"):
        bind(host, 7_171, shared=False)
