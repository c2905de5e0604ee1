"""The terminals of scripts.chaos: each repeats a debit under its id until it knows what became of it."""

import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import trio

from protocol.errors import ProtocolError
from protocol.messages import Login, Redeem, Reply, Request
from protocol.noise import KeyPair
from protocol.session import TerminalSession

__all__ = ["Aim", "Tally", "spend_all"]

READ_BYTES = 8_192
ANSWER_SECONDS = 10.0  # without one the connection is taken for dead
PAUSE_SECONDS = 0.02  # before another attempt; a real terminal waits longer
NOT_RECORDED = 1811


@dataclass(frozen=True)
class Aim:
    """Where the server is, how it is known, and what to spend: payloads with their PINs."""

    port: int
    server_key: bytes
    server_key_id: int
    cards: list[list[str]]


@dataclass
class Tally:
    """What the terminals learned. Written by their thread, read by the one who kills."""

    acknowledged: list[bytes] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    repeats: int = 0
    enough: threading.Event = field(default_factory=threading.Event)


class _Connection:
    """A logged-in socket with one request in flight."""

    def __init__(self, stream: trio.SocketStream, session: TerminalSession) -> None:
        self.stream = stream
        self._session = session

    async def open(self) -> None:
        await self.stream.send_all(self._session.start())
        await self._reply()

    async def ask(self, message: Request) -> Reply:
        await self.stream.send_all(self._session.send(message))
        return await self._reply()

    async def _reply(self) -> Reply:
        while True:
            data = await self.stream.receive_some(READ_BYTES)
            if not data:
                raise EOFError
            messages = self._session.receive_data(bytes(data))
            pending = self._session.data_to_send()
            if pending:
                await self.stream.send_all(pending)
            for message in messages:
                if not isinstance(message, Reply):
                    raise EOFError  # Closing
                return message


_LOST = (
    OSError,
    EOFError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    ProtocolError,
)


async def spend_all(aim: Aim, keys: list[str], tally: Tally) -> None:
    """Spend with one terminal per key until there has been enough; then finish the debits under way."""
    async with trio.open_nursery() as nursery:
        for place, key in enumerate(keys):
            nursery.start_soon(_spend, aim, KeyPair.from_private(bytes.fromhex(key)), tally, place)


async def _spend(aim: Aim, key: KeyPair, tally: Tally, place: int) -> None:
    turn = place * 131
    connection: _Connection | None = None
    while not tally.enough.is_set():
        payload, pin = aim.cards[turn % len(aim.cards)]
        turn += 7
        message = Redeem(**_envelope(), credential=payload, pin=pin, service="wash")
        code = NOT_RECORDED
        while code == NOT_RECORDED:
            try:
                with trio.fail_after(ANSWER_SECONDS):
                    connection = connection or await _connect(aim, key)
                    code = (await connection.ask(message)).code
            except _LOST:
                if connection is not None:
                    await trio.aclose_forcefully(connection.stream)
                connection = None
            if code == NOT_RECORDED:
                tally.repeats += 1
                await trio.sleep(PAUSE_SECONDS)
        if code == 0:
            tally.acknowledged.append(message.id)
        else:
            tally.refused.append(code)
    if connection is not None:
        await trio.aclose_forcefully(connection.stream)


async def _connect(aim: Aim, key: KeyPair) -> _Connection:
    session = TerminalSession(
        static=key,
        ephemeral=KeyPair.from_private(os.urandom(32)),
        server_key=aim.server_key,
        server_key_id=aim.server_key_id,
        hello=Login(**_envelope(), software="chaos", last_stan=0),
    )
    connection = _Connection(await trio.open_tcp_stream("127.0.0.1", aim.port), session)
    try:
        await connection.open()
    except BaseException:
        await trio.aclose_forcefully(connection.stream)
        raise
    return connection


def _envelope() -> dict[str, Any]:
    return {"id": os.urandom(16), "stan": 1, "batch": 1, "at": int(time.time() * 1000)}
