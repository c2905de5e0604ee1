"""The terminal's line to the server: one encrypted session after another, replies matched by their id.

This part knows sessions and nothing of purchases; the rules part (terminal_rules, terminal) knows
purchases and nothing of sessions. Three things pass between them: `online`, `ask` and `changed`.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TypeVar

import trio

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import IDLE_SECONDS, MAX_IN_FLIGHT
from protocol.messages import (
    Closing,
    Echo,
    EchoReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Reply,
    Request,
)
from protocol.noise import KeyPair
from protocol.session import TerminalSession
from txserver.terminal_envelope import Numbering, uniform
from txserver.terminal_identity import TerminalIdentity
from txserver.terminal_rules import REPLY_S, backoff_s

__all__ = ["Connect", "NoAnswer", "Trouble", "TerminalLink", "shake_hands"]

SESSION_S = 23 * 3600.0
"""A session is made anew before the server ends it at 24 h, when nothing is under way."""

RECEIVE_BYTES = 4096
"""One read takes a whole frame of the usual kind."""

ECHOES_PER_IDLE_TIME = 3
"""Two echoes may be lost before the server takes the terminal for gone."""

AFTER_REPLACEMENT = 6
"""Another device came with our key: begin with a long pause, or the two throw each other out for ever."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]
R = TypeVar("R", bound=Reply)


class NoAnswer(Exception):
    """No reply came to a request that may have left: its outcome is unknown."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the terminal was last without a session.

    `kind`: unreachable, silent, closed, refused, protocol or replaced; `detail` is for people.
    """

    kind: str
    detail: str


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


class _Session:
    """An established session over one stream. It ends once, with `end`."""

    def __init__(self, stream: trio.abc.Stream, protocol: TerminalSession, hello: LoginReply) -> None:
        self.hello = hello
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
        """Give each reply to who waits for it; one that nobody waits for any more is let go."""
        for message in messages:
            if isinstance(message, Closing):
                return message
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


class TerminalLink:
    """Keeps one session alive for as long as `run` runs."""

    def __init__(
        self,
        identity: TerminalIdentity,
        *,
        connect: Connect,
        random: Callable[[int], bytes],
        numbering: Numbering,
        software: str,
    ) -> None:
        self._identity = identity
        self._connect = connect
        self._random = random
        self._numbering = numbering
        self._software = software
        self._session: _Session | None = None
        self._up = trio.Event()
        self._failures = 0
        self._server_key = 0
        self._leaving = False
        self.hello: LoginReply | None = None
        self.trouble: Trouble | None = None
        self.changed: Callable[[], None] = lambda: None

    @property
    def online(self) -> bool:
        """Whether a session stands and takes requests."""
        return self._session is not None

    async def run(self) -> None:
        """Make sessions, one after another, until `close`; pauses between them grow while they fail."""
        while not self._leaving:
            await self._one_session()
            if not self._leaving:
                await trio.sleep(backoff_s(self._failures, uniform(self._random)))
                self._failures += 1

    async def ask(self, message: Request, kind: type[R], *, patience_s: float = inf) -> R:
        """Send a request on the present or the next session; its reply. NoAnswer when the outcome is unknown.

        `patience_s`: how long to wait for a session, if there is none.
        """
        until = trio.current_time() + patience_s
        while True:
            session = self._session
            if session is None:
                with trio.move_on_at(until) as waiting:
                    await self._up.wait()
                if waiting.cancelled_caught:
                    raise NoAnswer
                continue
            async with session.window:
                if not session.over:
                    return await session.exchange(message, kind)

    async def close(self) -> None:
        """Logout; `run` returns soon after. Harmless without a session."""
        self._leaving = True
        session = self._session
        self._set(None)
        if session is not None:
            await session.take_leave(self._numbering)

    def _set(self, session: _Session | None) -> None:
        self._session = session
        if session is not None:
            self._up.set()
        elif self._up.is_set():
            self._up = trio.Event()
        self.changed()

    async def _one_session(self) -> None:
        stream: trio.abc.Stream | None = None
        try:
            with trio.move_on_after(REPLY_S) as handshake:
                stream = await self._connect()
                opened = await self._log_in(stream)
            if handshake.cancelled_caught:
                self.trouble = Trouble("silent", f"no answer in {REPLY_S:.0f} s")
            elif opened is not None:
                await self._serve(*opened)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.trouble = Trouble("unreachable", str(error) or type(error).__name__)
        except RemoteProtocolError as error:
            self.trouble = Trouble("closed" if error.reason == "closed" else "protocol", error.reason)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _log_in(self, stream: trio.abc.Stream) -> tuple[_Session, list[Message]] | None:
        """The session and what arrived behind its LoginReply; None when the server refused the login."""
        keys = self._identity.server_keys
        key = keys[self._server_key % len(keys)]
        # The next attempt takes the next key, unless this one succeeds: the server may have rotated its own.
        self._server_key += 1
        login = Login(
            **self._numbering.envelope(), software=self._software, last_stan=self._numbering.last_stan
        )
        protocol = TerminalSession(
            static=self._identity.key,
            ephemeral=KeyPair.from_private(self._random(32)),
            server_key=key.public,
            server_key_id=key.id,
            hello=login,
        )
        first, *rest = await shake_hands(stream, protocol)
        self._server_key -= 1
        if isinstance(first, Closing):
            self.trouble = Trouble("closed", first.reason)
            return None
        if not isinstance(first, LoginReply) or first.id != login.id:
            raise RemoteProtocolError("not_a_login_reply")
        if first.code != 0:
            self.trouble = Trouble("refused", f"{first.code} {first.text}")
            return None
        return _Session(stream, protocol, first), rest

    async def _serve(self, session: _Session, rest: list[Message]) -> None:
        """Until the session ends, whichever side ends it."""
        self.hello = session.hello
        self.trouble = None
        closing: Closing | None = None
        try:
            with session.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.echo, self._numbering)
                    nursery.start_soon(self._retire, session)
                    self._set(session)
                    closing = await self._read(session, rest)
                    session.end()
        finally:
            session.end()
            if self._session is session:
                self._set(None)
        if session.answered:
            self._failures = 0
        if closing is not None and closing.reason == "replaced":
            self._failures = max(self._failures, AFTER_REPLACEMENT)
            self.trouble = Trouble("replaced", "another device uses this terminal's key")
        elif closing is not None:
            self.trouble = Trouble("closed", closing.reason)
        elif session.silent:
            self.trouble = Trouble("silent", f"no reply in {REPLY_S:.0f} s")

    async def _read(self, session: _Session, rest: list[Message]) -> Closing | None:
        # Inside a nursery faults would come out in a group, so they become the link's trouble here.
        try:
            return session.deliver(rest) or await session.read()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.trouble = Trouble("unreachable", str(error) or type(error).__name__)
        except RemoteProtocolError as error:
            self.trouble = Trouble("protocol", error.reason)
        return None

    async def _retire(self, session: _Session) -> None:
        await trio.sleep(SESSION_S)
        if self._session is session:
            self._set(None)
        await session.take_leave(self._numbering)
