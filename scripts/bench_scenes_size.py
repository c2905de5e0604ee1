"""Scenes of size: a database that has grown for years, and more than one worker process."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from ledger.database import DatabaseUnfit, migrate
from ledger.embedded import OWNER, SERVER, EmbeddedPostgres
from scripts.bench_ground import Ground, Options, Round, open_ground, say
from scripts.bench_grown import CannotGrow, give_pins, grow, make_small_world, sample_cards
from scripts.bench_scenes import costs, interleaved, latency_ms, median_ratio, setting
from scripts.bench_terminals import BenchFailed
from scripts.bench_world import PIN, payload

__all__ = ["grown_scene", "workers_scene"]

# Of both databases, as docs/operating.md advises for a large one. With the defaults, made for small machines,
# a checkpoint comes every few seconds, and each page touched after it is written to the log whole.
SETTINGS = {"shared_buffers": "4GB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}

# Accounts that are debited, as many in the small database as in the large. Few would all lie in PostgreSQL's
# own memory, as those of a large one never do.
CARDS = 20_000
CARDS_QUICK = 2_000
SEED = 20_261_122
GROWN = "SELECT EXISTS (SELECT FROM organisation WHERE code LIKE 'GROWN-%')"
REVISION = "SELECT version_num FROM alembic_version"
SIZES = """
SELECT (SELECT reltuples FROM pg_class WHERE oid = 'account'::regclass)::int8,
       (SELECT reltuples FROM pg_class WHERE oid = 'transaction'::regclass)::int8
"""


def grown_scene(folder: Path, options: Options) -> dict[str, Any]:
    """What a debit costs in a database with millions of rows, against one without."""
    kept = (options.keep or folder / "grown").absolute()
    grew = _grow(kept, options)
    with ExitStack() as stack:
        large = stack.enter_context(open_ground(kept, options, SETTINGS))
        small = stack.enter_context(open_ground(folder / "small", options, SETTINGS))
        accounts, transactions = _sizes(large)
        count = min(CARDS_QUICK if options.quick else CARDS, accounts // 2)
        say(f"{count:,} accounts are debited in each database …")
        known, cards = _known_and_sampled(large, count)
        new, others_cards = _known_and_sampled(_little(small, count), count)
        keys = min(options.terminals, len(known))
        with ExitStack() as running:
            here = running.enter_context(
                large.load(running.enter_context(large.server()), known[:keys], cards)
            )
            there = running.enter_context(
                small.load(running.enter_context(small.server()), new[:keys], others_cards)
            )
            say("a longer first round: pages are read that nobody has asked for yet …")
            large.measure(here, 3 * options.seconds)
            ones, others = interleaved(
                options,
                lambda: large.measure(here, options.seconds),
                lambda: small.measure(there, options.seconds),
            )
        return {
            "accounts": accounts,
            "transactions": transactions,
            "accounts_debited": count,
            "cpu_ratio": _ratio(ones, others, "both"),
            "server_cpu_ratio": _ratio(ones, others, "server"),
            "database_cpu_ratio": _ratio(ones, others, "database"),
            **{f"{name}_grown": value for name, value in _numbers(ones).items()},
            **{f"{name}_empty": value for name, value in _numbers(others).items()},
            "grow_s": grew,
            **_both(large.verdict(of_the_run=True), small.verdict()),
            **setting(replace(options, terminals=keys), here),
        }


def _grow(kept: Path, options: Options) -> float | None:
    """Make the grown database, unless it is there; the seconds that it took."""
    began = time.monotonic()
    kept.mkdir(parents=True, exist_ok=True)
    kept.chmod(0o711)
    with _told():
        # Nothing is committed before the end, so nothing has to be replayed: new files need no log.
        settings = {"wal_level": "minimal", "max_wal_senders": "0", "shared_buffers": "1GB"}
        settings["maintenance_work_mem"] = "1GB"  # for indexes that a migration builds anew
        with EmbeddedPostgres(kept / "postgresql", settings=settings) as postgres:
            _migrate(postgres, kept)
            make_small_world(postgres, kept)
            with psycopg.connect(postgres.url(SERVER)) as connection:
                (there,) = connection.execute(GROWN).fetchone() or (False,)
            if there:
                say(f"{kept} has a grown database; it is used again, whatever its size")
                return None
            grow(postgres, accounts=options.accounts, transactions=options.transactions, say=say)
    return round(time.monotonic() - began, 1)


def _migrate(postgres: EmbeddedPostgres, kept: Path) -> None:
    """Bring the schema of a kept database to this version; that of a new one is made."""
    before = _revision(postgres)
    if before is not None:
        say(f"{kept} is at migration {before}; where there are newer ones, its indexes take minutes …")
    began = time.monotonic()
    try:
        migrate(postgres.url(OWNER))
    except DatabaseUnfit as error:
        raise BenchFailed(str(error)) from error
    after = _revision(postgres)
    if before not in (None, after):
        say(f"migrated to {after} in {time.monotonic() - began:.0f} s")


def _revision(postgres: EmbeddedPostgres) -> str | None:
    """The last migration, or None when there is no schema."""
    with psycopg.connect(postgres.url(OWNER)) as connection:
        try:
            found = connection.execute(REVISION).fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return str(found[0]) if found else None


def _little(ground: Ground, count: int) -> Ground:
    """Fill an empty database with `count` members, with no history but the grant of their points."""
    make_small_world(ground.postgres, ground.folder)
    with _told():
        grow(ground.postgres, accounts=count, transactions=count, say=lambda _: None)
    return ground


@contextmanager
def _told() -> Iterator[None]:
    """What cannot be grown or sampled ends the bench, with its sentence."""
    try:
        yield
    except CannotGrow as error:
        raise BenchFailed(str(error)) from error


def _sizes(ground: Ground) -> tuple[int, int]:
    """About how many accounts and transactions there are."""
    with psycopg.connect(ground.postgres.url(SERVER)) as connection:
        accounts, transactions = connection.execute(SIZES).fetchone() or (0, 0)
    return accounts, transactions


def _known_and_sampled(ground: Ground, count: int) -> tuple[list[str], list[list[str]]]:
    """Keys of terminals, from when the database was made, and cards of accounts anywhere among the grown."""
    told = json.loads((ground.folder / "world.json").read_text(encoding="utf-8"))
    with _told(), psycopg.connect(ground.postgres.url(SERVER)) as connection:
        sampled = sample_cards(connection, count, SEED)
        give_pins(connection, ground.keyring, sampled, PIN)
    ground.look()
    cards = [
        [payload(ground.keyring, each.slot, each.account, each.card, each.issue), PIN] for each in sampled
    ]
    return told["keys"], cards


def _ratio(ones: list[Round], others: list[Round], whose: str) -> float:
    def cost(one: Round) -> float:
        return (one.server_us if whose != "database" else 0.0) + (
            one.database_us if whose != "server" else 0.0
        )

    return median_ratio([cost(one) for one in ones], [cost(other) for other in others])


def _numbers(rounds: list[Round]) -> dict[str, Any]:
    return {
        "debits_per_second": round(statistics.median(each.per_second for each in rounds)),
        "p50_ms": latency_ms(rounds, 0.5),
        "p99_ms": latency_ms(rounds, 0.99),
        **costs(rounds),
    }


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The verdicts on two databases as one."""
    over = {"invariants_over": f"{one['invariants_over']}; {other['invariants_over']} in the empty database"}
    took = {"invariants_s": round(one["invariants_s"] + other["invariants_s"], 1)}
    return {**{name: one[name] + other[name] for name in one}, **took, **over}


def workers_scene(folder: Path, options: Options) -> dict[str, Any]:
    """Two worker processes against one."""
    with open_ground(folder, options) as ground, ExitStack() as stack:
        world = ground.populate(terminals=2 * options.terminals)
        sources = [
            stack.enter_context(
                ground.load(
                    stack.enter_context(ground.server(workers)),
                    world.keys[place * options.terminals : (place + 1) * options.terminals],
                    world.cards,
                )
            )
            for place, workers in enumerate((2, 1))
        ]
        two, one = interleaved(
            options,
            lambda: ground.measure(sources[0], options.seconds),
            lambda: ground.measure(sources[1], options.seconds),
        )
        stack.close()
        return {
            "ratio": median_ratio([each.per_second for each in two], [each.per_second for each in one]),
            **{f"{name}_with_two": value for name, value in _numbers(two).items()},
            **{f"{name}_with_one": value for name, value in _numbers(one).items()},
            **ground.verdict(),
            **setting(replace(options, workers=2), sources[0]),
        }
