"""One session of a terminal: requests out, replies matched by their id, until either side ends it."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import IDLE_SECONDS, MAX_IN_FLIGHT
from protocol.messages import (
    Closing,
    Echo,
    EchoReply,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Notice,
    Reply,
    Request,
)
from protocol.session import TerminalSession
from txserver.terminal_envelope import Numbering
from txserver.terminal_rules import REPLY_S

__all__ = ["LiveSession", "NoAnswer", "shake_hands"]

RECEIVE_BYTES = 4096
"""One read takes a whole frame of the usual kind."""

ECHOES_PER_IDLE_TIME = 3
"""Two echoes may be lost before the server takes the terminal for gone."""

R = TypeVar("R", bound=Reply)


class NoAnswer(Exception):
    """No reply came to a request that may have left: its outcome is unknown."""


async def shake_hands(stream: trio.abc.Stream, session: TerminalSession) -> list[Message]:
    """Run the handshake until the first messages arrive: the reply to Login or Enrol and what follows it.

    RemoteProtocolError("closed") when the server closes, whichever of our calls notices it first.
    """
    try:
        await stream.send_all(session.start())
        while data := await stream.receive_some(RECEIVE_BYTES):
            messages = session.receive_data(bytes(data))
            answer = session.data_to_send()
            if answer:
                await stream.send_all(answer)
            if messages:
                return messages
    except trio.BrokenResourceError:
        pass
    raise RemoteProtocolError("closed")


class _Waiter:
    """A request under way. `reply` stays None when the session ends first."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.reply: Reply | None = None


class LiveSession:
    """An established session over one stream. It ends once, with `end`."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        protocol: TerminalSession,
        hello: LoginReply,
        heard: Callable[[Notice], None],
    ) -> None:
        self.hello = hello
        self._heard = heard
        self.over = False
        self.answered = False
        self.silent = False
        self.window = trio.CapacityLimiter(MAX_IN_FLIGHT)
        self.last_sent = trio.current_time()
        self.scope = trio.CancelScope()
        self._stream = stream
        self._protocol = protocol
        self._writing = trio.Lock()
        self._said_goodbye = False
        self._waiters: dict[bytes, _Waiter] = {}

    def end(self) -> None:
        """The session is over: whoever waits learns that no reply comes."""
        self.over = True
        self.scope.cancel()
        for waiter in self._waiters.values():
            waiter.done.set()

    async def exchange(self, message: Request, kind: type[R]) -> R:
        """The reply to a message. NoAnswer when it is late (then the session ends), or the session ended."""
        if message.id in self._waiters:
            raise LocalProtocolError("the same id is under way twice")
        waiter = self._waiters[message.id] = _Waiter()
        try:
            with trio.move_on_after(REPLY_S):
                await self._send(message)
                await waiter.done.wait()
        finally:
            del self._waiters[message.id]
        if not isinstance(waiter.reply, kind):
            self.silent = self.silent or not waiter.done.is_set()
            self.end()
            raise NoAnswer
        return waiter.reply

    async def _send(self, message: Message) -> None:
        async with self._writing:
            if self.over or self._said_goodbye:
                raise NoAnswer
            self._said_goodbye = isinstance(message, Logout)
            data = self._protocol.send(message)
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                self.end()
                raise NoAnswer from None
            except BaseException:
                # Cancelled in the middle: nobody knows how much was sent, so nothing may follow it.
                self.end()
                raise
            self.last_sent = trio.current_time()

    def deliver(self, messages: list[Message]) -> Closing | None:
        """Give each reply to who waits for it, and each notice on; a reply nobody waits for is let go."""
        for message in messages:
            if isinstance(message, Closing):
                return message
            if isinstance(message, Notice):
                self._heard(message)
                continue
            if not isinstance(message, Reply):
                raise RemoteProtocolError("not_a_reply")
            self.answered = True
            waiter = self._waiters.get(message.id)
            if waiter is not None:
                waiter.reply = message
                waiter.done.set()
        return None

    async def read(self) -> Closing | None:
        """Read until the server closes: with a Closing message, or without (None)."""
        while True:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                return None
            closing = self.deliver(self._protocol.receive_data(bytes(data)))
            if closing is not None:
                return closing

    async def echo(self, numbering: Numbering) -> None:
        """Prove life whenever nothing was sent for a third of the idle time, until the session ends."""
        idle_s = self.hello.idle_s if self.hello.idle_s > 0 else IDLE_SECONDS
        pause = idle_s / ECHOES_PER_IDLE_TIME
        try:
            while True:
                await trio.sleep_until(self.last_sent + pause)
                if trio.current_time() >= self.last_sent + pause:
                    await self.exchange(Echo(**numbering.envelope()), EchoReply)
        except NoAnswer:
            return

    async def take_leave(self, numbering: Numbering) -> None:
        """Let what is under way finish, say Logout, end."""
        with trio.move_on_after(REPLY_S):
            for _ in range(MAX_IN_FLIGHT):
                await self.window.acquire_on_behalf_of(object())
            with suppress(NoAnswer):
                await self.exchange(Logout(**numbering.envelope()), LogoutReply)
        self.end()
