"""Peers that break the rules, and the proof that nobody else notices."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgpack  # type: ignore[import-untyped]
import trio

from protocol.framing import frame
from protocol.messages import Echo, Enrol, Login
from protocol.noise import KeyPair
from protocol.session import Enrolment, TerminalSession
from tests.factories import create_keyring
from tests.txserver.server_house import PATIENCE_S, OpenHouse, RawTerminal, envelope

FRAME_2 = 2 + 32 + 16
BOOKS = (
    "SELECT count(*) FROM transaction",
    "SELECT count(*) FROM entry",
    "SELECT count(*) FROM misuse",
    "SELECT sum(posted), sum(held) FROM account",
    "SELECT sum(pin_tries) FROM card",
    "SELECT id, status, public_key FROM terminal WHERE id > 0 ORDER BY id",
)


def create_session(key: KeyPair | None = None, **changes: Any) -> TerminalSession:
    """The terminal's end, not started; with a key that nobody knows unless one is given."""
    values: dict[str, Any] = {
        "static": key or KeyPair.from_private(os.urandom(32)),
        "ephemeral": KeyPair.from_private(os.urandom(32)),
        "server_key": KeyPair.from_private(create_keyring().server_keys[1]).public,
        "server_key_id": 1,
        "hello": Login(**envelope(), software="raw", last_stan=0),
    }
    return TerminalSession(**{**values, **changes})


def create_enrolling(**changes: Any) -> TerminalSession:
    """A new device with an invitation that is none."""
    hello = Enrol(**envelope(), model="raw", software="raw")
    return create_session(hello=hello, enrolment=Enrolment(os.urandom(16), os.urandom(32)), **changes)


def opening(at: int = 0, instead: bytes = b"") -> bytes:
    """Frame 1 as it should be, with the bytes of its body from `at` replaced."""
    body = create_session().start()[2:]
    return frame(body[:at] + instead + body[at + len(instead) :])


def plaintext(kind: int, packed: bytes) -> bytes:
    """A padded message of any bytes."""
    data = bytes((kind,)) + packed + b"\x80"
    return data + bytes(-len(data) % 64)


def packed(**changes: Any) -> bytes:
    """The fields of an Echo, with changes, as msgpack."""
    data: bytes = msgpack.packb({**envelope(), **changes})
    return data


def forged(terminal: RawTerminal, plain: bytes) -> bytes:
    """A frame that a terminal of ours would never send."""
    assert terminal.session._sending is not None
    return frame(terminal.session._sending.encrypt(plain))


def flipped(data: bytes, at: int = -1) -> bytes:
    """The same with one bit turned."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


async def third_frame(stream: trio.SocketStream, session: TerminalSession) -> bytes:
    """Frame 3, after frames 1 and 2 have passed."""
    await stream.send_all(session.start())
    session.receive_data(await received(stream, FRAME_2))
    return session.data_to_send()


async def received(stream: trio.SocketStream, count: int) -> bytes:
    """Exactly `count` bytes."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        while len(data) < count:
            more = await stream.receive_some(count - len(data))
            assert more, "closed too early"
            data += more
    return data


async def until_closed(stream: trio.SocketStream) -> bytes:
    """What the server still says before it closes."""
    data = b""
    with trio.fail_after(PATIENCE_S):
        try:
            while more := await stream.receive_some(65_536):
                data += more
        except trio.BrokenResourceError:
            pass  # closed with bytes of ours unread: the kernel resets
    return data


async def send_quietly(stream: trio.SocketStream, data: bytes) -> None:
    """Send to a server that may have closed already."""
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


@asynccontextmanager
async def undisturbed(house: OpenHouse, case: str, reason: str) -> AsyncIterator[None]:
    """One connection ends in the block, for `reason`: one log line, nothing booked, nobody else notices.

    `case` is named when that is not so.
    """
    witness = await house.terminal()
    before = [house.books.ask(sql) for sql in BOOKS]
    lines, closed = len(house.log.getvalue().splitlines()), len(house.reasons())
    try:
        yield
        assert (await witness.ask(Echo(**envelope()))).code == 0
        assert (await house.closed(closed + 1))[closed:] == [reason]
        assert len(house.log.getvalue().splitlines()) == lines + 1
        assert [house.books.ask(sql) for sql in BOOKS] == before
        await witness.stream.aclose()
        await house.closed(closed + 2)
        assert house.reasons()[closed:] == [reason, "connection_lost"]
    except Exception as error:
        error.add_note(f"the case: {case}")
        raise
