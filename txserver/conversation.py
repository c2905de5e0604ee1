"""One socket, from its first byte to the reason why it ended.

The connection closes on any fault of the peer's, with one log line and nothing else. What was
posted goes on regardless; its reply is what may be lost, and the terminal asks again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import trio
from structlog.typing import FilteringBoundLogger

from ledger.database import DatabaseAway
from protocol.errors import RemoteProtocolError
from protocol.limits import MAX_IN_FLIGHT, SESSION_SECONDS
from protocol.messages import Logout, LogoutReply, Request
from protocol.noise import KeyPair
from protocol.session import ServerSession
from txserver.channel import Channel
from txserver.context import envelope
from txserver.greeting import Admitted, greet
from txserver.house import House
from txserver.line import Line
from txserver.registry import Seated
from txserver.requests import Requests

__all__ = ["converse"]

IDLE_GRACE = 1.5  # of the idle time that the terminal was told, before we act on it


async def converse(line: Line, house: House, authenticated: Callable[[], None]) -> str:
    """Serve one connection to its end and return the reason why it ended: a fixed word.

    `authenticated` is called when the terminal has logged in. The caller closes the line.
    """
    session = ServerSession(
        keys=house.keys,
        ephemeral=KeyPair.from_private(house.random_bytes(32)),
        enrolment_secret=house.context.keyring.enrolment_secret,
    )
    async with trio.open_nursery() as nursery:
        channel = Channel(line, session, nursery, house.write_s)
        reason = await _converse(channel, house, authenticated, nursery)
        nursery.cancel_scope.cancel()
    return reason


async def _converse(
    channel: Channel, house: House, authenticated: Callable[[], None], nursery: trio.Nursery
) -> str:
    try:
        admitted: Admitted | None = None
        with trio.move_on_after(house.handshake_s) as greeting:
            admitted = await greet(channel.session, await channel.greeted(house.turnstile), house)
            if admitted is not None:
                await channel.send(admitted.reply)
        if greeting.cancelled_caught:
            return "handshake_timeout"
        if admitted is None:
            return "unknown_key"  # closed without a word
        if channel.line.closed:
            return channel.lost  # while it logged in: nobody is there to be seated
        authenticated()
        seat = admitted.seat
        seated = Seated(seat.id, seat.serial, channel, admitted.told, key_asked=admitted.key_asked)
        seated.heard_at = trio.current_time()
        house.registry.enter(seated)
        house.metrics.sessions.inc()
        try:
            house.notices.welcome(seated)
            return await _serve(channel, house, Requests(channel, house, seat, nursery), seated)
        finally:
            house.metrics.sessions.dec()
            house.registry.leave(seated)
    except RemoteProtocolError as error:
        return error.reason
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return channel.lost
    except DatabaseAway:
        return "database_away"


@dataclass(frozen=True, slots=True)
class _End:
    """Why reading ended. After a fault of the peer's nothing more is said to it."""

    reason: str
    fault: bool = False
    logout: Logout | None = None


async def _serve(channel: Channel, house: House, requests: Requests, seated: Seated) -> str:
    """Requests and replies, until one side has enough. Requests under way are finished first."""
    hearing = _Hearing(channel, requests, house.log, seated)
    end: _End | None = None
    with (
        trio.move_on_after(SESSION_SECONDS) as life,
        channel.reading,
        house.ear.hearing(channel.line, hearing.heard),
    ):
        end = await hearing.until_end(house.idle_s * IDLE_GRACE)
    if life.cancelled_caught:
        channel.end("lifetime")
    if end is not None and end.fault:
        channel.hush()
        return end.reason
    await requests.settled()
    if end is not None and end.logout is not None:
        channel.say(LogoutReply(**envelope(house.context, end.logout)))
        await channel.finish()
    elif channel.closing is not None:
        channel.say(channel.closing)
        await channel.finish()
        return channel.closing.reason
    return end.reason if end is not None else channel.lost


class _Hearing:
    """Takes requests until there is a reason not to. A message keeps the session alive, half of one not."""

    __slots__ = ("_channel", "_end", "_ended", "_log", "_requests", "_seated")

    def __init__(
        self, channel: Channel, requests: Requests, log: FilteringBoundLogger, seated: Seated
    ) -> None:
        self._channel = channel
        self._log = log
        self._requests = requests
        self._seated = seated  # which knows when the last message was heard
        self._end: _End | None = None
        self._ended = trio.Event()

    async def until_end(self, idle_s: float) -> _End | None:
        while (left_s := self._seated.heard_at + idle_s - trio.current_time()) > 0:
            # Looked at anew when it is over, for moving a deadline at every message would cost more.
            with trio.move_on_after(left_s):
                await self._ended.wait()
                return self._end
        self._channel.end("idle")
        return _End("idle")

    def heard(self) -> None:
        """There are bytes, or the end."""
        if self._end is not None:
            return
        try:
            self._end = self._take()
        except Exception:  # noqa: BLE001 - a bug met by one session must not make the others deaf
            self._log.exception("hearing_failed")
            self._end = _End("fault", fault=True)
        if self._end is not None:
            self._ended.set()

    def _take(self) -> _End | None:
        try:
            messages = self._channel.read()
        except RemoteProtocolError as error:
            return _End(error.reason, fault=True)
        except trio.BrokenResourceError:
            return _End(self._channel.lost)
        if messages is None:
            return _End("connection_lost")
        seated = self._seated
        if messages:
            seated.heard_at = trio.current_time()
        for message in messages:
            assert isinstance(message, Request)
            if isinstance(message, Logout):
                return _End("logout", logout=message)
            if self._requests.in_flight >= MAX_IN_FLIGHT:
                return _End("in_flight", fault=True)
            self._requests.take(message, seated.heard_at)
        return None
