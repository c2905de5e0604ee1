"""The whole house: what `scripts/run` says when it cannot start, and the proof of `--check`."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.children import HouseFailed
from scripts.demonstration_record import (
    Card,
    Demonstration,
    Login,
    read_demonstration,
    write_demonstration,
)
from scripts.opening import Plan, reachable

ROOT = Path(__file__).resolve().parents[2]


def run_house(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TESSERA_", "DATABASE_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "scripts.house", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**kept, **environment},
    )  # fmt: skip


def create_demonstration() -> Demonstration:
    login = Login(who="operator's staff", name="operator", password="a password")
    card = Card(member="Lin", payload="P1AAAA", pin="135790", service="WASH")
    return Demonstration(logins=[login], cards=[card], enrolment="00" * 16)


def test_the_proof_is_one_line_of_json() -> None:
    done = run_house("--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    found = json.loads(done.stdout)
    assert found["debit"] == "approved"
    assert found["repeat"] == "recorded"
    assert found["points"] > 0
    assert found["balance_after"] == found["balance_before"] - found["points"]
    assert found["site"] == 200


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_house(TESSERA_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert done.stderr.startswith("Tessera stopped: the transaction server cannot listen on 127.0.0.1:")
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "７１７１"])
def test_a_port_that_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(HouseFailed, match="give a port number from 1 to 65535"):
        Plan.from_environment({"TESSERA_PORT": text}, ROOT)


def test_an_empty_environment_gives_the_embedded_database_on_this_machine_only() -> None:
    plan = Plan.from_environment({}, ROOT)
    assert (plan.server_url, plan.host, plan.site_host) == (None, "127.0.0.1", "127.0.0.1")
    assert (plan.site_port, plan.port, plan.health_port) == (7170, 7171, 7172)
    assert plan.durable


def test_a_plan_does_not_show_passwords() -> None:
    plan = Plan.from_environment({"DATABASE_URL": "postgresql://a:secret@b/c"}, ROOT)
    assert plan.site_url == plan.server_url == "postgresql://a:secret@b/c"
    assert "secret" not in repr(plan)


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")]
)
def test_a_program_on_all_addresses_is_reached_at_this_machine(host: str, address: str) -> None:
    assert reachable(host) == address


def test_the_demonstration_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "demonstration.json"
    assert read_demonstration(path) is None
    write_demonstration(path, create_demonstration())
    write_demonstration(path, create_demonstration())
    assert read_demonstration(path) == create_demonstration()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{}")
    assert read_demonstration(path) is None
