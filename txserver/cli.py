"""The command line: `python -m txserver serve` runs the server, `python -m txserver pos` is a terminal.

The one place of this package that reads the process's environment, clock and randomness.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import trio

from ledger.database import DatabaseAway, DatabaseUnfit
from ledger.keyring import Keyring, KeyringError
from txserver.line import allow_many_sockets
from txserver.listener import PortTaken
from txserver.logs import make_log
from txserver.server import serve
from txserver.settings import Settings, SettingsError
from txserver.workers import UNFIT, WORKER, supervise, with_free_port

__all__ = ["main"]


class SystemEdge:
    """The machine's own clock and randomness. What is booked goes by the database's clock."""

    books_now: Callable[[], datetime] | None = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m txserver", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="run the transaction server")
    server.add_argument(
        "--workers", type=int, help="processes on the same port (default: TESSERA_WORKERS or 1)"
    )
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["pos"]:
        # Imported only now: a server needs neither a screen nor a scanner in its memory.
        from txserver import pos

        pos.add_arguments(commands)
        return pos.main(parser.parse_args(given), os.environ)
    commands.add_parser("pos", help="an emulated POS terminal")
    chosen = parser.parse_args(given)
    environment = dict(os.environ)
    if chosen.workers is not None:
        environment["TESSERA_WORKERS"] = str(chosen.workers)
    return _serve(environment)


def _serve(environment: Mapping[str, str]) -> int:
    """0 after a clean stop, 2 with one sentence when it cannot start."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the server listens for it there is nothing to finish: Ctrl-C ends us, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        settings = Settings.from_environment(environment)
        reload = partial(Keyring.load, settings.secrets)
        keyring = reload()
        worker = int(environment[WORKER]) if WORKER in environment else None
        log = make_log() if worker is None else make_log(worker=worker)
        allow_many_sockets()
        if settings.workers > 1 and worker is None:
            return trio.run(supervise, with_free_port(settings), environment, log)

        async def run() -> None:
            await serve(settings, keyring, SystemEdge(), log, worker=worker, reload=reload)

        _calm_collector()
        trio.run(run)
    except (SettingsError, KeyringError, DatabaseUnfit, DatabaseAway, PortTaken) as error:
        return _cannot(str(error))
    return 0


def _cannot(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return UNFIT


def _calm_collector() -> None:
    """Look for cycles seldom, and never in what is there from the start.

    Debits make none, and a look at the objects of ten thousand sessions keeps everybody waiting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
