"""What an operator runs by hand or from cron: `python -m ledger keys`, `migrate` and `invariants`.

The one place of this package that reads the environment.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ledger.audit import INVARIANTS, breaches
from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope, migrate
from ledger.keyring import Keyring, KeyringError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """0: done, and all holds. 1: an invariant is broken. 2: no usable database, or a setting is missing."""
    parser = argparse.ArgumentParser(prog="python -m ledger", description="Keep the books' database.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the schema up to date (DATABASE_OWNER_URL)")
    commands.add_parser("invariants", help="check that the books are right (DATABASE_URL)")
    commands.add_parser("keys", help="make the key files, once (TESSERA_SECRETS)")
    command = parser.parse_args(arguments).command
    given = os.environ if environment is None else environment
    if command == "keys":
        return _keys(Path(given.get("TESSERA_SECRETS") or "var/secrets"))
    name = "DATABASE_OWNER_URL" if command == "migrate" else "DATABASE_URL"
    url = given.get(name)
    if not url:
        print(f"{name} is not set: postgresql://role:password@host/name", file=sys.stderr)
        return 2
    try:
        return _migrate(url) if command == "migrate" else _invariants(url)
    except (DatabaseUnfit, DatabaseAway) as error:
        print(error, file=sys.stderr)
        return 2


def _keys(folder: Path) -> int:
    """Make all keys in a folder that has none. Those that exist are never touched: old cards need them."""
    try:
        fresh = not any(folder.glob("*.key"))
        if fresh:
            Keyring.create(folder, os.urandom)
        Keyring.load(folder)
    except KeyringError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"Made the keys in {folder}: back them up, apart from the database."
        if fresh
        else "All keys are there."
    )
    return 0


def _migrate(url: str) -> int:
    migrate(url)
    print("The schema is up to date.")
    return 0


def _invariants(url: str) -> int:
    database = Database(url)
    try:
        database.check()
        with database.transaction(Scope.everything()) as connection:
            broken = breaches(connection)
    finally:
        database.close()
    for breach in broken:
        print(f"BROKEN: {breach.invariant}")
        for row in breach.rows:
            print(f"  {row}")
    print(f"{len(INVARIANTS) - len(broken)} of {len(INVARIANTS)} invariants hold.")
    return 1 if broken else 0
