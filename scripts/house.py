"""The whole house: database, transaction server and site, until Ctrl-C.

    python -m scripts.house            data in var/, kept
    python -m scripts.house --check    throw-away data on free ports, one debit and its repeat

`scripts/run` sets up and then becomes this. A DATABASE_URL names a PostgreSQL that someone else runs,
as the role tessera_server; then DATABASE_SITE_URL is the same database as tessera_site, and
DATABASE_OWNER_URL, the role that owns the tables, is needed for migrating only. Without it the embedded
PostgreSQL runs in var/postgresql.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ledger.database import DatabaseUnfit
from ledger.embedded import EmbeddedPostgresError
from ledger.keyring import KeyringError
from scripts.children import HouseFailed
from scripts.opening import Plan, opened, say
from scripts.proof import prove
from scripts.welcome import welcome

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
_WATCH_SECONDS = 0.2
_EXPECTED = (HouseFailed, EmbeddedPostgresError, DatabaseUnfit, KeyringError)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM, raised once, wherever the house is; later ones find it stopping already."""


def _run(environment: Mapping[str, str]) -> int:
    with opened(Plan.from_environment(environment, ROOT / "var"), environment) as house:
        _print(welcome(house))
        while True:
            house.require_running()
            time.sleep(_WATCH_SECONDS)


def _check(environment: Mapping[str, str]) -> int:
    # The real settings of this machine must not leak into the throw-away house.
    ours = ("TESSERA_", "DATABASE_")
    clean = {name: value for name, value in environment.items() if not name.startswith(ours)}
    with tempfile.TemporaryDirectory(prefix="tessera-check-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's database runs as another account, which must be able to pass
        with opened(Plan.throw_away(folder), clean) as house:
            line = prove(house)
        _print(line)
    return 0


def _print(text: str) -> None:
    """Say on stdout what was asked for. HouseFailed when nobody can hear it."""
    try:
        print(text, flush=True)
    except OSError as error:
        # What is left in the buffer would be tried again at the end, with a second complaint.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise HouseFailed(f"cannot write to standard output: {error.strerror}") from error


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: say("Stopping already; one moment …"))
    raise Stopped


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """0 after Ctrl-C or a good check; 1, with one sentence on stderr, when something does not work."""
    parser = argparse.ArgumentParser(prog="./scripts/run", description="Run everything until Ctrl-C.")
    parser.add_argument("--check", action="store_true", help="throw-away data, one debit and its repeat")
    options = parser.parse_args(arguments)
    if sys.stdout is None:
        say("Tessera stopped: standard output is closed, and logins and addresses are printed there")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    try:
        return _check(environment) if options.check else _run(environment)
    except Stopped:
        say("Stopped.")
        return 1 if options.check else 0
    except _EXPECTED as error:
        say(f"Tessera stopped: {error}")
        return 1
    except OSError as error:  # a full disk, a folder for temporary files that is not there
        say(f"Tessera stopped: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
