"""The terminal's line to the server: one encrypted session after another, replies matched by their id.

This part knows sessions and nothing of purchases; the rules part (terminal_rules, terminal) knows
purchases and nothing of sessions. Between them pass `online`, `ask` and `changed`, and what the server
says of itself: `on_login` and `on_notice`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TypeVar

import trio

from protocol.errors import RemoteProtocolError
from protocol.messages import Closing, Login, LoginReply, Message, Notice, Reply, Request
from protocol.noise import KeyPair
from protocol.session import TerminalSession
from txserver.terminal_envelope import Numbering, uniform
from txserver.terminal_identity import ServerKey
from txserver.terminal_keys import TerminalKeys
from txserver.terminal_rules import REPLY_S, backoff_s
from txserver.terminal_session import LiveSession, NoAnswer, shake_hands

__all__ = ["Connect", "TerminalLink", "Trouble"]

SESSION_S = 23 * 3600.0
"""A session is made anew before the server ends it at 24 h, when nothing is under way."""

UNWELCOME = {
    "replaced": "another device uses this terminal's key",
    "revoked": "the operator has revoked this terminal",
}
"""Reasons of a Closing that a person has to look at."""

WHEN_UNWELCOME = 6
"""Failures that such a closing counts as: begin with a long pause, or two devices with the same key throw
each other out for ever."""

Connect = Callable[[], Awaitable[trio.abc.Stream]]
R = TypeVar("R", bound=Reply)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the terminal was last without a session.

    `kind`: unreachable, silent, closed, refused, protocol, replaced or revoked; `detail` is for people.
    """

    kind: str
    detail: str


class TerminalLink:
    """Keeps one session alive for as long as `run` runs."""

    def __init__(
        self,
        keys: TerminalKeys,
        *,
        connect: Connect,
        random: Callable[[int], bytes],
        numbering: Numbering,
        software: str,
    ) -> None:
        self._keys = keys
        self._connect = connect
        self._random = random
        self._numbering = numbering
        self._software = software
        self._session: LiveSession | None = None
        self._up = trio.Event()
        self._failures = 0
        self._leaving = False
        self.hello: LoginReply | None = None
        self.trouble: Trouble | None = None
        self.changed: Callable[[], None] = lambda: None
        self.on_login: Callable[[LoginReply], None] = lambda reply: None
        self.on_notice: Callable[[Notice], None] = lambda notice: None

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

    def _set(self, session: LiveSession | None) -> None:
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
            self._closed_or_worse(error.reason)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _log_in(self, stream: trio.abc.Stream) -> tuple[LiveSession, list[Message]] | None:
        """The session and what arrived behind its LoginReply; None when the server refused the login."""
        own, server = self._keys.own(), self._keys.server()
        login = Login(
            **self._numbering.envelope(), software=self._software, last_stan=self._numbering.last_stan
        )
        protocol = TerminalSession(
            static=own,
            ephemeral=KeyPair.from_private(self._random(32)),
            server_key=server.public,
            server_key_id=server.id,
            hello=login,
        )
        try:
            first, *rest = await shake_hands(stream, protocol)
        except BaseException as error:
            closed = isinstance(error, RemoteProtocolError) and error.reason == "closed"
            self._keys.failed(server_proved=protocol.established, closed=closed)
            raise
        if isinstance(first, Closing):
            self._closing(first.reason)
            return None
        if not isinstance(first, LoginReply) or first.id != login.id:
            raise RemoteProtocolError("not_a_login_reply")
        if first.code != 0:
            self.trouble = Trouble("refused", f"{first.code} {first.text}")
            return None
        self._keys.logged_in(own, server, first)
        self.on_login(first)
        return LiveSession(stream, protocol, first, partial(self._heard, server)), rest

    def _heard(self, server: ServerKey, notice: Notice) -> None:
        self._keys.heard(server, notice)
        self.on_notice(notice)
        self.changed()

    async def _serve(self, session: LiveSession, rest: list[Message]) -> None:
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
        if closing is not None:
            self._closing(closing.reason)
        elif session.silent:
            self.trouble = Trouble("silent", f"no reply in {REPLY_S:.0f} s")

    def _closing(self, reason: str) -> None:
        """The server said why it closes."""
        if reason in UNWELCOME:
            self._failures = max(self._failures, WHEN_UNWELCOME)
            self.trouble = Trouble(reason, UNWELCOME[reason])
        else:
            self.trouble = Trouble("closed", reason)

    def _closed_or_worse(self, fault: str) -> None:
        """The session ended with a fault. A revoked key is closed without a word: why is known already."""
        if fault != "closed":
            self.trouble = Trouble("protocol", fault)
        elif self.trouble is None or self.trouble.kind != "revoked":
            self.trouble = Trouble("closed", fault)

    async def _read(self, session: LiveSession, rest: list[Message]) -> Closing | None:
        # Inside a nursery faults would come out in a group, so they become the link's trouble here.
        try:
            return session.deliver(rest) or await session.read()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.trouble = Trouble("unreachable", str(error) or type(error).__name__)
        except RemoteProtocolError as error:
            self.trouble = Trouble("protocol", error.reason)
        return None

    async def _retire(self, session: LiveSession) -> None:
        await trio.sleep(SESSION_S)
        if self._session is session:
            self._set(None)
        await session.take_leave(self._numbering)
