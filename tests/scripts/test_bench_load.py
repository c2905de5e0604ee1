"""The bench's load: its cipher against libsodium's, and its two loops against a real server."""

import io
import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
import trio
from nacl import bindings

from protocol.limits import REKEY_INTERVAL
from protocol.messages import Echo, Redeem
from protocol.noise import KeyPair
from scripts import bench_terminals
from scripts.bare_terminal import BareTerminal, Transport, envelope
from scripts.bench_load import Plan, packed_plan
from scripts.bench_terminals import (
    Answers,
    BenchFailed,
    Served,
    Terminals,
    compiled_loop,
    plan_for,
    read_answers,
)
from tests.conftest import TestDatabase
from tests.factories import PIN, create_keyring
from tests.txserver.server_house import OpenHouse, open_house, payload

BOOKED = "SELECT txid FROM transaction WHERE kind = 'redeem' AND code = 0"
POINTS = 10**7
PRICE = 120  # of a wash, in tests.factories


@pytest.fixture
def program() -> Path:
    made = compiled_loop()
    if made is None:
        pytest.skip("there is no C compiler that makes scripts/bench_load.c")
    return made


@pytest.fixture(params=["c", "python"])
def loop(request: pytest.FixtureRequest) -> Path | None:
    """The program of the loop; None for the one in Python."""
    if request.param == "python":
        return None
    made: Path = request.getfixturevalue("program")
    return made


def test_the_cipher_does_the_vectors_of_the_rfc(program: Path) -> None:
    assert subprocess.run([str(program), "--selftest"], check=False).returncode == 0


def test_what_the_cipher_seals_is_what_libsodium_seals(program: Path) -> None:
    for length in (0, 1, 16, 192, 447, 448, 449, 960, 961, 4032):
        key, nonce, plaintext = os.urandom(32), bytes(4) + os.urandom(8), os.urandom(length)
        sealed = subprocess.run(
            [str(program), "--seal"], input=key + nonce + plaintext, capture_output=True, check=True
        ).stdout
        wanted = bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, b"", nonce, key)
        assert sealed == wanted, f"{length} bytes"


async def test_each_debit_of_a_load_is_booked_once(database_urls: TestDatabase, loop: Path | None) -> None:
    async with open_house(database_urls) as house:
        served, answers = await _debit(house, loop, terminals=2, seconds=60, most=30)
        booked = [row[0].bytes for row in house.books.ask(BOOKED)]
    assert served.load == ("c" if loop else "python")
    assert answers.others == {}
    assert answers.debits == 30
    assert sorted(answers.txids) == sorted(booked)
    assert len(set(booked)) == len(booked)
    assert 0 < min(answers.latencies_us) <= max(answers.latencies_us) <= answers.elapsed_s * 1e6
    assert answers.cpu_s > 0


async def test_the_compiled_loop_changes_its_keys_when_the_server_does(
    database_urls: TestDatabase, program: Path
) -> None:
    async with open_house(database_urls) as house:
        server = KeyPair.from_private(create_keyring().server_keys[1]).public
        bare = await BareTerminal.open(
            "127.0.0.1", house.server.port, server_key=server, server_key_id=1, key=house.new_key()
        )
        for _ in range(REKEY_INTERVAL - 5):
            await bare.ask(Echo(**envelope()))
        message = Redeem(
            **envelope(), credential=payload(house.books.holder(points=POINTS)), pin=PIN, service="wash"
        )
        state, number = bare.transport(), bare.stream.socket.fileno()
        plan = packed_plan([(number, state, (0, 1))], [message], at_once=1)
        answers = await trio.to_thread.run_sync(_run_alone, program, plan, number)
        booked = [row[0].bytes for row in house.books.ask(BOOKED)]
        await trio.aclose_forcefully(bare.stream)
    assert state.sending_counter < REKEY_INTERVAL < state.sending_counter + 20
    assert sorted(answers.txids) == sorted(booked)
    assert len(booked) == 20


def _run_alone(program: Path, plan: bytes, number: int) -> Answers:
    """The compiled loop on one socket, for 20 debits."""
    with tempfile.TemporaryFile() as file:
        file.write(plan)
        file.seek(0)
        done = subprocess.run(
            [str(program), str(file.fileno())],
            input=b"60 0 20\n",
            stdout=subprocess.PIPE,
            pass_fds=(file.fileno(), number),
            check=True,
        )
    return read_answers(io.BytesIO(done.stdout).read)


async def test_a_load_with_a_rate_debits_that_often_and_no_sooner(
    database_urls: TestDatabase, loop: Path | None
) -> None:
    async with open_house(database_urls) as house:
        _, answers = await _debit(house, loop, terminals=3, seconds=60, rate=200, most=40)
        booked = [row[0].bytes for row in house.books.ask(BOOKED)]
    assert sorted(answers.txids) == sorted(booked)
    assert len(booked) == 40
    # The last one was due 39 periods after the first.
    assert max(answers.ends_us) >= 39 * 1_000_000 // 200


async def test_more_terminals_than_requests_in_flight_take_turns(
    database_urls: TestDatabase, loop: Path | None
) -> None:
    async with open_house(database_urls) as house:
        await _debit(house, loop, terminals=4, seconds=60, most=12, at_once=1)
        used = house.books.ask(
            "SELECT terminal_id, count(*) FROM transaction WHERE kind = 'redeem' GROUP BY terminal_id"
        )
    assert [count for _, count in used] == [3, 3, 3, 3]


async def test_codes_that_are_no_approval_are_counted_and_not_acknowledged(
    database_urls: TestDatabase, loop: Path | None
) -> None:
    async with open_house(database_urls) as house:
        _, answers = await _debit(house, loop, terminals=1, seconds=60, most=5, points=3 * PRICE)
    assert answers.debits == 3
    assert answers.others == {1016: 2}


async def test_a_server_that_goes_ends_the_load_with_a_sentence(
    database_urls: TestDatabase, loop: Path | None, capfd: pytest.CaptureFixture[str]
) -> None:
    async with open_house(database_urls) as house:
        with Terminals(_plan(house, loop, terminals=1)) as load:
            await trio.to_thread.run_sync(load.connect)
            house.server.stop()
            await house.closed(1)
            with pytest.raises(BenchFailed):
                await trio.to_thread.run_sync(partial(load.run, 60, most=5))
    said = capfd.readouterr().err
    assert said.startswith("The load of the bench ends: ")
    assert said.count("\n") == 1


def test_without_a_compiler_there_is_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert compiled_loop.__wrapped__() is None


def test_a_compiler_that_fails_leaves_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/false")
    monkeypatch.setattr(bench_terminals, "ROOT", tmp_path)
    assert compiled_loop.__wrapped__() is None
    assert list((tmp_path / "var" / "bench").iterdir()) == []


def test_a_plan_holds_each_socket_and_each_message() -> None:
    message = Redeem(**envelope(), credential="card", pin=PIN, service="wash")
    state = Transport(bytes(32), 5, bytes(range(32)), 7)
    plan = packed_plan([(3, state, (0, 1)), (4, state, (0, 1))], [message], at_once=2)
    assert plan[:16] == b"".join(n.to_bytes(4, "little") for n in (2, 1, 2, REKEY_INTERVAL))
    socket = 3 * 4 + 2 * 40
    length, place = (int.from_bytes(plan[at : at + 4], "little") for at in (16 + 2 * socket, 20 + 2 * socket))
    plaintext = plan[24 + 2 * socket :]
    assert len(plaintext) == length
    assert UUID(bytes=plaintext[place : place + 16]) == UUID(bytes=message.id)


async def _debit(
    house: OpenHouse,
    loop: Path | None,
    *,
    terminals: int,
    seconds: float,
    most: int,
    rate: float = 0.0,
    at_once: int = 0,
    points: int = POINTS,
) -> tuple[Served, Answers]:
    plan = _plan(house, loop, terminals=terminals, at_once=at_once, points=points)
    with Terminals(plan) as load:
        served = await trio.to_thread.run_sync(load.connect)
        return served, await trio.to_thread.run_sync(partial(load.run, seconds, rate=rate, most=most))


def _plan(
    house: OpenHouse, loop: Path | None, *, terminals: int, at_once: int = 0, points: int = POINTS
) -> Plan:
    cards = [[payload(house.books.holder(points=points)), PIN] for _ in range(terminals)]
    keys = [house.new_key().private.hex() for _ in range(terminals)]
    return plan_for(
        create_keyring(),
        house.server.port,
        keys,
        service="wash",
        cards=cards,
        at_once=at_once,
        program=loop,
    )
