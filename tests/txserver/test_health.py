"""The health port: what it says, when the database is away, and that no caller of it hurts."""

import json
import socket
from collections.abc import Iterator

import pytest
import trio
from prometheus_client import CollectorRegistry

from ledger.database import Database
from ledger.embedded import EmbeddedPostgres
from tests.conftest import TestDatabase
from tests.txserver.batching import Executioner
from tests.txserver.server_house import OpenHouse, open_house
from txserver.health import serve_health
from txserver.listener import PortTaken

PATIENCE_S = 20


@pytest.fixture
def database(database_urls: TestDatabase) -> Iterator[Database]:
    made = Database(database_urls.server, pool_size=2)
    yield made
    made.close()


async def status(house: OpenHouse) -> tuple[int, str]:
    code, page = await house.page("/health")
    text = json.loads(page)["status"]
    assert isinstance(text, str)
    return code, text


async def test_a_database_that_is_away_is_a_sentence_and_a_503(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as house:
        assert await status(house) == (200, "ok")
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("ALTER ROLE tessera_server NOLOGIN")
            try:
                executioner.strike()
                code, sentence = await status(house)
                assert code == 503
                assert sentence.startswith("The database cannot be reached: ")
                assert sentence.endswith("Check DATABASE_URL and that PostgreSQL is running.")
            finally:
                executioner.ask_nothing("ALTER ROLE tessera_server LOGIN")
        assert await status(house) == (200, "ok")


async def test_a_database_that_is_not_fit_any_more_is_a_sentence(
    postgres: EmbeddedPostgres, database_urls: TestDatabase
) -> None:
    async with open_house(database_urls) as house:
        with Executioner.of(postgres, database_urls) as executioner:
            executioner.ask_nothing("UPDATE alembic_version SET version_num = 'ffff'")
        code, sentence = await status(house)
        assert code == 503
        assert "newer than this program knows" in sentence


async def test_other_pages_are_not_there(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        for path in ("/", "/health/", "/../etc/passwd", "/metricsx"):
            assert (await house.page(path))[0] == 404


async def test_many_who_ask_at_once_are_all_answered(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        answers: list[tuple[int, str]] = []

        async def ask() -> None:
            answers.append(await status(house))

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(ask)
        assert answers == [(200, "ok")] * 30


async def test_who_connects_and_says_nothing_holds_up_nobody(
    database_urls: TestDatabase, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("txserver.health._Silent.timeout", 0.5)
    async with open_house(database_urls) as house:
        address = ("127.0.0.1", house.server.health_port)
        with socket.create_connection(address) as silent, socket.create_connection(address) as rude:
            rude.sendall(b"GET /health HTTP/1.1\r\n")
            assert await status(house) == (200, "ok")
            silent.settimeout(PATIENCE_S)
            assert await trio.to_thread.run_sync(silent.recv, 10) == b""
    assert "Traceback" not in capfd.readouterr().err


async def test_a_stop_waits_for_no_caller(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        silent = socket.create_connection(("127.0.0.1", house.server.health_port))
        while (await status(house))[0] != 200:
            pass
        began = trio.current_time()
    assert trio.current_time() - began < 4
    silent.close()


async def test_nonsense_is_no_traceback(
    database_urls: TestDatabase, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_house(database_urls) as house:
        for nonsense in (
            b"\x16\x03\x01\x02\x00\x01\n",
            b"GET\r\n\r\n",
            b"A" * 70_000 + b"\r\n\r\n",
            b"\0\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", house.server.health_port)) as caller:
                caller.settimeout(PATIENCE_S)
                caller.sendall(nonsense)
                caller.shutdown(socket.SHUT_WR)
                with caller.makefile("rb") as answer:
                    try:
                        await trio.to_thread.run_sync(answer.read)
                    except ConnectionResetError:
                        continue
        assert await status(house) == (200, "ok")
    assert "Traceback" not in capfd.readouterr().err


async def test_a_port_in_use_is_named_with_the_way_out(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for wrong, said in ((port, "Address already in use"), (70_000, "port 70000")):
            with (
                pytest.raises(
                    PortTaken, match=rf"port {wrong} for health checks: .*TESSERA_HEALTH_PORT"
                ) as caught,
                serve_health(
                    "127.0.0.1",
                    wrong,
                    registry=CollectorRegistry(),
                    database=database,
                    token=trio.lowlevel.current_trio_token(),
                ),
            ):
                pass
            assert said in str(caught.value)
