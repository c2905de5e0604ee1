"""The whole house: what `scripts/run` says when it cannot start, and the proof of `--check`."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.database import Database, DatabaseUnfit, Scope
from ledger.keyring import KeyringError
from scripts.children import HouseFailed, free_ports
from scripts.demonstration_record import (
    Card,
    Demonstration,
    Login,
    read_demonstration,
    write_demonstration,
)
from scripts.opening import Plan, opened, reachable
from scripts.proof import check_debit
from scripts.welcome import welcome
from tests.conftest import TestDatabase
from tests.factories import create_house

ROOT = Path(__file__).resolve().parents[2]
OURS = ("TESSERA_", "DATABASE_")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def run_house(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.house", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**clean_environment(), **environment},
    )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of one's own that root's database can reach too, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="tessera-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path / "var"


def create_settings(**changes: str) -> dict[str, str]:
    names = ("TESSERA_PORT", "TESSERA_HEALTH_PORT", "TESSERA_SITE_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(3), strict=True)}
    return {**clean_environment(), **ports, **changes}


def external(urls: TestDatabase, **changes: str) -> dict[str, str]:
    return create_settings(
        DATABASE_URL=urls.server, DATABASE_SITE_URL=urls.site, DATABASE_OWNER_URL=urls.owner, **changes
    )


def open_and_close(folder: Path, settings: dict[str, str]) -> str:
    """What the house printed when it was open."""
    with opened(Plan.from_environment(settings, folder), settings) as house:
        return welcome(house)


def create_demonstration() -> Demonstration:
    login = Login(who="operator's staff", name="operator", password="a password")
    card = Card(member="Lin", payload="P1AAAA", pin="135790", service="WASH")
    return Demonstration(logins=[login], cards=[card], enrolment="00" * 16)


def test_the_proof_is_one_line_of_json_also_when_nobody_hears_its_progress() -> None:
    command = f'"{sys.executable}" -m scripts.house --check <&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT, env=clean_environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
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
    for damaged in ("{}", "\xff", path.read_text().replace("00" * 16, "no hex")):
        path.write_bytes(damaged.encode("latin-1"))
        assert read_demonstration(path) is None


def test_a_house_opens_again_with_its_keys_and_a_code_that_is_not_used_up(folder: Path) -> None:
    """The device that has enrolled is told first to spend; the code is for another."""
    secrets = folder / "keys"
    settings = create_settings(TESSERA_SECRETS=str(secrets), TESSERA_HEALTH_HOST="127.0.0.2")
    with opened(Plan.from_environment(settings, folder), settings) as house:
        first = welcome(house)
        assert check_debit(house)["debit"] == "approved"
    assert "pos enrol TSRE1" in first
    assert "pos shop --world var/shop.json" in first
    assert f"http://127.0.0.2:{settings['TESSERA_HEALTH_PORT']}/health" in first
    assert (secrets / "card.key").exists()
    assert not (folder / "secrets").exists()

    (folder / "terminal").rename(folder / "pos")  # the device of the proof becomes the emulator's
    with opened(Plan.from_environment(settings, folder), settings) as house:
        second = welcome(house)
        assert check_debit(house)["debit"] == "approved"  # with the new code, as another device
        assert second == welcome(house)
    code = first.partition("pos enrol ")[2].split()[0]
    assert code not in second
    assert second.index("pos redeem") < second.index("pos enrol TSRE1")
    assert second.rstrip().endswith("Ctrl-C stops everything.")
    assert "--device var/pos-2\n" in second

    keys = sorted(path.name for path in secrets.iterdir())
    (secrets / "card.key").unlink()
    with pytest.raises(KeyringError, match=r"card\.key is missing\. Restore it from its backup"):
        open_and_close(folder, settings)
    assert sorted(path.name for path in secrets.iterdir()) == [name for name in keys if name != "card.key"]


def test_keys_are_not_made_for_a_populated_database_of_ones_own(
    folder: Path, database_urls: TestDatabase
) -> None:
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as connection:
        create_house(connection)
    database.close()
    with pytest.raises(KeyringError, match="Restore it from its backup"):
        open_and_close(folder, external(database_urls))
    assert not (folder / "secrets").exists()


def test_keys_are_made_for_an_empty_database_of_ones_own(folder: Path, database_urls: TestDatabase) -> None:
    assert "Tessera is open." in open_and_close(folder, external(database_urls))
    assert (folder / "secrets" / "card.key").exists()


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_SITE_URL", "DATABASE_OWNER_URL"])
@pytest.mark.parametrize("text", ["nonsense", "postgresql://[", "postgresql://h:port/d", "mysql://a@b/c"])
def test_an_address_that_is_none_is_one_sentence(
    folder: Path, database_urls: TestDatabase, name: str, text: str
) -> None:
    with pytest.raises(DatabaseUnfit, match=rf"^{name}: The (address of the )?database .*"):
        open_and_close(folder, {**external(database_urls), name: text})


@pytest.mark.parametrize("name", ["var", "var/log", "var/secrets"])
def test_a_folder_that_cannot_be_used_is_named_with_its_own_cause(folder: Path, name: str) -> None:
    place = folder.parent / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(folder.parent / "gone")
    with pytest.raises(HouseFailed, match=rf"{name} is a link to .*gone, which does not exist"):
        open_and_close(folder, create_settings())
    place.unlink()
    place.write_text("")
    with pytest.raises(HouseFailed, match=f"{name} is not a folder"):
        open_and_close(folder, create_settings())


@pytest.mark.parametrize(
    "names", [("TESSERA_PORT", "TESSERA_SITE_PORT"), ("TESSERA_HEALTH_PORT", "TESSERA_PORT")]
)
def test_equal_ports_are_told_before_anything_starts(folder: Path, names: tuple[str, str]) -> None:
    (port,) = free_ports(1)
    with pytest.raises(HouseFailed, match=f"are both {port}: give each a port of its own"):
        open_and_close(folder, create_settings(**dict.fromkeys(names, str(port))))
    assert not folder.exists()


def test_a_stdout_that_is_closed_is_one_sentence() -> None:
    assert_stopped(f'"{sys.executable}" -m scripts.house --check >&-', "closed")


def test_a_stdout_that_takes_nothing_is_one_sentence() -> None:
    """The line of the proof is what cannot be written: without the house before it, for speed."""
    program = "import os, sys; from scripts import house; house._check = lambda _: house._print('{}') or 0;"
    command = f'"{sys.executable}" -c "{program} sys.exit(house.main([\'--check\'], os.environ))" >/dev/full'
    assert_stopped(command, "No space left")


def assert_stopped(command: str, cause: str) -> None:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert cause in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("Tessera stopped: ")
    assert "Traceback" not in done.stderr
