"""Fills a bench's database with millions of accounts and transactions, as years of business would.

    python -m scripts.bench_grown FOLDER [--accounts 10000000] [--transactions 50000000]

keeps such a database: FOLDER/postgresql, with FOLDER/secrets and FOLDER/world.json, by which the bench
knows the small world in it. It takes a quarter of an hour or more, 45 GB meanwhile and 32 GB in the end.

Everything is one database transaction: cut off anywhere, the database is what it was, but for free room
in its files. Indexes rest meanwhile and are built again from the full tables; foreign keys are not asked:
rows come from one formula, and the tests ask for all of them. So the schema stays that of the migrations.
"""

import argparse
import dataclasses
import json
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from ledger.database import Database, Scope, is_empty, migrate
from ledger.embedded import DATABASE, OWNER, SITE, SUPERUSER, EmbeddedPostgres, EmbeddedPostgresError
from ledger.keyring import Keyring
from scripts.bench_grown_rows import (
    ADD_OUTLETS,
    ANALYZE_OUTLETS,
    CLOSE_DAY,
    INSERT_ACCOUNTS,
    INSERT_DAYS,
    INSERT_ENTERPRISES,
    INSERT_MERCHANTS,
    INSERT_PRICES,
    INSERT_SALES,
    INSERT_SERVICE,
    INSERT_STORES,
    INSERT_TERMINALS,
    OPEN_DAY,
    check_sums,
)
from scripts.bench_world import make_world

__all__ = ["CannotGrow", "SampleCard", "give_pins", "grow", "make_small_world", "sample_cards"]

Say = Callable[[str], None]
Connection = psycopg.Connection[tuple[Any, ...]]

GROWING = ("member", "account", "card", "lot", "transaction", "entry")
SMALL = ("organisation", "terminal", "service", "price", "business_day")
# No row that is added here is in them, so there is nothing to rebuild.
UNTOUCHED = (
    "account_held_idx",
    "transaction_reverses_key",
    "transaction_ends_key",
    "transaction_refunds_idx",
)
# What marks an index as neither kept up to date nor asked; REINDEX makes it whole again.
REST = """
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid = ANY(%(tables)s::regclass[]) AND indexrelid::regclass::text <> ALL(%(untouched)s::text[])
RETURNING indexrelid::regclass::text
"""
TAKE = "SELECT setval(%(sequence)s, nextval(%(sequence)s) + %(count)s - 1) - %(count)s + 1"
DAY = """
SELECT f.date, f.opened_at, o.date FROM business_day o,
       (SELECT date, opened_at FROM business_day ORDER BY date LIMIT 1) AS f
WHERE o.status = 'open'
"""
SIZES = "SELECT sum(pg_total_relation_size(name::regclass))::int8 FROM unnest(%(tables)s::text[]) AS t(name)"
SAMPLED = """
SELECT c.slot, c.account_id, c.id, c.issue
FROM unnest(%s::int8[]) WITH ORDINALITY AS k(id, place)
JOIN account a ON a.slot = mod(k.id, 256)::int2 AND a.id = k.id AND a.status = 'open' AND a.posted > 0
JOIN organisation e ON e.id = a.enterprise_id AND e.code LIKE 'GROWN-%%'
JOIN card c ON c.slot = a.slot AND c.account_id = a.id AND c.status = 'active'
ORDER BY k.place LIMIT %s
"""
SET_PINS = """
UPDATE card c SET pin_verifier = k.verifier, pin_tries = 0
FROM unnest(%s::int2[], %s::int8[], %s::int8[], %s::bytea[]) AS k(slot, account_id, id, verifier)
WHERE c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id
"""

CHUNK = 100_000  # rows per statement: large enough to be fast, small enough to report
SAMPLE = 2_000  # accounts from whose size that of all is foretold
DAYS = 365  # of history, before the first day that is there
POINTS = 10**9  # of each account: no bench spends them all
PRICE, MONEY = 12, 99  # of each sale, in points and in minor units
WAL_BYTES = 8 * 2**30  # kept while loading, so that few checkpoints are in the way
SPARE_BYTES = 2 * 2**30  # that stay free, for the bench that follows

SETTINGS = {
    "session_replication_role": "replica",
    "work_mem": "256MB",
    "maintenance_work_mem": "1GB",
    "max_parallel_maintenance_workers": "2",
}


class CannotGrow(Exception):
    """The database is not one to grow, or there is too little room; the text is one sentence for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class SampleCard:
    """A card of an account that was grown: what its token says."""

    slot: int
    account: int
    card: int
    issue: int


def grow(
    postgres: EmbeddedPostgres,
    *,
    accounts: int,
    transactions: int,
    say: Say,
    database: str = DATABASE,
    spare_bytes: int = SPARE_BYTES,
) -> None:
    """Add `accounts`, each with a member, a card and a lot, and `transactions` of theirs.

    One transaction of each account is the grant of its points, all others are sales, spread over accounts,
    slots, merchants' terminals and the `DAYS` before the first business day that is there. The open day is
    closed and the next one opened, so that no row of history has an id of today. Raises CannotGrow.
    """
    if not 1 <= accounts <= transactions:
        raise CannotGrow("there must be an account at least, and for each account a transaction: its grant")
    with psycopg.connect(postgres.url(SUPERUSER, database), autocommit=True) as connection:
        with _roomy_log(connection), connection.transaction():
            for name, value in SETTINGS.items():
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
            needed = _needed_bytes(connection, accounts, transactions, spare_bytes)
            say(f"some {needed / 1e9:.1f} GB, with what is needed while it grows")
            _Growth(connection, accounts, transactions, say).run()
        for table in (*GROWING, *SMALL):
            say(f"vacuum {table}")
            connection.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
        connection.execute("CHECKPOINT")


def sample_cards(connection: Connection, count: int, seed: int) -> list[SampleCard]:
    """`count` cards of accounts that were grown, anywhere among them; the same for the same seed.

    `connection` must see every tenant (tessera_server does). Raises CannotGrow when there are fewer.
    """
    chance = random.Random(seed)  # noqa: S311 - not a secret
    last = _row(connection, "SELECT coalesce(pg_sequence_last_value('account_id_seq'), 0)")[0]
    for tried in (2 * count, last):  # the second time all, where many are not grown
        numbers = chance.sample(range(1, last + 1), min(tried, last))
        found = connection.execute(SAMPLED, (numbers, count)).fetchall()
        if len(found) == count:
            return [SampleCard(*row) for row in found]
    raise CannotGrow(f"there are not {count} accounts that were grown")


def give_pins(
    connection: Connection, keyring: Keyring, sampled: Sequence[SampleCard], pin: str
) -> list[bytes]:
    """Set the PIN of these cards, in one statement; returns their verifiers. tessera_server may do it."""
    verifiers = [keyring.pin_verifier(each.slot, each.account, each.card, pin) for each in sampled]
    columns = (
        [each.slot for each in sampled],
        [each.account for each in sampled],
        [each.card for each in sampled],
    )
    with connection.transaction():
        connection.execute(SET_PINS, (*columns, verifiers))
    return verifiers


class _Growth:
    """One growth inside one transaction: the numbers it goes by, and its steps."""

    def __init__(self, connection: Connection, accounts: int, transactions: int, say: Say) -> None:
        self._cursor = psycopg.ClientCursor(connection)
        self._say = say
        found = connection.execute(DAY).fetchone()
        if found is None:
            raise CannotGrow("no business day is open: make the bench's small world first")
        first, began, today = found
        step = next(
            n for n in range(max(1, accounts * 618 // 1000), accounts + 1) if math.gcd(n, accounts) == 1
        )
        outer, middle = check_sums()
        self._values: dict[str, Any] = {
            "accounts": accounts,
            "sales": transactions - accounts,
            "step": step,
            "step_back": pow(step, -1, accounts),
            "enterprises": min(20, 1 + accounts // 1_000),
            "merchants": min(200, 1 + transactions // 1_000),
            "terminals": 10,
            "days": DAYS,
            "first_day": first - timedelta(days=DAYS),
            "began": began - timedelta(days=DAYS),
            "expires_from": today + timedelta(days=365),
            "points": POINTS,
            "price": PRICE,
            "money": MONEY,
            "outer": outer,
            "middle": middle,
        }

    def run(self) -> None:
        """Every row, then the indexes."""
        values = self._values
        resting = self._ask(REST, tables=list(GROWING), untouched=list(UNTOUCHED))
        self._make_house()
        member = self._ask("SELECT pg_get_serial_sequence('member', 'id')")[0][0]
        for name, sequence, count in (
            ("account", "account_id_seq", values["accounts"]),
            ("card", "card_id_seq", values["accounts"]),
            ("lot", "lot_id_seq", values["accounts"]),
            ("member", member, values["accounts"]),
            ("transaction", "transaction_id_seq", values["accounts"] + values["sales"]),
        ):
            values[name] = self._ask(TAKE, sequence=sequence, count=count)[0][0]
        for statement in (INSERT_DAYS, CLOSE_DAY, OPEN_DAY):
            self._do(statement)
        self._fill("accounts", INSERT_ACCOUNTS)
        self._fill("sales", INSERT_SALES)
        for (index,) in resting:
            self._say(f"building {index}")
            self._do(f"REINDEX INDEX {index}")

    def _make_house(self) -> None:
        """Enterprises, and merchants with a store, terminals and a price each."""
        values = self._values
        values["enterprise_ids"] = [row[0] for row in self._ask(INSERT_ENTERPRISES)]
        values["merchant_ids"] = [row[0] for row in self._ask(INSERT_MERCHANTS)]
        values["service"] = self._ask(INSERT_SERVICE)[0][0]
        for statement in (INSERT_STORES, INSERT_TERMINALS, INSERT_PRICES, ADD_OUTLETS, ANALYZE_OUTLETS):
            self._do(statement)
        values["outlets"] = values["merchants"] * values["terminals"]

    def _fill(self, what: str, statement: str) -> None:
        """Run a statement for the numbers 0 to the count of `what`, a chunk at a time."""
        count = self._values[what]
        told = 0
        for since in range(0, count, CHUNK):
            until = min(since + CHUNK, count)
            self._do(statement, since=since, until=until)
            if until * 20 // count > told:
                told = until * 20 // count
                self._say(f"{until:,} of {count:,} {what}")

    def _do(self, statement: str, **more: Any) -> None:
        self._cursor.execute(statement, {**self._values, **more})

    def _ask(self, statement: str, **more: Any) -> list[tuple[Any, ...]]:
        self._do(statement, **more)
        return self._cursor.fetchall()


def _needed_bytes(connection: Connection, accounts: int, transactions: int, spare_bytes: int) -> int:
    """Grow a little, see what it takes, and undo it. Raises CannotGrow when all would not fit."""
    few = min(accounts, SAMPLE)
    before = _size(connection)
    with connection.transaction(force_rollback=True):
        _Growth(connection, few, few * transactions // accounts, lambda _: None).run()
        needed = (_size(connection) - before) * accounts // few
    # An index is sorted in files beside it, and the log is kept meanwhile.
    needed += needed // 8 + min(needed, WAL_BYTES)
    (folder,) = _row(connection, "SELECT current_setting('data_directory')")
    free = shutil.disk_usage(folder).free - spare_bytes
    if needed > free:
        raise CannotGrow(
            f"{accounts:,} accounts and {transactions:,} transactions need some {needed / 1e9:.1f} GB in"
            f" {folder}, and {max(0, free) / 1e9:.1f} GB can be had: ask for fewer"
        )
    return needed


def _size(connection: Connection) -> int:
    (size,) = _row(connection, SIZES, tables=list(GROWING))
    assert isinstance(size, int)
    return size


@contextmanager
def _roomy_log(connection: Connection) -> Iterator[None]:
    """Let the server write much between two checkpoints, for a while."""
    connection.execute(f"ALTER SYSTEM SET max_wal_size = '{WAL_BYTES // 2**20}MB'")
    connection.execute("ALTER SYSTEM SET checkpoint_timeout = '30min'")
    connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        connection.execute("ALTER SYSTEM RESET max_wal_size")
        connection.execute("ALTER SYSTEM RESET checkpoint_timeout")
        connection.execute("SELECT pg_reload_conf()")


def _row(connection: Connection, statement: str, **values: Any) -> tuple[Any, ...]:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_grown", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=int, default=10_000_000)
    parser.add_argument("--transactions", type=int, default=50_000_000)
    parser.add_argument("--spare", type=int, default=2, help="GB of the disk that stay free")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    try:
        # Nothing is committed before the end, so nothing has to be replayed: new files need no log.
        settings = {"wal_level": "minimal", "max_wal_senders": "0", "shared_buffers": "1GB"}
        with EmbeddedPostgres(folder / "postgresql", settings=settings) as postgres:
            make_small_world(postgres, folder)
            grow(
                postgres,
                accounts=options.accounts,
                transactions=options.transactions,
                say=_said,
                spare_bytes=options.spare * 10**9,
            )
    except (CannotGrow, EmbeddedPostgresError, OSError) as error:
        sys.exit(str(error))
    return 0


def make_small_world(postgres: EmbeddedPostgres, folder: Path) -> None:
    """The schema and what the bench posts to, unless they are there; world.json says who is in it."""
    migrate(postgres.url(OWNER))
    keyring = Keyring.create(folder / "secrets", os.urandom)
    database = Database(postgres.url(SITE))
    try:
        with database.transaction(Scope.everything()) as connection:
            empty = is_empty(connection)
        if empty:
            world = make_world(database, keyring, terminals=64, idle=500, holders=2_000, others=200)
            told = json.dumps(dataclasses.asdict(world), default=bytes.hex)
            (folder / "world.json").write_text(told, encoding="utf-8")
    finally:
        database.close()


def _said(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
