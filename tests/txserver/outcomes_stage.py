"""One server for many scenes, played one after the other, and an eye on the books and on every reply."""

import os
import queue
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import trio

from ledger import organisations
from ledger.embedded import EmbeddedPostgres
from protocol.codes import code_info
from protocol.messages import Enrol, EnrolReply, Login, LoginReply, Reply, Request
from protocol.noise import KeyPair
from protocol.outcomes import OUTCOMES
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.factories import House, create_active_terminal, create_house
from tests.txserver.batching import Executioner
from tests.txserver.scenes import Scene
from tests.txserver.server_house import PATIENCE_S, OpenHouse, RawTerminal, balance, envelope, open_house

Answer = TypeVar("Answer")
Pair: TypeAlias = tuple[type[Request], int]
Play: TypeAlias = Callable[["Stage"], Awaitable[Request]]

REPLIES = "tessera_replies_total{"  # on the metrics page: how often which code answered which message
# What the server logs of a bug of ours, where a terminal is only told to repeat.
BUGS = ("handler_failed", "batch_failed", "posting_failed")

# All that a refusal must leave alone, of one account and one card; and the rows that stand under a request's
# own number, in whatever account.
SEEN = """
SELECT a.posted, a.held,
       ARRAY(SELECT ROW(l.id, l.remaining, l.held, l.expires_on)::text FROM lot l
             WHERE l.account_id = a.id ORDER BY l.id),
       (SELECT count(*) FROM entry e WHERE e.account_id = a.id),
       (SELECT count(*) FROM hold h WHERE h.account_id = a.id),
       ROW(a.status, c.status, c.issue, c.pin_verifier, c.pin_code)::text, c.pin_tries,
       ARRAY(SELECT kind || ' ' || code FROM transaction WHERE terminal_id = :terminal AND txid = :txid
             UNION ALL
             SELECT kind || ' misused ' || code FROM misuse WHERE terminal_id = :terminal AND txid = :txid
             UNION ALL
             SELECT 'batch ' || code FROM terminal_batch WHERE terminal_id = :terminal AND txid = :txid)
FROM account a JOIN card c ON c.account_id = a.id WHERE a.id = :account AND c.id = :card"""


# ---- the server ---------------------------------------------------------------------------------


@dataclass
class Town:
    """A server on a loop in a thread of its own, so that one serves all tests of a module."""

    house: OpenHouse
    postgres: EmbeddedPostgres
    urls: TestDatabase
    token: trio.lowlevel.TrioToken
    leaving: trio.Event = field(default_factory=trio.Event)

    def play(self, act: Callable[..., Awaitable[Answer]], *args: Any) -> Answer:
        """Do it on the server's loop, while the test waits."""
        return trio.from_thread.run(act, *args, trio_token=self.token)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The server is without its database until the block ends."""
        with Executioner.of(self.postgres, self.urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                yield
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")

    async def told(self) -> set[tuple[str, int]]:
        """By the server's own count: which codes have answered which messages since it started."""
        _, page = await self.house.page("/metrics")
        return told_of(page)


def told_of(page: str) -> set[tuple[str, int]]:
    """The same, of a metrics page."""
    lines = [line for line in page.splitlines() if line.startswith(REPLIES)]
    labels = [line.removeprefix(REPLIES).partition("}")[0].split(",") for line in lines]
    pairs = [dict(label.replace('"', "").split("=") for label in each) for each in labels]
    return {(pair["message"], int(pair["code"])) for pair in pairs}


def undeclared(told: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Those that protocol.outcomes does not have."""
    return told - {(message.__name__, code) for message, codes in OUTCOMES.items() for code in codes}


@contextmanager
def open_town(postgres: EmbeddedPostgres, urls: TestDatabase) -> Iterator[Town]:
    """A server until the block ends; then the books must be right, every reply declared, and no bug met."""
    opened: queue.SimpleQueue[Town | None] = queue.SimpleQueue()

    async def serve() -> None:
        async with open_house(urls) as house:
            town = Town(house, postgres, urls, trio.lowlevel.current_trio_token())
            opened.put(town)
            await town.leaving.wait()
            assert undeclared(await town.told()) == set()
            assert [line for event in BUGS for line in house.events(event)] == []

    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(trio.run, serve)
        served.add_done_callback(lambda _: opened.put(None))
        town = opened.get()
        try:
            if town is not None:
                yield town
        finally:
            if town is not None:
                with suppress(trio.RunFinishedError):  # the server has failed: its error is raised below
                    trio.from_thread.run_sync(town.leaving.set, trio_token=town.token)
            served.result()


# ---- the terminal -------------------------------------------------------------------------------


class WatchedTerminal(RawTerminal):
    """A terminal that takes no reply which the protocol does not declare."""

    async def ask(self, message: Request) -> Any:
        reply = await super().ask(message)
        judge(message, reply)
        return reply


async def come_in(
    house: OpenHouse, key: KeyPair, hello: Login | Enrol, enrolment: Enrolment | None = None
) -> WatchedTerminal:
    """A terminal that has said hello and been answered."""
    terminal = await WatchedTerminal._open(await house.connect(), key, hello, enrolment)
    assert isinstance(terminal, WatchedTerminal)
    judge(hello, terminal.welcome)
    return terminal


def judge(message: Request, reply: Any) -> None:
    """Every reply has its request's id, the type that belongs to it, a declared code and that code's text."""
    name = type(message).__name__
    assert isinstance(reply, Reply), f"{name} was answered with {reply}"
    assert type(reply).__name__ == f"{name}Reply", f"{name} was answered with {reply}"
    assert reply.type == message.type | 0x80
    assert reply.id == message.id
    assert reply.code in OUTCOMES[type(message)], f"undeclared: {name} was answered with {reply.code}"
    assert reply.text == code_info(reply.code).text


# ---- the stage ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """An account and a card as they are; `card` is all of it but the wrong tries. `rows` are a request's."""

    posted: int
    held: int
    lots: list[str]
    entries: int
    holds: int
    card: str
    tries: int
    rows: list[str]


@dataclass(kw_only=True)
class Stage(Scene):
    """A new member with a card, at a new terminal of a new store.

    `account_known` is False when the message that is to be sent names no account of this database.
    """

    key: KeyPair
    shop: House
    store: int
    enrolment: Enrolment | None = None
    account_known: bool = True

    @property
    def number(self) -> int:
        """The terminal's id, also of one that has only enrolled."""
        assert isinstance(self.terminal.welcome, LoginReply | EnrolReply)
        return self.terminal.welcome.terminal

    async def ask(self, message: Request) -> Any:
        """The reply; a hello is said on a connection of its own, from where the terminal then goes on."""
        if isinstance(message, Login | Enrol):
            self.terminal = await come_in(self.house, self.key, message, self.enrolment)
            return self.terminal.welcome
        return await self.terminal.ask(message)

    async def until_served(self) -> None:
        """Return when the server has its database again: it learns of a lost connection when it posts."""
        with trio.fail_after(PATIENCE_S):
            while (await self.ask(balance(self.holder))).code == 1811:
                pass

    async def move(self, shop: House | None = None) -> None:
        """Go on at a new terminal in a new store, of the same merchant unless another shop is named."""
        self.shop = shop or self.shop
        self.key, self.store = new_terminal(self.house, self.shop)
        self.terminal = await come_in(self.house, self.key, hello())

    async def leave_for_another_merchant(self) -> None:
        """Go on at a terminal of a new merchant, who sells the same services."""
        await self.move(self.house.books.change(lambda connection: create_house(connection)))

    def seen(self, message: Request) -> Seen:
        """The member's account and card, and kind and code of each row under the message's number."""
        told = {"account": self.holder.account.id, "card": self.holder.card.id, "terminal": self.number}
        (row,) = self.house.books.ask(SEEN, **told, txid=UUID(bytes=message.id))
        return Seen(*row)


def hello() -> Login:
    return Login(**envelope(), software="raw", last_stan=0)


def new_terminal(house: OpenHouse, shop: House) -> tuple[KeyPair, int]:
    """The key of a new terminal, and the new store of that shop in which it stands."""
    key = KeyPair.from_private(os.urandom(32))

    def furnish(connection: Any) -> int:
        code = f"S{key.public.hex()[:12]}"
        store = organisations.create_child(
            connection, parent=shop.merchant, kind="store", code=code, name=code
        )
        create_active_terminal(connection, store, public_key=key.public)
        return store

    return key, house.books.change(furnish)


@asynccontextmanager
async def staged(town: Town, **fields: Any) -> AsyncIterator[Stage]:
    """A stage with a member of whom `fields` say more; its connections are closed when the block ends."""
    house = town.house
    shop = house.books.house
    key, store = new_terminal(house, shop)
    holder = house.books.holder(**fields)
    try:
        terminal = await come_in(house, key, hello())
        yield Stage(house=house, holder=holder, terminal=terminal, key=key, shop=shop, store=store)
    finally:
        for stream in house.streams:
            await trio.aclose_forcefully(stream)
        house.streams.clear()
