import os
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from admin.cli import UNFIT, main
from tests.admin.program import DEADLINE_S, ROOT, Environment, serving
from tests.conftest import TestDatabase


@pytest.fixture
def environment(database_urls: TestDatabase, secrets: Path) -> Environment:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_urls.site,
        "TESSERA_SECRETS": str(secrets),
        "TESSERA_SITE_PORT": "0",
    }


def fetch(address: str) -> tuple[int, str]:
    with urllib.request.urlopen(address, timeout=DEADLINE_S) as answer:
        return answer.status, answer.read().decode()


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[[Environment], str]:
    """What the program says when it refuses to start; in this process, for speed."""

    def run(environment: Environment) -> str:
        assert main(["serve"], environment) == UNFIT
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    return run


Refusal = Callable[[Environment], str]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_the_site_serves_until_it_is_told_to_stop(environment: Environment, way: signal.Signals) -> None:
    with serving(environment) as (program, address):
        assert fetch(f"{address}/health") == (200, '{"status":"ok"}\n')
        status, page = fetch(f"{address}/login")
        assert (status, "<h1>Log in</h1>" in page) == (200, True)
        workers = children(program.pid)
        assert len(workers) == 1
        program.send_signal(way)
        _, said = program.communicate(timeout=DEADLINE_S)
        assert program.returncode == 0
        assert said == ""
        assert not Path(f"/proc/{workers[0]}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_the_worker_ends_with_its_parent_however_that_ends(environment: Environment) -> None:
    with serving(environment) as (program, address):
        fetch(f"{address}/health")
        (worker,) = children(program.pid)
        watched = os.pidfd_open(worker)
        program.kill()
        program.wait(DEADLINE_S)
        try:
            signal.pidfd_send_signal(watched, 0)  # still there: wait for its end
            assert select.select([watched], [], [], DEADLINE_S)[0]
        except ProcessLookupError:
            pass
        finally:
            os.close(watched)


def test_as_a_program_it_says_one_sentence_and_ends_with_2(environment: Environment) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "admin", "serve"],
        cwd=ROOT,
        env=environment | {"DATABASE_URL": ""},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (ended.returncode, ended.stdout) == (UNFIT, "")
    assert ended.stderr.startswith("DATABASE_URL is not set")
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use(environment: Environment, refusal: Refusal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refusal(environment | {"TESSERA_SITE_PORT": str(port)})
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in said
    assert "TESSERA_SITE_PORT" in said


def test_two_sites_never_share_a_port(environment: Environment, refusal: Refusal) -> None:
    with serving(environment) as (_program, address):
        assert "cannot listen" in refusal(environment | {"TESSERA_SITE_PORT": address.rpartition(":")[2]})


def test_a_role_that_is_too_strong(
    environment: Environment, refusal: Refusal, database_urls: TestDatabase
) -> None:
    said = refusal(environment | {"DATABASE_URL": database_urls.owner})
    assert "tessera_owner" in said
    assert "too strong" in said
    assert said.count("\n") == 1


def test_a_database_that_is_not_there(environment: Environment, refusal: Refusal) -> None:
    said = refusal(environment | {"DATABASE_URL": "postgresql://tessera_site@127.0.0.1:1/tessera"})
    assert "cannot be reached" in said


def test_a_database_without_tables(
    environment: Environment, refusal: Refusal, empty_database_urls: TestDatabase
) -> None:
    assert "no tables yet" in refusal(environment | {"DATABASE_URL": empty_database_urls.site})


def test_secrets_that_are_not_there(environment: Environment, refusal: Refusal, tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(environment | {"TESSERA_SECRETS": str(tmp_path)})


def test_an_address_that_is_not_ours(environment: Environment, refusal: Refusal) -> None:
    assert "cannot listen on 192.0.2.1" in refusal(environment | {"TESSERA_SITE_HOST": "192.0.2.1"})
    assert "cannot listen on no.such" in refusal(environment | {"TESSERA_SITE_HOST": "no.such"})
