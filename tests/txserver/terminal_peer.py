"""The other end of a terminal, scripted: a real ServerSession over memory streams, and a book of three sets.

What it does to each connection and to each request is a list of faults that the test writes down.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TypedDict

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
    Login,
    LoginReply,
    Logout,
    LogoutReply,
    Message,
    Redeem,
    RedeemReply,
    Reply,
    Request,
    ReversalAdvice,
    ReversalAdviceReply,
    TransactionStatus,
    TransactionStatusReply,
)
from protocol.noise import KeyPair
from protocol.session import ServerSession
from txserver.terminal import Terminal
from txserver.terminal_identity import ServerKey, TerminalIdentity
from txserver.terminal_store import PurchaseStore

NOW_MS = 1_800_000_000_000
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
    CUT_AFTER_HANDSHAKE = "closed before Login is answered"
    SILENT = "accepted, and nothing more"
    GARBAGE = "something else answers"


@dataclass
class Books:
    """What the server has recorded, by the server rules: once, and never after a tombstone."""

    charged: set[bytes] = field(default_factory=set)
    undone: set[bytes] = field(default_factory=set)
    times: int = 0
    approve: bool = True

    def redeem(self, request: Redeem) -> tuple[int, bool]:
        """(code, recorded)"""
        if request.id in self.charged:
            return 0, True
        if request.id in self.undone:
            return 3009, False
        if not self.approve:
            return 1016, False
        self.times += 1
        self.charged.add(request.id)
        return 0, False

    def owed(self) -> set[bytes]:
        """The purchases that cost the member something."""
        return self.charged - self.undone


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

    async def say(self, message: Closing) -> None:
        """Something unasked, on the present line."""
        assert self._line is not None
        session, stream = self._line
        await self._send(session, stream, message)
        await stream.aclose()

    async def _serve(self, stream: trio.abc.Stream, door: Door) -> None:
        session = ServerSession(
            keys={1: SERVER_KEY},
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
                    if door is Door.CUT_AFTER_HANDSHAKE:
                        return
                if not await self._handle(session, stream, message):
                    return

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
        kinds: dict[type[Request], type[Reply]] = {
            Redeem: RedeemReply,
            ReversalAdvice: ReversalAdviceReply,
            TransactionStatus: TransactionStatusReply,
            BalanceInquiry: BalanceInquiryReply,
            ConsumptionInquiry: ConsumptionInquiryReply,
        }
        return kinds[type(request)](**envelope(request, code))

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
                )
            case Enrol():
                return EnrolReply(
                    **envelope(request, self.enrol_code),
                    terminal=17,
                    merchant="Blue Car Wash",
                    store="North Gate",
                    next_key=bytes([9] * 32),
                )
            case Logout():
                return LogoutReply(**envelope(request))
            case Echo():
                return EchoReply(**envelope(request))
            case Redeem():
                code, recorded = self.books.redeem(request)
                points = 30 if code == 0 else 0
                approval = "A1B2C3" if code == 0 else None
                return RedeemReply(
                    **envelope(request, code), recorded=recorded, approval=approval, points=points, balance=70
                )
            case ReversalAdvice():
                self.books.undone.add(request.original)
                return ReversalAdviceReply(**envelope(request), outcome="reversed", points=30, balance=100)
            case TransactionStatus():
                return self._status(request)
            case BalanceInquiry():
                return BalanceInquiryReply(**envelope(request), balance=100, held=0)
            case ConsumptionInquiry():
                return ConsumptionInquiryReply(**envelope(request))
            case Catalogue():
                return self._page(request)
            case _:
                raise AssertionError(request)

    def _status(self, request: TransactionStatus) -> Reply:
        if request.original in self.books.charged:
            return TransactionStatusReply(
                **envelope(request),
                original_code=0,
                approval="A1B2C3",
                points=30,
                balance=70,
                reversed=request.original in self.books.undone,
            )
        if request.fence:
            self.books.undone.add(request.original)
        return TransactionStatusReply(**envelope(request, 3010))

    def _page(self, request: Catalogue) -> Reply:
        if request.held == self.catalogue_version:
            return CatalogueReply(**envelope(request), version=self.catalogue_version, unchanged=True)
        rest = [item for item in self.services if request.after is None or item.code > request.after]
        return CatalogueReply(
            **envelope(request), version=self.catalogue_version, services=rest[:2], more=len(rest) > 2
        )


class ReplyEnvelope(TypedDict):
    """The common fields of a reply."""

    id: bytes
    code: int
    text: str
    server_at: int
    business_date: str


def envelope(request: Request, code: int = 0) -> ReplyEnvelope:
    return ReplyEnvelope(
        id=request.id,
        code=code,
        text="Approved" if code == 0 else "Refused",
        server_at=NOW_MS,
        business_date="2027-01-15",
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


def create_terminal(peer: Peer, store: PurchaseStore | Path | None = None, *, run: int = 0) -> Terminal:
    """A terminal at the peer; `run` makes the random bytes of a later start differ."""
    if not isinstance(store, PurchaseStore):
        store = PurchaseStore(store)
    return Terminal(
        create_identity(),
        store,
        connect=peer.connect,
        random=Entropy(run * 1000),
        now_ms=lambda: NOW_MS + int(trio.current_time() * 1000) % 1_000_000,
    )
