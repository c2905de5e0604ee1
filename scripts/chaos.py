"""Kill what can be killed while terminals spend, and count: what was acknowledged is there, once, for ever.

    .venv/bin/python -m scripts.chaos [--seconds 60] [--terminals 16] [--seed N]

A durable PostgreSQL in a throw-away folder, the server as a process, terminals that spend, hold, capture,
release, refund and reverse, and repeat each request under its id until they get an answer. Meanwhile, in
turn: kill -9 of PostgreSQL, kill -9 of the server, the end of all its database connections. Prints one JSON
object; exit code 1 when anything was lost or doubled.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg
import trio

from ledger.audit import breaches
from ledger.database import Database, Scope, migrate
from ledger.embedded import OWNER, SERVER, SITE, SUPERUSER, EmbeddedPostgres
from ledger.keyring import Keyring
from protocol.noise import KeyPair
from scripts.bench_world import make_world
from scripts.chaos_load import Aim, Tally, spend_all
from scripts.children import free_ports
from scripts.server_process import server_environment, start_server

__all__ = ["Found", "chaos", "main"]

PROGRESS_SECONDS = 60  # within which debits go through again after each blow
BETWEEN = 200  # debits, at most, between two blows: sometimes none, sometimes a stream
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tessera_server'"
BOOKED = "SELECT txid FROM transaction WHERE terminal_id <> 0 AND code = 0"
SPENT = "SELECT (SELECT sum(granted) FROM lot) - (SELECT sum(posted) FROM account)"


@dataclass(frozen=True)
class Found:
    """What was done and what came of it. `unasked`: booked, though no terminal learned it. None, ever."""

    database_kills: int
    server_kills: int
    cuts: int
    acknowledged: int
    repeats: int
    lost: int
    doubled: int
    unasked: int
    refused: int
    broken: list[str]

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.unasked or self.refused or self.broken)


@dataclass
class _Victims:
    """What is killed and started again."""

    postgres: EmbeddedPostgres
    environment: dict[str, str]
    log: Path
    server: "subprocess.Popen[bytes] | None" = None
    blows: dict[str, int] = field(default_factory=lambda: {"database": 0, "server": 0, "cut": 0})

    def start_server(self) -> None:
        self.server = start_server(self.environment, self.log)

    def stop_server(self, number: signal.Signals) -> None:
        if self.server is not None:
            self.server.send_signal(number)
            self.server.wait(60)

    def strike(self, what: str) -> None:
        self.blows[what] += 1
        if what == "database":
            assert self.postgres.pid is not None
            os.kill(self.postgres.pid, signal.SIGKILL)
            self.postgres.stop()
            self.postgres.start()
        elif what == "server":
            self.stop_server(signal.SIGKILL)
            self.start_server()
        else:
            with psycopg.connect(self.postgres.url(SUPERUSER), autocommit=True) as connection:
                connection.execute(CUT)

    def revive(self) -> None:
        """A server that was started while the database was away has said so and ended."""
        if self.server is not None and self.server.poll() is not None:
            self.start_server()


def chaos(folder: Path, *, seconds: float, terminals: int, seed: int) -> Found:
    """Everything once, then for so many seconds. `folder` must be enterable by the database's account."""
    dice = random.Random(seed)  # noqa: S311 - chance for a test, not a secret
    keyring = Keyring.create(folder / "secrets", os.urandom)
    number = keyring.current_key_id
    with EmbeddedPostgres(folder / "postgresql") as postgres:
        migrate(postgres.url(OWNER))
        database = Database(postgres.url(SITE))
        world = make_world(database, keyring, terminals=terminals, idle=0, holders=50)
        database.close()
        port, health = free_ports(2)
        victims = _Victims(
            postgres,
            server_environment(postgres.url(SERVER), folder / "secrets", port=port, health_port=health),
            folder / "server.log",
        )
        aim = Aim(port, KeyPair.from_private(keyring.server_keys[number]).public, number, world.cards)
        tally = Tally()
        load = threading.Thread(target=trio.run, args=(spend_all, aim, world.keys, tally), daemon=True)
        victims.start_server()
        try:
            load.start()
            _strike_all(victims, tally, dice, time.monotonic() + seconds)
            tally.enough.set()
            load.join(PROGRESS_SECONDS)
            victims.stop_server(signal.SIGTERM)
        finally:
            with contextlib.suppress(ProcessLookupError):
                victims.stop_server(signal.SIGKILL)
        return _judge(postgres, tally, victims.blows)


def _strike_all(victims: _Victims, tally: Tally, dice: random.Random, until: float) -> None:
    turn = ["database", "server", "cut"]
    while True:
        for what in dice.sample(turn, len(turn)):
            _await(victims, tally, len(tally.acknowledged) + dice.randrange(1, BETWEEN))
            victims.strike(what)
        _await(victims, tally, len(tally.acknowledged) + 1)
        if time.monotonic() > until:
            return


def _await(victims: _Victims, tally: Tally, acknowledged: int) -> None:
    """Return when so many debits were acknowledged."""
    give_up = time.monotonic() + PROGRESS_SECONDS
    while len(tally.acknowledged) < acknowledged:
        if time.monotonic() > give_up or tally.refused:
            raise SystemExit(
                f"debits do not go through (refused: {tally.refused}); see {victims.log}\n"
                f"{victims.log.read_text()[-2000:]}"
            )
        victims.revive()
        time.sleep(0.001)


def _judge(postgres: EmbeddedPostgres, tally: Tally, blows: dict[str, int]) -> Found:
    with psycopg.connect(postgres.url(SERVER)) as connection:
        booked = [row[0].bytes for row in connection.execute(BOOKED)]
        (spent,) = connection.execute(SPENT).fetchone() or (0,)
    database = Database(postgres.url(SITE))
    with database.transaction(Scope.everything()) as site:
        broken = [breach.invariant for breach in breaches(site)]
    database.close()
    if spent != tally.spent:
        broken.append(f"{spent} points were spent, and the terminals know of {tally.spent}")
    return Found(
        database_kills=blows["database"],
        server_kills=blows["server"],
        cuts=blows["cut"],
        acknowledged=len(tally.acknowledged),
        repeats=tally.repeats,
        lost=len(set(tally.acknowledged) - set(booked)),
        doubled=len(booked) - len(set(booked)),
        unasked=len(set(booked) - set(tally.acknowledged)),
        refused=len(tally.refused),
        broken=broken,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the database and the server while terminals spend.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--terminals", type=int, default=16)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-chaos-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # root's database runs as another account, which must be able to pass
        found = chaos(folder, seconds=options.seconds, terminals=options.terminals, seed=options.seed)
    print(json.dumps({**asdict(found), "seed": options.seed, "right": found.right}))
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(main())
