"""`python -m txserver serve`: one sentence and exit code 2 when it cannot start, exit code 0 after a stop."""

import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

from ledger.embedded import SUPERUSER, EmbeddedPostgres
from protocol.messages import Closing, Echo
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books_of_today
from tests.txserver.programs import create_environment, create_secrets, new_key, running
from tests.txserver.server_house import envelope, redeem
from txserver.cli import _serve, main


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books_of_today(database_urls) as opened:
        yield opened


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return create_secrets(tmp_path / "secrets")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[dict[str, str]], str]]:
    """Runs `serve` in this process, for speed; gives the one sentence that it says."""
    before = signal.getsignal(signal.SIGINT), resource.getrlimit(resource.RLIMIT_NOFILE)

    def run(environment: dict[str, str]) -> str:
        assert _serve(environment) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1, said
        return said[0]

    yield run
    signal.signal(signal.SIGINT, before[0])
    resource.setrlimit(resource.RLIMIT_NOFILE, before[1])


Refused = Callable[[dict[str, str]], str]


# ---- what keeps it from starting ----------------------------------------------------------------


def test_bad_settings_are_a_sentence(refused: Refused, secrets: Path, tmp_path: Path) -> None:
    def environment(**changes: str) -> dict[str, str]:
        return create_environment("postgresql://tessera_server@/nowhere", secrets, **changes)

    missing = environment()
    del missing["DATABASE_URL"]
    readable = create_secrets(tmp_path / "readable")
    (readable / "pin.key").chmod(0o640)
    short = create_secrets(tmp_path / "short")
    (short / "card.key").write_text("00ff\n")
    partial = create_secrets(tmp_path / "partial")
    (partial / "server.key").unlink()
    cases = {
        "no database": (missing, "DATABASE_URL is not set"),
        "no address": (environment(DATABASE_URL="tessera"), "DATABASE_URL is not an address"),
        "a bad port": (environment(TESSERA_PORT="http"), "TESSERA_PORT is 'http'"),
        "no workers": (environment(TESSERA_WORKERS="0"), "TESSERA_WORKERS is '0'"),
        "no secrets": (environment(TESSERA_SECRETS=str(tmp_path / "none")), "server-next.key is missing"),
        "a missing secret": (environment(TESSERA_SECRETS=str(partial)), "server.key is missing"),
        "a secret for all": (environment(TESSERA_SECRETS=str(readable)), "chmod 600"),
        "a short secret": (environment(TESSERA_SECRETS=str(short)), "2 bytes instead of 32"),
        "a key that is old at once": (environment(TESSERA_KEY_DAYS="0"), "TESSERA_KEY_DAYS is '0'"),
    }  # fmt: skip
    for case, (given, words) in cases.items():
        assert words in refused(given), case


@pytest.mark.usefixtures("books")
def test_a_port_in_use_is_a_sentence(refused: Refused, database_urls: TestDatabase, secrets: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        def environment(**changes: str) -> dict[str, str]:
            return create_environment(database_urls.server, secrets, **changes)

        cases = {
            "terminals": (environment(TESSERA_PORT=port), f"port {port}: Address already in use"),
            "health": (environment(TESSERA_HEALTH_PORT=port), f"port {port} for health checks: Address"),
            "workers": (environment(TESSERA_PORT=port, TESSERA_WORKERS="2"), f"port {port}: Address already"),
            "host": (environment(TESSERA_HOST="203.0.113.9"), "Cannot listen on 203.0.113.9"),
        }  # fmt: skip
        for case, (given, words) in cases.items():
            assert words in refused(given), case


def test_a_database_that_is_not_fit_is_a_sentence(
    refused: Refused,
    postgres: EmbeddedPostgres,
    database_urls: TestDatabase,
    empty_database_urls: TestDatabase,
    secrets: Path,
) -> None:
    wrong = database_urls.server.replace("tessera_server:", "tessera_server:x", 1)
    with ExitStack() as stack:
        bypassing = stack.enter_context(role(postgres, database_urls, "BYPASSRLS"))
        member = stack.enter_context(role(postgres, database_urls, "IN ROLE postgres"))
        cases = {
            "a wrong password": (wrong, "password authentication failed"),
            "nobody there": ("postgresql://tessera_server@127.0.0.1:1/x", "cannot be reached"),
            "the owner": (database_urls.owner, "'tessera_owner' is too strong"),
            "a superuser": (postgres.url(SUPERUSER, database_urls.name), "'postgres' is too strong"),
            "row level security bypassed": (bypassing, "is too strong"),
            "a member of a superuser": (member, "is too strong"),
            "no tables": (empty_database_urls.server, "no tables yet"),
        }
        for case, (url, words) in cases.items():
            assert words in refused(create_environment(url, secrets)), case


def test_a_newer_schema_is_a_sentence(
    refused: Refused, postgres: EmbeddedPostgres, database_urls: TestDatabase, secrets: Path
) -> None:
    environment = create_environment(database_urls.server, secrets)
    with psycopg.connect(postgres.url(SUPERUSER, database_urls.name), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff'")
        assert "is newer than this program knows" in refused(environment)


@contextmanager
def role(postgres: EmbeddedPostgres, urls: TestDatabase, strength: str) -> Iterator[str]:
    """The address of a role that may log in, with something that it should not have."""
    url = postgres.url(SUPERUSER, urls.name)
    name = f"too_{strength.split(maxsplit=1)[0].lower()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' {strength}".encode())
        try:
            yield f"postgresql://{name}:x@{url.partition('@')[2]}"
        finally:
            connection.execute(f"DROP ROLE {name}".encode())


async def test_as_a_program_it_says_one_sentence_and_ends_with_2(
    database_urls: TestDatabase, secrets: Path, tmp_path: Path
) -> None:
    none = tmp_path / "none"
    for url, folder, workers in (
        (database_urls.server, none, "1"), (database_urls.server, none, "2"),
        (database_urls.owner, secrets, "1"),
    ):  # fmt: skip
        environment = create_environment(url, folder, TESSERA_WORKERS=workers)
        async with running(environment, "serve") as program:
            assert await program.ended() == 2
        assert len(program.lines) == 1, program.lines


@pytest.mark.parametrize("arguments", [(), ("fly",), ("serve", "--workers", "two"), ("serve", "--fast")])
def test_a_command_that_does_not_exist_is_explained(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: python -m txserver")


# ---- starting and stopping ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_after_draining(
    database_urls: TestDatabase, books: Books, secrets: Path, number: signal.Signals
) -> None:
    async with running(create_environment(database_urls.server, secrets), "serve") as program:
        (line,) = await program.said("listening")
        assert line["host"] == "127.0.0.1"
        terminal = await program.terminal(new_key(books))
        holder = books.holder(points=120 * 32)
        messages = [redeem(holder) for _ in range(32)]
        await terminal.send(*messages)
        assert (await terminal.receive()).code == 0
        program.process.send_signal(number)
        replies = await terminal.rest()
        assert replies[-1] == Closing(reason="shutdown")
        await terminal.stream.aclose()
        assert await program.ended() == 0
    assert [reply.code for reply in replies[:-1]] == [0] * (len(replies) - 1)
    ((booked,),) = books.ask("SELECT count(*) FROM transaction WHERE kind = 'redeem'")
    assert booked == len(replies)
    assert '"event": "stopped"' in program.lines[-1]


async def test_impatience_is_no_traceback(database_urls: TestDatabase, books: Books, secrets: Path) -> None:
    environment = create_environment(database_urls.server, secrets, TESSERA_WORKERS="2")
    async with running(environment, "serve") as program:
        await program.said("listening")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            program.process.send_signal(number)
        assert await program.ended() == 0
    assert all(line.startswith("{") for line in program.lines), program.lines


async def test_ctrl_c_while_it_waits_for_the_database_is_no_traceback(secrets: Path) -> None:
    """A database that takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgresql://tessera_server@127.0.0.1:{mute.getsockname()[1]}/tessera"
        async with running(create_environment(url, secrets), "serve") as program:
            connection, _ = await trio.to_thread.run_sync(mute.accept)
            program.process.send_signal(signal.SIGINT)
            assert await program.ended() in (0, -signal.SIGINT, 130)
            connection.close()
    assert program.lines == []


async def test_a_terminal_and_the_health_page_are_served(
    database_urls: TestDatabase, books: Books, secrets: Path
) -> None:
    async with running(create_environment(database_urls.server, secrets), "serve") as program:
        await program.said("listening")
        terminal = await program.terminal(new_key(books))
        assert (await terminal.ask(Echo(**envelope()))).code == 0
        health = program.events("listening")[0]["health_port"]
        stream = await trio.open_tcp_stream("127.0.0.1", health)
        async with stream:
            await stream.send_all(b"GET /health HTTP/1.0\r\n\r\n")
            page = b"".join([data async for data in stream])
        assert page.startswith(b"HTTP/1.0 200 OK")
        await terminal.stream.aclose()
        program.process.terminate()
        assert await program.ended() == 0
