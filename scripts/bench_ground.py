"""What a scene of the bench stands on: a database with a world, servers on it, loads, and the last look.

Everything is durable (fsync, synchronous_commit). What a run counts is counted around it: processor time of
the server and of all of PostgreSQL, and the batches that the server tells of.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, text

from ledger.audit import Breach, breaches
from ledger.database import Database, Scope, migrate
from ledger.embedded import DATABASE, OWNER, SERVER, SITE, SUPERUSER, EmbeddedPostgres
from ledger.keyring import Keyring
from scripts.bench_server import Counted, RunningServer, database_cpu_s, running_server
from scripts.bench_terminals import Answers, BenchFailed, Terminals, compiled_loop, plan_for
from scripts.bench_world import SERVICE, World, make_world

__all__ = [
    "Ground", "Options", "Round", "Source", "breaches_since", "lost_and_doubled", "open_ground", "say",
]  # fmt: skip

NEWEST = "SELECT coalesce(max(id), 0) FROM transaction"
# Only the ids lead to a run's rows; by the txids the planner might read all rows, or look once for each.
FOUND = """
WITH run AS MATERIALIZED (SELECT txid, kind, code FROM transaction WHERE id > %s)
SELECT count(*), count(DISTINCT txid) FROM run WHERE kind = 'redeem' AND code = 0 AND txid = ANY(%s)
"""
# The invariants join whole tables; a grown database would sort them on its disk.
ROOMY = text("SET LOCAL work_mem = '256MB'")
TOUCHED = text(
    """CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
       SELECT DISTINCT slot, account_id FROM public.transaction WHERE id > :since"""
)
# All that hangs on an account, whatever tables there are: they say whose a row is with these two columns.
OF_ACCOUNTS = text(
    """SELECT quote_ident(c.relname) FROM pg_class c
       JOIN pg_attribute s ON s.attrelid = c.oid AND s.attname = 'slot'
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"""
)
# By primary keys, which begin with the account: nothing else is cheap in a table of millions.
BY_KEYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")


@dataclass(frozen=True)
class Options:
    """What the command line asks for. `idle`: sockets that only stand there. `keep`: a folder, or None."""

    quick: bool = False
    terminals: int = 64
    workers: int = 1
    idle: int = 10_000
    accounts: int = 10_000_000
    transactions: int = 50_000_000
    keep: Path | None = None
    python: bool = False

    @property
    def seconds(self) -> int:
        """Of one round."""
        return 3 if self.quick else 10

    @property
    def turns(self) -> int:
        return 3 if self.quick else 5

    @property
    def warm_up(self) -> int:
        """Seconds of a first round, which does not count."""
        return 1 if self.quick else 3


@dataclass(frozen=True)
class Counters:
    """Before or after a run: processor time of the server and of all of PostgreSQL, and batches."""

    server_cpu_s: float
    database_cpu_s: float
    counted: Counted


@dataclass(frozen=True)
class Round:
    """One run of a load, with what it cost. `round_trips` is None when the server does not count them."""

    answers: Answers
    server_cpu_s: float
    database_cpu_s: float
    postings: int
    batches: int
    round_trips: int | None

    @property
    def per_second(self) -> float:
        return self.answers.per_second

    @property
    def server_us(self) -> float:
        """Processor time of the server per debit, in µs."""
        return self.server_cpu_s / self.answers.debits * 1e6

    @property
    def database_us(self) -> float:
        return self.database_cpu_s / self.answers.debits * 1e6


@dataclass(frozen=True)
class Source:
    """A load that has logged in, and the server that it debits at."""

    load: Terminals
    server: RunningServer
    kind: str


@dataclass
class Ground:
    """A database of its own. `acknowledged`: what it must hold at the end, once."""

    folder: Path
    postgres: EmbeddedPostgres
    keyring: Keyring
    database: Database
    options: Options
    acknowledged: list[bytes] = field(default_factory=list)
    since: int = 0
    servers: int = 0

    def populate(
        self, *, terminals: int, idle: int = 0, holders: int | None = None, others: int = 0
    ) -> World:
        """Members, terminals and merchants, in an empty database."""
        count = holders or (1_500 if self.options.quick else 4_000)
        say(f"{count:,} members, {terminals + idle + others:,} terminals …")
        world = make_world(
            self.database, self.keyring, terminals=terminals, idle=idle, holders=count, others=others
        )
        # As autovacuum would have done by the time that anybody spends; what it costs is nobody's debit.
        self._tidy("VACUUM (ANALYZE)")
        self.look()
        return world

    def look(self) -> None:
        """From now on transactions count: those before are not what is looked for at the end."""
        with psycopg.connect(self.postgres.url(SERVER)) as connection:
            (self.since,) = connection.execute(NEWEST).fetchone() or (0,)

    @contextmanager
    def server(self, workers: int | None = None) -> Iterator[RunningServer]:
        """One more server on this database."""
        self.servers += 1
        log = self.folder / f"server-{self.servers}.log"
        with running_server(
            self.postgres.url(SERVER),
            self.folder / "secrets",
            log,
            workers=workers or self.options.workers,
        ) as server:
            yield server

    @contextmanager
    def load(
        self,
        server: RunningServer,
        keys: Sequence[str],
        cards: Sequence[list[str]],
        *,
        shared: bool = False,
        at_once: int = 0,
        warm_up: bool = True,
    ) -> Iterator[Source]:
        """Terminals that have logged in and made their first debits."""
        plan = plan_for(
            self.keyring,
            server.port,
            keys,
            service=SERVICE,
            cards=cards,
            shared=shared,
            at_once=at_once,
            program=None if self.options.python else compiled_loop(),
        )
        with Terminals(plan) as terminals:
            source = Source(terminals, server, terminals.connect().load)
            if warm_up:
                self.measure(source, self.options.warm_up)
            yield source

    @contextmanager
    def crowd(
        self, server: RunningServer, keys: Sequence[str], *, together: int = 16, sources: int = 4
    ) -> Iterator[Terminals]:
        """Terminals that log in when told, and then say nothing. The server has a limit for each address."""
        addresses = [f"127.0.0.{2 + number}" for number in range(sources)]
        plan = plan_for(self.keyring, server.port, keys, together=together, sources=addresses)
        with Terminals(plan) as terminals:
            yield terminals

    def measure(self, source: Source, seconds: float, *, rate: float = 0.0) -> Round:
        """One run and what it cost. Raises BenchFailed when a debit was refused."""
        before = self.counters(source.server)
        return self.cost(source.server, before, source.load.run(seconds, rate=rate))

    def counters(self, server: RunningServer) -> Counters:
        """Taken before a run, for `cost`."""
        counted = server.counted()
        return Counters(server.cpu_s(), self._database_cpu_s(), counted)

    def cost(self, server: RunningServer, before: Counters, answers: Answers) -> Round:
        """What a run cost since `before`; its txids are kept for the last look."""
        server_cpu, database_cpu = server.cpu_s(), self._database_cpu_s()
        counted = server.counted()
        self.acknowledged += answers.txids
        if answers.others:
            raise BenchFailed(f"Debits were refused (code: how many): {answers.others}.")
        if not answers.debits:
            raise BenchFailed("No debit was answered.")
        trips, trips_before = counted.round_trips, before.counted.round_trips
        return Round(
            answers,
            server_cpu - before.server_cpu_s,
            database_cpu - before.database_cpu_s,
            counted.postings - before.counted.postings,
            counted.batches - before.counted.batches,
            None if trips is None or trips_before is None else trips - trips_before,
        )

    def verdict(self, *, of_the_run: bool = False) -> dict[str, Any]:
        """Whether the books hold what was acknowledged, once, and break no rule.

        `of_the_run`: rules are asked of the accounts that this run touched, with all their history, for of
        millions of rows the answer takes half an hour.
        """
        say("the last look …")
        if not of_the_run:
            self._tidy("ANALYZE")
        began = time.monotonic()
        over = "everything"
        with self.database.transaction(Scope.everything()) as connection:
            connection.execute(ROOMY)
            if of_the_run:
                count, found = breaches_since(connection, self.since)
                over = f"{count:,} accounts of this run"
            else:
                found = breaches(connection)
            broken = [breach.invariant for breach in found]
        took = time.monotonic() - began
        lost, doubled = lost_and_doubled(self.postgres.url(SERVER), self.since, self.acknowledged)
        return {
            "acknowledged": len(self.acknowledged),
            "lost": lost,
            "doubled": doubled,
            "broken_invariants": broken,
            "invariants_s": round(took, 1),
            "invariants_over": over,
        }

    def _tidy(self, command: str) -> None:
        with psycopg.connect(self.postgres.url(SUPERUSER, DATABASE), autocommit=True) as connection:
            connection.execute(command)

    def _database_cpu_s(self) -> float:
        assert self.postgres.pid is not None
        return database_cpu_s(self.postgres.pid)


def breaches_since(connection: Connection, since: int) -> tuple[int, list[Breach]]:
    """How many accounts have a transaction after `since`, and what is broken in them: all that they ever did.

    Temporary tables with their rows stand before those of the books, so the audit's own SQL reads them; they
    go with the connection's transaction. What hangs on no account (terminals, batches, prices) is whole.
    """
    connection.execute(TOUCHED, {"since": since})
    connection.execute(text("ANALYZE touched"))
    for setting in BY_KEYS:
        connection.execute(text(f"SET LOCAL {setting} = off"))
    tables = [(name, "account_id") for (name,) in connection.execute(OF_ACCOUNTS).all()]
    for name, key in [("account", "id"), *tables]:
        connection.execute(
            text(
                f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS SELECT b.* FROM touched t"
                f" JOIN public.{name} b ON b.slot = t.slot AND b.{key} = t.account_id"
            )
        )
        connection.execute(text(f"ANALYZE pg_temp.{name}"))
    for setting in BY_KEYS:
        connection.execute(text(f"SET LOCAL {setting} = on"))
    (count,) = connection.execute(text("SELECT count(*) FROM touched")).one()
    return count, breaches(connection)


def lost_and_doubled(url: str, since: int, acknowledged: Sequence[bytes]) -> tuple[int, int]:
    """How many txids are no approved debit after transaction `since`, and how many are there too often."""
    asked = list({UUID(bytes=txid) for txid in acknowledged})
    with psycopg.connect(url) as connection:
        rows, different = connection.execute(FOUND, (since, asked)).fetchone() or (0, 0)
    return len(asked) - different, rows - different + len(acknowledged) - len(asked)


@contextmanager
def open_ground(
    folder: Path, options: Options, settings: Mapping[str, str] | None = None
) -> Iterator[Ground]:
    """A ground in `folder`: made there, or as it was kept. `settings` are PostgreSQL's own."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # root's database runs as another account, which must be able to pass
    with EmbeddedPostgres(folder / "postgresql", settings=settings) as postgres:
        migrate(postgres.url(OWNER))
        keyring = Keyring.create(folder / "secrets", os.urandom)
        database = Database(postgres.url(SITE))
        try:
            yield Ground(folder, postgres, keyring, database, options)
        finally:
            database.close()


def say(line: str) -> None:
    """A line of progress; the result goes to standard output."""
    print(line, file=sys.stderr, flush=True)
