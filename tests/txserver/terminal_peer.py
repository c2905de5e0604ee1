"""The other end of a terminal, scripted: a real ServerSession over memory streams, and books in a dictionary.

What it does to each connection and to each request is a list of faults that the test writes down.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import trio
import trio.testing

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.messages import (
    BalanceInquiry,
    BalanceInquiryReply,
    Catalogue,
    CatalogueItem,
    CatalogueReply,
    Closing,
    ConsumptionInquiry,
    ConsumptionInquiryReply,
    Echo,
    EchoReply,
    Enrol,
    EnrolReply,
    KeyChange,
    KeyChangeReply,
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Notice,
    Reply,
    Request,
    message_type_of,
)
from protocol.noise import KeyPair
from protocol.session import ServerSession
from tests.txserver.terminal_books import NOW_MS, Books, ReplyEnvelope, envelope
from txserver.terminal import Terminal
from txserver.terminal_identity import ServerKey, TerminalIdentity
from txserver.terminal_store import PurchaseStore

__all__ = [
    "CARD", "ENROLMENT_SECRET", "NOW_MS", "PIN", "SERVER_KEY", "TERMINAL_KEY", "Books", "Door", "Entropy",
    "Fault", "Peer", "ReplyEnvelope", "create_identity", "create_terminal", "envelope",
]  # fmt: skip

SERVER_KEY = KeyPair.from_private(bytes([1] * 32))
TERMINAL_KEY = KeyPair.from_private(bytes([2] * 32))
ENROLMENT_SECRET = bytes([3] * 32)
CARD = "P1" + "A" * 104
PIN = "482917"


class Fault(Enum):
    """What happens to a request."""

    NONE = "answered"
    LOSE_REQUEST = "the line is cut before it is booked"
    LOSE_REPLY = "the line is cut after it is booked"
    IGNORE = "not booked, no reply, the line stays"
    BOOK_SILENTLY = "booked, no reply, the line stays"
    NOT_RECORDED = "1811"
    LATE = "booked, answered after 12 s"
    WRONG_REPLY = "answered with a reply of another kind"


class Door(Enum):
    """What happens to a connection."""

    OPEN = "all goes well"
    REFUSED = "nobody listens"
    CUT_AT_ONCE = "closed before frame 1 is answered"
    CUT_AFTER_HANDSHAKE = "closed before Login is taken in"
    CUT_AFTER_LOGIN = "closed when Login is taken in, before it is answered"
    SILENT = "accepted, and nothing more"
    GARBAGE = "something else answers"


class Peer:
    """`faults` and `doors` are used up one per request (not Login, Echo, Logout) and one per connection."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.books = Books()
        self.faults: deque[Fault] = deque()
        self.doors: deque[Door] = deque()
        self.received: list[Request] = []
        self.connections = 0
        self.on_request: Callable[[Request], None] = lambda request: None
        self.idle_s = 120
        self.login_code = 0
        self.enrol_code = 0
        self.remote_keys: list[bytes | None] = []
        self.login_more: dict[str, Any] = {}
        self.enrol_more: dict[str, Any] = {}
        self.server_keys = {1: SERVER_KEY}
        # The terminal's key and its next; None lets any key in.
        self.terminal_key: bytes | None = None
        self.next_terminal_key: bytes | None = None
        self.key_code = 0
        self.change_key = False
        self.notice_at_login: Notice | None = None
        self.services: list[CatalogueItem] = []
        self.catalogue_version = 7
        self._nursery = nursery
        self._writing = trio.Lock()
        self._line: tuple[ServerSession, trio.abc.Stream] | None = None

    def seen(self, *kinds: type[Request]) -> list[Request]:
        """The requests of these kinds, as they came."""
        return [request for request in self.received if isinstance(request, kinds)]

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connections += 1
        door = self.doors.popleft() if self.doors else Door.OPEN
        if door is Door.REFUSED:
            raise OSError("nobody listens")
        near, far = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, far, door)
        return near

    async def say(self, message: Closing | Notice) -> None:
        """Something unasked, on the present line."""
        assert self._line is not None
        session, stream = self._line
        await self._send(session, stream, message)
        if isinstance(message, Closing):
            await stream.aclose()

    async def _serve(self, stream: trio.abc.Stream, door: Door) -> None:
        session = ServerSession(
            keys=self.server_keys,
            ephemeral=KeyPair.from_private(bytes([self.connections % 250 + 4] * 32)),
            enrolment_secret=lambda _: ENROLMENT_SECRET,
        )
        async with stream:
            if door is Door.CUT_AT_ONCE:
                return
            if door is Door.GARBAGE:
                await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(64))
            if door is Door.SILENT:
                await trio.sleep_forever()
            try:
                await self._read(session, stream, door)
            except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
                return

    async def _read(self, session: ServerSession, stream: trio.abc.Stream, door: Door) -> None:
        self._line = (session, stream)
        while data := await stream.receive_some(4096):
            messages = session.receive_data(bytes(data))
            if out := session.data_to_send():
                await stream.send_all(out)
            for message in messages:
                assert isinstance(message, Request)
                if isinstance(message, Login | Enrol):
                    self.remote_keys.append(session.remote_key)
                    if door is Door.CUT_AFTER_HANDSHAKE or not self._lets_in(session.remote_key):
                        return
                    if door is Door.CUT_AFTER_LOGIN:
                        return
                if not await self._handle(session, stream, message):
                    return

    def _lets_in(self, key: bytes | None) -> bool:
        """The first handshake with the next key ends the present one's time."""
        if self.terminal_key is not None and key is not None and key == self.next_terminal_key:
            self.terminal_key, self.next_terminal_key = key, None
        return self.terminal_key in (None, key)

    async def _handle(self, session: ServerSession, stream: trio.abc.Stream, request: Request) -> bool:
        """False when the line is cut."""
        self.received.append(request)
        self.on_request(request)
        fault = Fault.NONE
        if not isinstance(request, Login | Enrol | Echo | Logout) and self.faults:
            fault = self.faults.popleft()
        if fault is Fault.LOSE_REQUEST:
            return False
        if fault is Fault.IGNORE:
            return True
        if fault is Fault.NOT_RECORDED:
            await self._send(session, stream, self.refuse(request, 1811))
            return True
        reply = self.reply_to(request)
        if fault is Fault.LOSE_REPLY:
            return False
        if fault is Fault.BOOK_SILENTLY:
            return True
        if fault is Fault.LATE:
            self._nursery.start_soon(self._late, session, stream, reply)
            return True
        if fault is Fault.WRONG_REPLY:
            reply = EchoReply(**envelope(request))
        await self._send(session, stream, reply)
        if isinstance(request, Login) and self.notice_at_login is not None:
            await self._send(session, stream, self.notice_at_login)
        return not isinstance(request, Logout)

    async def _send(self, session: ServerSession, stream: trio.abc.Stream, message: Message) -> None:
        async with self._writing:
            await stream.send_all(session.send(message))

    async def _late(self, session: ServerSession, stream: trio.abc.Stream, reply: Reply) -> None:
        await trio.sleep(12)
        try:
            await self._send(session, stream, reply)
        except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError):
            return

    @staticmethod
    def refuse(request: Request, code: int) -> Reply:
        kind = message_type_of(type(request).type | 0x80)
        assert kind is not None
        assert issubclass(kind, Reply)
        return kind(**envelope(request, code))

    def reply_to(self, request: Request) -> Reply:
        """Book a request and say so."""
        match request:
            case Login():
                return LoginReply(
                    **envelope(request, self.login_code),
                    session="s",
                    terminal=17,
                    merchant="Blue Car Wash",
                    store="North Gate",
                    catalogue=self.catalogue_version,
                    idle_s=self.idle_s,
                    change_key=self.change_key,
                    **self.login_more,
                )
            case Enrol():
                return EnrolReply(
                    **envelope(request, self.enrol_code),
                    terminal=17,
                    merchant="Blue Car Wash",
                    store="North Gate",
                    next_key=bytes([9] * 32),
                    **self.enrol_more,
                )
            case Logout():
                return LogoutReply(**envelope(request))
            case Echo():
                return EchoReply(**envelope(request))
            case KeyChange():
                if self.key_code == 0:
                    self.next_terminal_key, self.change_key = request.key, False
                return KeyChangeReply(**envelope(request, self.key_code))
            case BalanceInquiry():
                return BalanceInquiryReply(**envelope(request), balance=100, held=0)
            case ConsumptionInquiry():
                return ConsumptionInquiryReply(**envelope(request))
            case Catalogue():
                return self._page(request)
            case _:
                return self.books.answer(request)

    def _page(self, request: Catalogue) -> Reply:
        if request.held == self.catalogue_version:
            return CatalogueReply(**envelope(request), version=self.catalogue_version, unchanged=True)
        rest = [item for item in self.services if request.after is None or item.code > request.after]
        return CatalogueReply(
            **envelope(request), version=self.catalogue_version, services=rest[:2], more=len(rest) > 2
        )


class Entropy:
    """Random bytes of a test: all different, the same in every run, and half of every jitter."""

    def __init__(self, start: int = 0) -> None:
        self._count = start

    def __call__(self, count: int) -> bytes:
        if count == 4:
            return bytes([128, 0, 0, 0])
        self._count += 1
        return self._count.to_bytes(count, "big")


def create_identity() -> TerminalIdentity:
    return TerminalIdentity(
        key=TERMINAL_KEY,
        server_keys=(ServerKey(1, SERVER_KEY.public),),
        host="127.0.0.1",
        port=7171,
        terminal=17,
        merchant="Blue Car Wash",
        store="North Gate",
    )


def create_terminal(
    peer: Peer,
    store: PurchaseStore | Path | None = None,
    *,
    run: int = 0,
    identity: TerminalIdentity | None = None,
    keep_identity: Callable[[TerminalIdentity], None] | None = None,
) -> Terminal:
    """A terminal at the peer; `run` makes the random bytes of a later start differ."""
    if not isinstance(store, PurchaseStore):
        store = PurchaseStore(store)
    return Terminal(
        identity or create_identity(),
        store,
        connect=peer.connect,
        random=Entropy(run * 1000),
        now_ms=lambda: NOW_MS + int(trio.current_time() * 1000) % 1_000_000,
        keep_identity=keep_identity,
    )
