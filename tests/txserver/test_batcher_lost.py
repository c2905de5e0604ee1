"""The database goes away in the middle: nothing acknowledged is lost, nothing is doubled."""

import random
from collections.abc import Iterator

import pytest
import trio

from ledger.embedded import EmbeddedPostgres
from ledger.postings import Outcome, Redeem
from protocol.messages import Echo
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import create_redeem
from tests.txserver.batching import POSTING, Executioner, held, running_batcher
from tests.txserver.server_house import RawTerminal, envelope, open_house, redeem


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


async def test_a_connection_ended_while_a_batch_waits(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    slow, other = books.holder(), books.holder()
    requests = [create_redeem(books.house, holder) for holder in (slow, other)]
    outcomes: list[Outcome | None] = []
    async with running_batcher(database_urls) as bench:
        with Executioner.of(postgres, database_urls) as executioner, held(books, slow):
            async with trio.open_nursery() as nursery:

                async def post() -> None:
                    outcomes.extend(await bench.post_all(requests))

                nursery.start_soon(post)
                await executioner.until_waiting()
                executioner.strike()
        assert outcomes == [None, None]
        assert len(bench.events("database_lost")) == 1
        again = await bench.post_all(requests)
        assert [outcome and (outcome.code, outcome.recorded) for outcome in again] == [(0, False)] * 2
        assert len(bench.events("database_connected")) == 2
    assert (books.posted(slow), books.posted(other)) == (880, 880)


async def test_a_connection_ended_while_nothing_happens(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books
) -> None:
    first, second = (create_redeem(books.house, books.holder()) for _ in range(2))
    async with running_batcher(database_urls) as bench:
        assert await bench.try_post(first) is not None
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.strike()
            while executioner.ask("SELECT 1 FROM pg_stat_activity WHERE " + POSTING):
                pass
        outcome = await bench.try_post(second)
        assert outcome is not None
        assert outcome.code == 0
        assert len(bench.events("database_lost")) == 1


async def test_while_the_database_is_away_everyone_is_told_at_once(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [create_redeem(books.house, books.holder()) for _ in range(3)]
    async with running_batcher(database_urls) as bench:
        with Executioner.of(postgres, database_urls) as executioner:
            assert await bench.try_post(requests[0]) is not None
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                began = trio.current_time()
                for _ in range(20):
                    assert await bench.post_all(requests[1:]) == [None, None]
                assert trio.current_time() - began < 5
                tried = bench.events("database_unreachable")
                assert 1 <= len(tried) <= 1 + 2 * (trio.current_time() - began + 1)
                assert "not permitted to log in" in tried[0]["error"]
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        monkeypatch.setattr(bench.batcher._lanes[0], "_connect_not_before", 0.0)
        assert all(outcome and outcome.code == 0 for outcome in await bench.post_all(requests[1:]))


async def test_connections_ended_at_any_moment_lose_and_double_nothing(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 who spend, and one who ends the connection after a number of answers that nobody foresees."""
    monkeypatch.setattr("txserver.lane.RECONNECT_SECONDS", 0.0)
    dice = random.Random(20_261_122)
    holders = [books.holder(points=120 * 1_000) for _ in range(5)]
    acknowledged: list[Redeem] = []
    unsure = 0
    async with running_batcher(database_urls, lanes=2) as bench:
        with Executioner.of(postgres, database_urls) as executioner:
            async with trio.open_nursery() as nursery:

                async def spend(number: int) -> None:
                    nonlocal unsure
                    while True:
                        request = create_redeem(books.house, holders[number % len(holders)])
                        while (outcome := await bench.try_post(request)) is None:
                            unsure += 1
                        assert outcome.code == 0
                        acknowledged.append(request)

                for number in range(16):
                    nursery.start_soon(spend, number)
                for _ in range(25):
                    enough = len(acknowledged) + dice.randrange(40)
                    while len(acknowledged) < enough:
                        await trio.lowlevel.checkpoint()
                    for _ in range(dice.randrange(8)):
                        await trio.lowlevel.checkpoint()
                    executioner.strike()
                nursery.cancel_scope.cancel()
        assert unsure > 0
    rows = books.ask(
        "SELECT txid, count(*) FROM transaction WHERE kind = 'redeem' AND code = 0 GROUP BY txid"
    )
    assert {count for _, count in rows} == {1}
    assert {request.txid for request in acknowledged} <= {txid for txid, _ in rows}
    assert sum(books.posted(holder) for holder in holders) == 120 * (5_000 - len(rows))


# ---- seen by a terminal -------------------------------------------------------------------------


async def test_a_terminal_is_told_to_repeat_and_the_repeat_is_right(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as house:
        holder = house.books.holder()
        terminal = await house.terminal()
        message = redeem(holder)
        with Executioner.of(postgres, database_urls) as executioner, held(house.books, holder):
            await terminal.send(message)
            await executioner.until_waiting()
            executioner.strike()
            told = await terminal.receive()
            assert (told.id, told.code, told.recorded) == (message.id, 1811, False)
        again = await terminal.ask(message)
        assert (again.code, again.points, again.balance) == (0, 120, 880)
        assert house.books.posted(holder) == 880


async def test_terminals_live_through_a_database_that_comes_and_goes(
    postgres: EmbeddedPostgres, database_urls: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txserver.lane.RECONNECT_SECONDS", 0.0)
    dice = random.Random(7)
    async with open_house(database_urls) as house:
        holder = house.books.holder(points=120 * 2_000)
        acknowledged: list[bytes] = []
        with Executioner.of(postgres, database_urls) as executioner:
            async with trio.open_nursery() as nursery:

                async def spend(terminal: RawTerminal) -> None:
                    for _ in range(25):
                        message = redeem(holder)
                        while (reply := await terminal.ask(message)).code == 1811:
                            assert (await terminal.ask(Echo(**envelope()))).code == 0
                        assert reply.code == 0
                        acknowledged.append(message.id)

                for _ in range(6):
                    nursery.start_soon(spend, await house.terminal())
                while len(acknowledged) < 6 * 25:
                    seen = len(acknowledged) + dice.randrange(1, 12)
                    while len(acknowledged) < min(seen, 6 * 25):
                        await trio.lowlevel.checkpoint()
                    executioner.strike()
        assert house.books.posted(holder) == 120 * (2_000 - 6 * 25)
        rows = house.books.ask("SELECT txid FROM transaction WHERE kind = 'redeem' AND code = 0")
        assert sorted(txid.bytes for (txid,) in rows) == sorted(acknowledged)
