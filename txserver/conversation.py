"""One socket: trio stream <-> protocol.session <-> handlers, each its own part, with a line between.

The connection closes on any fault of the peer's, with one log line and nothing else. What was
posted goes on regardless; its reply is what may be lost, and the terminal asks again.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from ledger.database import DatabaseAway
from ledger.terminals import TerminalSeat
from protocol.errors import RemoteProtocolError
from protocol.limits import MAX_IN_FLIGHT, SESSION_SECONDS
from protocol.messages import Closing, Logout, LogoutReply, Message, Request
from protocol.noise import KeyPair
from protocol.session import ServerSession
from txserver.context import envelope
from txserver.greeting import Admitted, greet
from txserver.handlers import answer, not_recorded
from txserver.house import House
from txserver.registry import Seated

__all__ = ["Conversation", "converse"]

READ_BYTES = 16_384  # four of the largest frames: one system call takes what a busy terminal sent
LINGER_SECONDS = 1  # for the peer to take the last replies before its socket is closed
# Refusals that leave no row, or none that names the terminal's mistake: no account, a key or a batch taken.
UNRECORDED = frozenset({1011, 3008, 3011, 3020, 3023})
IDLE_GRACE = 1.5  # of the idle time that the terminal was told, before we act on it


# ---- adapter: bytes -----------------------------------------------------------------------------


class Conversation:
    """A socket and its session. Sending is ordered and all or nothing: a failed write closes."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, session: ServerSession, write_s: float) -> None:
        self.stream = stream
        self.session = session
        self.reading = trio.CancelScope()
        self.closing: Closing | None = None
        self.lost = "connection_lost"
        self._write_s = write_s
        self._writing = trio.Lock()
        self._broken = False
        self._said_last = False

    async def receive(self) -> list[Message]:
        """The next messages; an empty list at the end of the stream. Raises RemoteProtocolError."""
        while True:
            data = await self.stream.receive_some(READ_BYTES)
            if not data:
                return []
            messages = self.session.receive_data(data)
            answer_bytes = self.session.data_to_send()
            if answer_bytes:
                await self.stream.send_all(answer_bytes)
            if messages:
                return messages

    async def send(self, message: Message) -> None:
        """Encrypt and write in one turn, for the peer counts frames. Closes the socket when it cannot.

        Nothing is sent after a farewell: a notice may come too late.
        """
        async with self._writing:
            if self._broken or self._said_last or not self.session.established:
                return
            data = self.session.send(message)
            self._said_last = isinstance(message, (LogoutReply, Closing))
            self._broken = True  # also after a cancellation: nobody knows how much was sent
            with trio.move_on_after(self._write_s) as deadline:
                try:
                    await self.stream.send_all(data)
                    self._broken = False
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
            if self._broken:
                if deadline.cancelled_caught:
                    self.lost = "write_timeout"
                self.reading.cancel()
                await trio.aclose_forcefully(self.stream)

    async def finish(self) -> None:
        """After the last message: say so, and wait a moment for the peer to close.

        A socket that is closed while it holds unread bytes is reset, and the replies under way with it.
        """
        with trio.move_on_after(LINGER_SECONDS), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.stream.send_eof()
            while await self.stream.receive_some(READ_BYTES):
                pass

    def end(self, reason: str) -> None:
        """Take no more requests; replies under way still go out, then `Closing` with the reason."""
        self.closing = self.closing or Closing(reason=reason)
        self.reading.cancel()


# ---- loop: messages -----------------------------------------------------------------------------


async def converse(
    stream: trio.abc.HalfCloseableStream, house: House, authenticated: Callable[[], None]
) -> str:
    """Serve one connection to its end and return the reason why it ended: a fixed word.

    `authenticated` is called when the terminal has logged in. The caller closes the stream.
    """
    session = ServerSession(
        keys=house.keys,
        ephemeral=KeyPair.from_private(house.random_bytes(32)),
        enrolment_secret=house.context.keyring.enrolment_secret,
    )
    conversation = Conversation(stream, session, house.write_s)
    try:
        admitted: Admitted | None = None
        with trio.move_on_after(house.handshake_s) as greeting:
            admitted = await _admit(conversation, house)
        if admitted is None:
            return "handshake_timeout" if greeting.cancelled_caught else "unknown_key"
        authenticated()
        seat = admitted.seat
        seated = Seated(seat.id, seat.serial, conversation, admitted.told, key_asked=admitted.key_asked)
        house.registry.enter(seated)
        house.notices.welcome(seated)
        house.metrics.sessions.inc()
        try:
            return await _serve(conversation, house, seat)
        finally:
            house.metrics.sessions.dec()
            house.registry.leave(seated)
    except RemoteProtocolError as error:
        return error.reason
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return "connection_lost"
    except DatabaseAway:
        return "database_away"


async def _admit(conversation: Conversation, house: House) -> Admitted | None:
    """Handshake, first message and its reply. None for who is not known: it is closed without a word."""
    admitted = await greet(conversation.session, await conversation.receive(), house)
    if admitted is not None:
        await conversation.send(admitted.reply)
    return admitted


async def _serve(conversation: Conversation, house: House, seat: TerminalSeat) -> str:
    """Requests and replies, until one side has enough. Requests under way are finished first."""
    end: _End | None = None
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(SESSION_SECONDS) as life, conversation.reading:
            end = await _read_requests(conversation, house, seat, nursery)
        if life.cancelled_caught:
            conversation.end("lifetime")
        if end is not None and end.fault:
            nursery.cancel_scope.cancel()
    if end is not None and end.fault:
        return end.reason
    if end is not None and end.logout is not None:
        await conversation.send(LogoutReply(**envelope(house.context, end.logout)))
        await conversation.finish()
    elif conversation.closing is not None:
        await conversation.send(conversation.closing)
        await conversation.finish()
        return conversation.closing.reason
    return end.reason if end is not None else conversation.lost


@dataclass(frozen=True, slots=True)
class _End:
    """Why reading ended. After a fault of the peer's nothing more is said to it."""

    reason: str
    fault: bool = False
    logout: Logout | None = None


async def _read_requests(
    conversation: Conversation, house: House, seat: TerminalSeat, nursery: trio.Nursery
) -> _End:
    in_flight = 0

    async def one(message: Request) -> None:
        nonlocal in_flight
        try:
            await _reply_to(conversation, house, seat, message)
        finally:
            in_flight -= 1

    while True:
        received: list[Message] | None = None
        try:
            with trio.move_on_after(house.idle_s * IDLE_GRACE):
                received = await conversation.receive()
        except RemoteProtocolError as error:
            return _End(error.reason, fault=True)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return _End("connection_lost")
        if received is None:
            conversation.end("idle")
            return _End("idle")
        if not received:
            return _End("connection_lost")
        for message in received:
            assert isinstance(message, Request)
            if isinstance(message, Logout):
                return _End("logout", logout=message)
            if in_flight == MAX_IN_FLIGHT:
                return _End("in_flight", fault=True)
            in_flight += 1
            nursery.start_soon(one, message)


async def _reply_to(conversation: Conversation, house: House, seat: TerminalSeat, message: Request) -> None:
    began = trio.current_time()
    try:
        reply = await answer(house.context, seat, message)
    except Exception:  # a bug met by one request: it is logged, and a repeat is always safe
        house.log.exception("handler_failed", message=type(message).__name__, terminal=seat.id)
        reply = not_recorded(house.context, message)
    if reply.code in UNRECORDED:
        house.log.warning(
            "request_refused",
            message=type(message).__name__,
            code=reply.code,
            terminal=seat.id,
            batch=message.batch,
        )
    await conversation.send(reply)
    house.metrics.reply(type(message).__name__, reply.code, reply.recorded, trio.current_time() - began)
