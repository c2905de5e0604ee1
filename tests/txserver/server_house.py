"""A real server on a real socket and a real database, and a raw terminal that can also misbehave."""

import http.client
import io
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from ledger.database import Scope
from ledger.keyring import Keyring
from protocol.credentials import CardToken, seal
from protocol.messages import (
    BalanceInquiry,
    Capture,
    ConsumptionInquiry,
    Enrol,
    Hold,
    Login,
    Message,
    Notice,
    PinChange,
    Redeem,
    Refund,
    Release,
    Reply,
    Request,
    ReversalAdvice,
    TransactionStatus,
)
from protocol.noise import KeyPair
from protocol.session import Enrolment, TerminalSession
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import NOW, PIN, Holder, create_active_terminal, create_keyring
from txserver.context import millis
from txserver.logs import make_log
from txserver.server import Server, serve
from txserver.settings import Settings

AnyReply = TypeVar("AnyReply", bound=Reply)

PATIENCE_S = 20  # of a test that waits for something that must happen


class Edge:
    """A clock that stands still, until somebody moves its hands."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def books_now(self) -> datetime:
        return self.at

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)


@dataclass
class OpenHouse:
    """A running server with its books, its log and the terminals that know it."""

    server: Server
    books: Books
    log: io.StringIO
    edge: Edge
    streams: list[trio.SocketStream] = field(default_factory=list)

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]

    def reasons(self) -> list[str]:
        """Why connections closed, in order."""
        return [line["reason"] for line in self.events("connection_closed")]

    async def closed(self, count: int) -> list[str]:
        """The reasons, once `count` connections have closed."""
        with trio.fail_after(PATIENCE_S):
            while len(self.reasons()) < count:
                await trio.lowlevel.checkpoint()
        return self.reasons()

    async def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the health port."""

        def get() -> tuple[int, str]:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.health_port, timeout=PATIENCE_S)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read().decode()
            finally:
                connection.close()

        return await trio.to_thread.run_sync(get)

    async def metric(self, name: str) -> float:
        """One number of the metrics page, by its name and labels."""
        _, page = await self.page("/metrics")
        numbers = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return float(numbers[name])

    async def connect(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        self.streams.append(stream)
        return stream

    async def terminal(self, key: KeyPair | None = None, **fields: Any) -> "RawTerminal":
        """A logged-in terminal; with a key of its own unless one is given."""
        if key is None:
            key = self.new_key()
        return await RawTerminal.login(await self.connect(), key, **fields)

    def new_key(self) -> KeyPair:
        """The key of a new terminal of the house's store."""
        key = KeyPair.from_private(os.urandom(32))
        with self.books.database.transaction(Scope.everything()) as connection:
            create_active_terminal(connection, self.books.house.store, public_key=key.public)
        return key


@asynccontextmanager
async def open_house(urls: TestDatabase, **changes: Any) -> AsyncIterator[OpenHouse]:
    """A server until the block ends; then it drains, and the books must be right."""
    with opened_books(urls) as books:
        async with open_server(urls, books, **changes) as house:
            yield house


@asynccontextmanager
async def open_server(
    urls: TestDatabase, books: Books, *, reload: Callable[[], Keyring] | None = None, **changes: Any
) -> AsyncIterator[OpenHouse]:
    """One more server on the same books. It does not sweep unless `sweep_s` says so."""
    log, edge = io.StringIO(), Edge()
    settings = replace(
        Settings(database_url=urls.server, secrets=Path("unused"), port=0, health_port=0, sweep_s=3_600),
        **changes,
    )
    run = partial(serve, settings, create_keyring(), edge, make_log(log), reload=reload)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(run)
        house = OpenHouse(server, books, log, edge)
        try:
            yield house
        finally:
            server.stop()
            for stream in house.streams:
                await trio.aclose_forcefully(stream)


class RawTerminal:
    """A terminal without rules: it sends what it is told, byte by byte if need be."""

    def __init__(self, stream: trio.SocketStream, session: TerminalSession) -> None:
        self.stream = stream
        self.session = session
        self.notices: list[Notice] = []
        self._waiting: list[Message] = []

    @classmethod
    async def login(cls, stream: trio.SocketStream, key: KeyPair, **fields: Any) -> "RawTerminal":
        hello = Login(**envelope(), software="raw", last_stan=0)
        return await cls._open(stream, key, hello, None, **fields)

    @classmethod
    async def enrol(cls, stream: trio.SocketStream, key: KeyPair, enrolment: Enrolment) -> "RawTerminal":
        hello = Enrol(**envelope(), model="raw", software="raw")
        return await cls._open(stream, key, hello, enrolment)

    @classmethod
    async def _open(
        cls,
        stream: trio.SocketStream,
        key: KeyPair,
        hello: Login | Enrol,
        enrolment: Enrolment | None,
        server_key_id: int = 1,
    ) -> "RawTerminal":
        server = KeyPair.from_private(create_keyring().server_keys[server_key_id])
        session = TerminalSession(
            static=key,
            ephemeral=KeyPair.from_private(os.urandom(32)),
            server_key=server.public,
            server_key_id=server_key_id,
            hello=hello,
            enrolment=enrolment,
        )
        terminal = cls(stream, session)
        await stream.send_all(session.start())
        terminal.welcome = await terminal.receive()
        return terminal

    welcome: Message

    async def receive(self) -> Any:
        """The next message. Raises EOFError when the server has closed."""
        with trio.fail_after(PATIENCE_S):
            while not self._waiting:
                data = await self.stream.receive_some(65_536)
                if not data:
                    raise EOFError
                self._waiting += self.session.receive_data(bytes(data))
                pending = self.session.data_to_send()
                if pending:
                    await self.stream.send_all(pending)
        return self._waiting.pop(0)

    async def rest(self) -> list[Any]:
        """Every message until the server closes."""
        received = []
        try:
            while True:
                received.append(await self.receive())
        except EOFError:
            return received

    async def send(self, *messages: Message) -> None:
        await self.stream.send_all(b"".join(self.session.send(message) for message in messages))

    async def ask(self, message: Request) -> Any:
        """The reply; notices that come before it are kept."""
        await self.send(message)
        while isinstance(reply := await self.receive(), Notice):
            self.notices.append(reply)
        assert isinstance(reply, Reply)
        assert reply.id == message.id
        return reply

    async def notice(self) -> Notice:
        """The next notice, kept or still to come."""
        if self.notices:
            return self.notices.pop(0)
        notice = await self.receive()
        assert isinstance(notice, Notice)
        return notice


def envelope(**fields: Any) -> dict[str, Any]:
    """The fields of a request that tests seldom care for."""
    return {"id": os.urandom(16), "stan": 1, "batch": 1, "at": millis(NOW)} | fields


def payload(holder: Holder, *, issue: int = 1, chip: bytes | None = None) -> str:
    """What the holder's card says."""
    token = CardToken(slot=holder.card.slot, account=holder.card.account_id, card=holder.card.id, issue=issue)
    return seal(token, key_id=1, key=create_keyring().card_keys[1], nonce=os.urandom(24), chip=chip)


def redeem(holder: Holder, service: str = "wash", *, pin: str | None = PIN, **fields: Any) -> Redeem:
    """A redemption message."""
    given = {**envelope(), "credential": payload(holder), "service": service, "pin": pin} | fields
    return Redeem(**given)


def hold(holder: Holder, service: str = "wash", *, pin: str | None = PIN, **fields: Any) -> Hold:
    """A message that reserves points."""
    given = {**envelope(), "credential": payload(holder), "service": service, "pin": pin} | fields
    return Hold(**given)


def capture(holder: Holder, held: bytes, amount: int, **fields: Any) -> Capture:
    """A message that takes held points."""
    given = {**envelope(), "credential": payload(holder), "hold": held, "amount": amount} | fields
    return Capture(**given)


def release(holder: Holder, held: bytes, **fields: Any) -> Release:
    """A message that gives held points back."""
    given = {**envelope(), "credential": payload(holder), "hold": held} | fields
    return Release(**given)


def refund(holder: Holder, original: bytes, amount: int | None = None, **fields: Any) -> Refund:
    """A message that gives spent points back."""
    given = {**envelope(), "credential": payload(holder), "original": original, "amount": amount} | fields
    return Refund(**given)


def pin_change(holder: Holder, new_pin: str, *, pin: str | None = PIN, **fields: Any) -> PinChange:
    """A message that sets a PIN, on the word of the present one unless `reset_code` is given."""
    given = {**envelope(), "credential": payload(holder), "new_pin": new_pin, "pin": pin} | fields
    return PinChange(**given)


def reversal(holder: Holder, original: bytes, **fields: Any) -> ReversalAdvice:
    """A message that undoes a purchase."""
    given = {**envelope(), "credential": payload(holder), "original": original, "reason": "timeout"} | fields
    return ReversalAdvice(**given)


def status(holder: Holder, original: bytes, **fields: Any) -> TransactionStatus:
    """The question what became of a request; it does not fence unless told to."""
    given = {**envelope(), "credential": payload(holder), "original": original} | fields
    return TransactionStatus(**given)


def balance(holder: Holder, *, pin: str | None = PIN, **fields: Any) -> BalanceInquiry:
    """The question what can be spent, with the PIN unless told otherwise."""
    given = {**envelope(), "credential": payload(holder), "pin": pin} | fields
    return BalanceInquiry(**given)


def consumption(holder: Holder, *, pin: str | None = PIN, **fields: Any) -> ConsumptionInquiry:
    """The question what happened on the account."""
    given = {**envelope(), "credential": payload(holder), "pin": pin} | fields
    return ConsumptionInquiry(**given)
