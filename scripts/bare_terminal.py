"""A logged-in socket without the rules of a terminal: what the loads of the bench and of chaos speak with."""

import os
import time
from dataclasses import dataclass, field
from typing import Any

import trio

from protocol.messages import Closing, Login, Message, Reply, Request
from protocol.noise import KeyPair
from protocol.session import TerminalSession

__all__ = ["BareTerminal", "Transport", "envelope", "new_session"]

READ_BYTES = 8_192
HEADER = 2  # bytes of a frame's length


@dataclass(frozen=True, slots=True)
class Transport:
    """What a program that goes on with a session needs: a key and a counter for each direction."""

    sending_key: bytes = field(repr=False)
    sending_counter: int
    receiving_key: bytes = field(repr=False)
    receiving_counter: int


class BareTerminal:
    """One request in flight. EOFError when the server has closed, or says that it will."""

    def __init__(self, stream: trio.SocketStream, session: TerminalSession) -> None:
        self.stream = stream
        self._session = session

    @classmethod
    async def open(
        cls, host: str, port: int, *, server_key: bytes, server_key_id: int, key: KeyPair
    ) -> "BareTerminal":
        """Connect and log in with the terminal's key."""
        session = new_session(server_key=server_key, server_key_id=server_key_id, key=key)
        return await cls.log_in(await trio.open_tcp_stream(host, port), session)

    @classmethod
    async def log_in(cls, stream: trio.SocketStream, session: TerminalSession) -> "BareTerminal":
        """Log in on an open connection, which is closed when that fails. Nothing beyond the reply is read."""
        terminal = cls(stream, session)
        try:
            await stream.send_all(session.start())
            while not terminal._first_reply(session.receive_data(await terminal._one_frame())):
                await terminal._answer()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return terminal

    async def ask(self, message: Request) -> Reply:
        await self.stream.send_all(self._session.send(message))
        while True:
            data = await self.stream.receive_some(READ_BYTES)
            if not data:
                raise EOFError
            reply = self._first_reply(self._session.receive_data(data))
            if reply is not None:
                return reply

    def transport(self) -> Transport:
        """The state of the session between two messages, for whoever carries it on instead of this object."""
        # Nobody but the bench hands a session to another program, so the session has no word for it.
        sending, receiving = self._session._sending, self._session._receiving  # noqa: SLF001
        assert sending is not None
        assert receiving is not None
        return Transport(sending._key, sending.nonce, receiving._key, receiving.nonce)  # noqa: SLF001

    async def _one_frame(self) -> bytes:
        header = await self._exactly(HEADER)
        return header + await self._exactly(int.from_bytes(header, "big"))

    async def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            more = await self.stream.receive_some(count - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    async def _answer(self) -> None:
        pending = self._session.data_to_send()
        if pending:
            await self.stream.send_all(pending)

    def _first_reply(self, messages: list[Message]) -> Reply | None:
        for message in messages:
            if isinstance(message, Closing):
                raise EOFError
            if isinstance(message, Reply):
                return message  # a Notice is nobody's answer
        return None


def new_session(*, server_key: bytes, server_key_id: int, key: KeyPair) -> TerminalSession:
    """The terminal's end of a session that begins with a Login."""
    return TerminalSession(
        static=key,
        ephemeral=KeyPair.from_private(os.urandom(32)),
        server_key=server_key,
        server_key_id=server_key_id,
        hello=Login(**envelope(), software="bare", last_stan=0),
    )


def envelope() -> dict[str, Any]:
    """The fields of a request that nobody looks at here, and a new txid."""
    return {"id": os.urandom(16), "stan": 1, "batch": 1, "at": int(time.time() * 1000)}
