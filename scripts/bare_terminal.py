"""A logged-in socket without the rules of a terminal: what the loads of the bench and of chaos speak with."""

import os
import time
from typing import Any

import trio

from protocol.messages import Closing, Login, Reply, Request
from protocol.noise import KeyPair
from protocol.session import TerminalSession

__all__ = ["BareTerminal", "envelope"]

READ_BYTES = 8_192


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
        session = TerminalSession(
            static=key,
            ephemeral=KeyPair.from_private(os.urandom(32)),
            server_key=server_key,
            server_key_id=server_key_id,
            hello=Login(**envelope(), software="bare", last_stan=0),
        )
        terminal = cls(await trio.open_tcp_stream(host, port), session)
        try:
            await terminal.stream.send_all(session.start())
            await terminal._reply()
        except BaseException:
            await trio.aclose_forcefully(terminal.stream)
            raise
        return terminal

    async def ask(self, message: Request) -> Reply:
        await self.stream.send_all(self._session.send(message))
        return await self._reply()

    async def _reply(self) -> Reply:
        while True:
            data = await self.stream.receive_some(READ_BYTES)
            if not data:
                raise EOFError
            messages = self._session.receive_data(data)
            pending = self._session.data_to_send()
            if pending:
                await self.stream.send_all(pending)
            for message in messages:
                if isinstance(message, Closing):
                    raise EOFError
                if isinstance(message, Reply):
                    return message  # a Notice is nobody's answer


def envelope() -> dict[str, Any]:
    """The fields of a request that nobody looks at here, and a new txid."""
    return {"id": os.urandom(16), "stan": 1, "batch": 1, "at": int(time.time() * 1000)}
