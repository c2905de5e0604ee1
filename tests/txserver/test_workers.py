"""Several processes on one port: they share the work and the truth, and live and die as one."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from ledger import terminals
from ledger.embedded import EmbeddedPostgres
from ledger.keyring import rotate
from protocol.messages import Closing, Echo, LoginReply
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books_of_today
from tests.factories import Holder
from tests.txserver.batching import Executioner
from tests.txserver.programs import Program, create_environment, create_secrets, new_key, running
from tests.txserver.server_house import RawTerminal, envelope, redeem
from txserver.listener import PortTaken
from txserver.settings import Settings
from txserver.workers import with_free_port


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books_of_today(database_urls) as opened:
        yield opened


@pytest.fixture
def environment(database_urls: TestDatabase, books: Books, tmp_path: Path) -> dict[str, str]:
    return create_environment(database_urls.server, create_secrets(tmp_path / "secrets"), TESSERA_WORKERS="2")


async def worker_of(program: Program, terminal: RawTerminal) -> int:
    """Which worker served a terminal: it says so when the terminal has gone."""
    before = len(program.events("connection_closed"))
    await terminal.stream.aclose()
    worker = (await program.said("connection_closed", before + 1))[before]["worker"]
    assert isinstance(worker, int)
    return worker


async def spend(terminal: RawTerminal, holders: list[Holder], codes: Counter[int]) -> None:
    """A debit of each, and its repeat."""
    for holder in holders:
        message = redeem(holder)
        first = await terminal.ask(message)
        again = await terminal.ask(message)
        assert (again.code, again.recorded) == (first.code, True)
        codes[first.code] += 1


async def test_both_serve_one_port_and_keep_one_truth(environment: dict[str, str], books: Books) -> None:
    async with running(environment, "serve") as program:
        lines = await program.said("listening", 2)
        assert {line["worker"] for line in lines} == {0, 1}
        assert len({line["port"] for line in lines}) == 1
        assert len({line["health_port"] for line in lines}) == 2
        shared, own = books.holder(points=120 * 30), books.holder(points=120 * 16)
        codes: Counter[int] = Counter()
        terminals = [await program.terminal(new_key(books)) for _ in range(16)]
        async with trio.open_nursery() as nursery:
            for terminal in terminals:
                nursery.start_soon(spend, terminal, [shared, own, shared, shared], codes)
        assert codes == {0: 30 + 16, 1016: 18}
        assert (books.posted(shared), books.posted(own)) == (0, 0)
        assert {await worker_of(program, terminal) for terminal in terminals} == {0, 1}

        # One terminal, one debit: each worker answers its repeat from the same record.
        key, message = new_key(books), redeem(books.holder())
        seen: set[int] = set()
        recorded: list[bool] = []
        while len(seen) < 2:
            terminal = await program.terminal(key)
            reply = await terminal.ask(message)
            assert reply.code == 0
            recorded.append(reply.recorded)
            seen.add(await worker_of(program, terminal))
        assert recorded == [False] + [True] * (len(recorded) - 1)

        terminals = [await program.terminal(new_key(books)) for _ in range(8)]
        program.process.send_signal(signal.SIGINT)
        for terminal in terminals:
            assert await terminal.rest() == [Closing(reason="shutdown")]
            await terminal.stream.aclose()
        assert await program.ended() == 0
        assert {line["worker"] for line in program.events("stopped")} == {0, 1}


async def test_a_worker_that_is_killed_comes_back_as_soon_as_it_can(
    environment: dict[str, str], books: Books, postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    """At first it cannot, for the database is away; that must not take the other one with it."""
    async with running(environment, "serve") as program:
        await program.said("listening", 2)
        victim, survivor = program.workers()
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                os.kill(victim, signal.SIGKILL)
                lines = await program.said("worker_died", 2)
                assert [line["exit_code"] for line in lines] == [-signal.SIGKILL, 2]
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        # Who connects now reaches the one that lives, unless the other one is back.
        terminal = await program.terminal(new_key(books))
        assert (await terminal.ask(Echo(**envelope()))).code == 0
        lines = await program.said("listening", 3)
        assert len({line["port"] for line in lines}) == 1
        assert survivor in program.workers()
        assert len(program.workers()) == 2
        assert (await terminal.ask(redeem(books.holder()))).code == 0
        await terminal.stream.aclose()
        program.process.terminate()
        assert await program.ended() == 0


async def test_a_revoked_terminal_is_closed_within_a_second_in_every_worker(
    environment: dict[str, str], books: Books
) -> None:
    async with running(environment, "serve") as program:
        await program.said("listening", 2)
        terminals_open = [await program.terminal(new_key(books)) for _ in range(12)]
        witness = terminals_open.pop()
        slowest = 0.0
        for terminal in terminals_open:
            assert isinstance(terminal.welcome, LoginReply)
            began = trio.current_time()
            number = terminal.welcome.terminal
            books.change(lambda connection, number=number: terminals.revoke(connection, number))  # type: ignore[misc]
            assert await terminal.rest() == [Closing(reason="revoked")]
            slowest = max(slowest, trio.current_time() - began)
        assert slowest < 1
        assert (await witness.ask(Echo(**envelope()))).code == 0
        assert {await worker_of(program, terminal) for terminal in terminals_open} == {0, 1}
        assert await worker_of(program, witness) in (0, 1)
        program.process.terminate()
        assert await program.ended() == 0


async def test_keys_that_are_rotated_reach_every_worker(
    environment: dict[str, str], books: Books, postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    """Within the time between two looks; at once when a worker hears the database again, as here."""
    async with running(environment, "serve") as program:
        await program.said("listening", 2)
        terminals_open = [await program.terminal(new_key(books)) for _ in range(8)]
        rotated = rotate(Path(environment["TESSERA_SECRETS"]), os.urandom)
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.strike()
        newest = KeyPair.from_private(rotated.server_keys[3]).public
        for terminal in terminals_open:
            notice = await terminal.notice()
            assert (notice.next_key, notice.next_key_id) == (newest, 3)
            await terminal.stream.aclose()
        assert {line["worker"] for line in await program.said("server_keys_changed", 2)} == {0, 1}


async def test_without_their_parent_the_workers_end(environment: dict[str, str], books: Books) -> None:
    async with running(environment, "serve") as program:
        await program.said("listening", 2)
        terminal = await program.terminal(new_key(books))
        program.process.kill()
        assert await terminal.rest() == [Closing(reason="shutdown")]
        await terminal.stream.aclose()
        assert await program.ended() == -signal.SIGKILL  # also of what it started: its log is closed by all
        assert len(program.events("stopped")) == 2
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", program.port)


async def test_a_worker_that_cannot_start_stops_all(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = taken.getsockname()[1]
        async with running({**environment, "TESSERA_HEALTH_PORT": str(second - 1)}, "serve") as program:
            assert await program.ended() == 2
    sentences = [line for line in program.lines if not line.startswith("{")]
    assert sentences == [line for line in sentences if f"port {second} for health checks" in line]
    assert len(sentences) == 1


def test_a_free_port_is_free_and_a_taken_one_is_not() -> None:
    settings = Settings(database_url="postgresql://x", secrets=Path("x"), port=0)
    found = with_free_port(settings).port
    assert (
        with_free_port(Settings(database_url="postgresql://x", secrets=Path("x"), port=found)).port == found
    )
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            with_free_port(Settings(database_url="postgresql://x", secrets=Path("x"), port=port))
