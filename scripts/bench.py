"""How many debits a second: through the server from 64 encrypted sockets, and the plain way beside it.

    ./scripts/bench [--quick] [--json] [--terminals 64] [--workers 1]

Everything durable (fsync, synchronous_commit), in a throw-away folder. The plain way posts by the same
rules and rows without a server: a connection a terminal, a database transaction a debit. The two take
turns; at the end the invariants are asked, and every acknowledged debit is looked for.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ledger.audit import breaches
from ledger.books import post
from ledger.database import Database, Scope, migrate
from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres
from ledger.keyring import Keyring
from ledger.postings import Redeem
from protocol.noise import KeyPair
from scripts.bench_world import World, make_world
from scripts.children import free_ports
from scripts.server_process import server_environment, start_server

ROOT = Path(__file__).resolve().parent.parent
ALL_ACKNOWLEDGED = "SELECT count(*) FROM transaction WHERE txid = ANY(%s) AND code = 0 AND kind = 'redeem'"


@dataclass(frozen=True)
class Round:
    """One measurement: debits, seconds, and (through the server) each debit's seconds."""

    debits: int
    elapsed_s: float
    seconds: list[float]
    load_cpu_s: float = 0.0
    server_cpu_s: float = 0.0

    @property
    def per_second(self) -> float:
        return self.debits / self.elapsed_s


def main() -> int:
    parser = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some 30 seconds instead of two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--terminals", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seconds, turns = (3, 2) if options.quick else (10, 5)
    with tempfile.TemporaryDirectory(prefix="tessera-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with EmbeddedPostgres(folder / "postgresql") as postgres:
            found = measure(postgres, folder, options, seconds, turns)
    print(json.dumps(found) if options.json else "\n".join(f"{k:<26}{v!s:>14}" for k, v in found.items()))
    return 1 if found["broken_invariants"] or found["lost"] else 0


def measure(
    postgres: EmbeddedPostgres, folder: Path, options: argparse.Namespace, seconds: int, turns: int
) -> dict[str, Any]:
    """All rounds, then the check of the books."""
    migrate(postgres.url(OWNER))
    keyring = Keyring.create(folder / "secrets", os.urandom)
    database = Database(postgres.url(SITE), pool_size=options.terminals + 2)
    world = make_world(database, keyring, terminals=options.terminals, idle=500, holders=2_000)
    served: list[Round] = []
    plain: list[Round] = []
    acknowledged: list[str] = []
    with running_server(postgres.url(SERVER), folder, options.workers) as (pids, port):
        for turn in range(turns):
            _say(options, f"round {turn + 1} of {turns} …")
            served.append(through_the_server(world, keyring, port, pids, seconds, acknowledged))
            plain.append(the_plain_way(database, world, options.terminals, seconds))
        idle = bytes_per_idle_session(world, keyring, port, pids)
    with database.transaction(Scope.everything()) as connection:
        broken = [breach.invariant for breach in breaches(connection)]
    with psycopg.connect(postgres.url(SERVER)) as connection:
        row = connection.execute(ALL_ACKNOWLEDGED, ([UUID(hex=txid) for txid in acknowledged],)).fetchone()
    assert row is not None
    database.close()
    latencies = sorted(second for each in served for second in each.seconds)
    debits = sum(each.debits for each in served)
    return {
        "terminals": options.terminals,
        "workers": options.workers,
        "debits_per_second": round(statistics.median(each.per_second for each in served)),
        "plain_per_second": round(statistics.median(each.per_second for each in plain)),
        "ratio": round(
            statistics.median(a.per_second / b.per_second for a, b in zip(served, plain, strict=True)), 2
        ),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
        "server_cpu_us_per_debit": round(sum(each.server_cpu_s for each in served) / debits * 1e6),
        "load_cpu_us_per_debit": round(sum(each.load_cpu_s for each in served) / debits * 1e6),
        "bytes_per_idle_session": idle,
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged) - row[0],
        "broken_invariants": broken,
    }


@contextmanager
def running_server(url: str, folder: Path, workers: int) -> Iterator[tuple[list[int], int]]:
    """The server as a process; gives the ids of its serving processes and its port."""
    port, health = free_ports(2)
    environment = server_environment(url, folder / "secrets", port=port, health_port=health, workers=workers)
    log = folder / "server.log"
    server = start_server(environment, log)
    try:
        _await(log, server, workers)
        yield _children(server.pid) if workers > 1 else [server.pid], port
    finally:
        server.terminate()
        server.wait(30)


def _await(log: Path, server: "subprocess.Popen[bytes]", workers: int) -> None:
    while log.read_bytes().count(b'"listening"') < workers:
        if server.poll() is not None:
            raise SystemExit(f"the server ended: {log.read_text()}")
        time.sleep(0.05)


def through_the_server(
    world: World, keyring: Keyring, port: int, pids: list[int], seconds: int, acknowledged: list[str]
) -> Round:
    """Debits from a load process; adds the txids that were acknowledged."""
    with load(world.keys, world, keyring, port, seconds) as process:
        before = sum(map(_cpu_s, pids))
        result = _answer(process)
        used = sum(map(_cpu_s, pids)) - before
    if result["other"]:
        raise SystemExit(f"debits were refused: {result['other']}")
    acknowledged += result["acknowledged"]
    return Round(len(result["acknowledged"]), result["elapsed_s"], result["seconds"], result["cpu_s"], used)


@contextmanager
def load(
    keys: list[str], world: World, keyring: Keyring, port: int, seconds: int
) -> Iterator["subprocess.Popen[str]"]:
    """A load process whose terminals have logged in. With 0 seconds they sit idle until told to end."""
    number = keyring.current_key_id
    plan = {
        "host": "127.0.0.1",
        "port": port,
        "server_key": KeyPair.from_private(keyring.server_keys[number]).public.hex(),
        "server_key_id": number,
        "keys": keys,
        "cards": world.cards,
        "seconds": seconds,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench_load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(plan) + "\n")
    process.stdin.flush()
    _line(process)
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(30)


def the_plain_way(database: Database, world: World, connections: int, seconds: int) -> Round:
    """The same debits by the same rules: a thread and a connection a terminal, a transaction a debit."""
    done = [0] * connections
    until = time.monotonic() + seconds

    def work(place: int) -> None:
        turn = place * 131
        while time.monotonic() < until:
            request: Redeem = world.plain_redeem(turn, place, UUID(bytes=os.urandom(16)))
            turn += 7
            with database.transaction(Scope.everything()) as connection:
                (outcome,) = post(connection, [request], datetime.now(UTC))
            done[place] += outcome.code == 0

    threads = [threading.Thread(target=work, args=(place,)) for place in range(connections)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Round(sum(done), time.monotonic() - began, [])


def bytes_per_idle_session(world: World, keyring: Keyring, port: int, pids: list[int]) -> int:
    """What the server's resident memory grows by, per terminal that has logged in and says nothing."""
    before = sum(map(_resident, pids))
    with load(world.idle_keys, world, keyring, port, 0):
        return (sum(map(_resident, pids)) - before) // len(world.idle_keys)


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_line(process))
    return found


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the load process ended early")
    return line


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.json:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
