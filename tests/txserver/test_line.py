"""A terminal's socket: what is there is read, what fits is taken, and an end is an end."""

import socket

import pytest
import trio

from tests.txserver.lines import create_line
from txserver.line import READ_BYTES, Line


async def test_what_the_peer_sends_is_received_when_it_comes() -> None:
    with create_line() as (line, peer):
        received: list[bytes] = []

        async def receive() -> None:
            received.append(await line.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            assert received == []
            peer.sendall(b"x" * (READ_BYTES + 1))
        assert received == [b"x" * READ_BYTES]
        assert await line.receive() == b"x"


async def test_the_end_is_empty_bytes_and_a_reset_is_an_error() -> None:
    with create_line() as (line, peer):
        peer.close()
        assert await line.receive() == b""
        with pytest.raises(trio.BrokenResourceError):
            line.send(b"x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        with Line(server.accept()[0]) as line:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            with pytest.raises(trio.BrokenResourceError):
                await line.receive()


async def test_a_full_line_takes_what_it_can_and_says_how_much() -> None:
    with create_line() as (line, peer):
        data = bytes(range(256)) * 40_000
        taken = line.send(data)
        assert 0 < taken < len(data)
        assert line.send(b"x") == 0
        with trio.move_on_after(0) as impatient:
            await line.writable()
        assert impatient.cancelled_caught
        got = b""
        while len(got) < taken:
            got += peer.recv(taken)
        assert got == data[:taken]
        await line.writable()
        assert line.send(b"x") == 1


async def test_who_waits_on_a_line_that_is_closed_hears_of_it() -> None:
    with create_line() as (line, _):
        heard: list[str] = []

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await line.receive()
            heard.append("closed")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            line.close()
        assert heard == ["closed"]
        line.close()
        for late in (line.receive, line.writable):
            with pytest.raises(trio.ClosedResourceError):
                await late()
        for broken in (line.end, lambda: line.send(b"x")):
            with pytest.raises(trio.BrokenResourceError):
                broken()


async def test_after_our_end_the_peer_may_still_speak() -> None:
    with create_line() as (line, peer):
        line.end()
        assert peer.recv(1) == b""
        peer.sendall(b"bye")
        assert await line.receive() == b"bye"
