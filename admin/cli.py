"""The command line: `python -m admin serve`, and `jobs`, which does long work in the background."""

import argparse
import sys
from collections.abc import Mapping, Sequence

from admin.jobs import work
from admin.serving import listening, serve
from admin.settings import Settings, SettingsError
from ledger.database import Database, DatabaseUnfit
from ledger.keyring import Keyring, KeyringError

__all__ = ["UNFIT", "main"]

UNFIT = 2  # exit code when the site cannot start as it is set up


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command; returns the exit code. What is wrong with the set-up is one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m admin", description="Tessera's site.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the site until Ctrl-C; settings come from the environment")
    commands.add_parser("jobs", help="do long work in the background until Ctrl-C")
    working = parser.parse_args(arguments).command == "jobs"
    try:
        settings = Settings.from_environment(environment)
        settings = settings if working else listening(settings)
        keyring = Keyring.load(settings.secrets)
        database = Database(settings.database_url, pool_size=2)
        try:
            database.check("tessera_site")
        except DatabaseUnfit:
            database.close()
            raise
    except (SettingsError, KeyringError, DatabaseUnfit) as error:
        print(error, file=sys.stderr)
        return UNFIT
    try:
        if working:
            print("Ready for work.", file=sys.stderr, flush=True)
            return work(database, keyring)
    finally:
        database.close()  # the site's worker makes its own; no connection may cross into another process
    return serve(settings)
