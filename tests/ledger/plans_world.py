"""What the planner makes of the statements of the books, in a database large enough to tell.

Nothing in that database is asked but where its rows lie: foreign keys and the rules are left aside.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq

from ledger.database import Statement
from ledger.statements import STATEMENTS
from txserver import pipeline

__all__ = [
    "ACCOUNTS", "HELD", "PARTITIONS", "Asked", "Scan", "fill", "forget_statistics", "partition",
    "partitions_written", "plan_of", "planned_anew", "server_link", "site_link",
]  # fmt: skip

ACCOUNTS = 12_000
HELD = 20  # every so many-th account has an open hold

# Each account has a member, a card, an open and an empty lot, three transactions, and a hold.
_FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO organisation (id, tenant_id, parent_id, kind, code, name)
SELECT n, n - n % 2, CASE n % 2 WHEN 1 THEN n - 1 END, CASE n % 2 WHEN 1 THEN 'store' ELSE 'merchant' END,
       'O' || n, 'Organisation'
FROM generate_series(2 * {since}, 2 * {until} + 1) AS n;
INSERT INTO terminal (id, tenant_id, store_id, kind, name, status, public_key)
SELECT n, 2 * n, 2 * n + 1, 'pos', 'POS', 'active', sha256(n::text::bytea)
FROM generate_series({since}, {until}) AS n;
INSERT INTO service (id, code, name, name_zh, unit)
SELECT n, 'service-' || n, 'Service', '服务', 'time' FROM generate_series({since}, least({until}, 20)) AS n;
INSERT INTO price (merchant_id, service_id, during, points, settlement_minor, currency)
SELECT 2 * m, s, daterange('2020-01-01', NULL), 120, 99, 'CNY'
FROM generate_series({since}, {until}, 4) AS m, generate_series(1, 4) AS s;
INSERT INTO enterprise_terms (enterprise_id) SELECT generate_series({since}, least({until}, 50));
INSERT INTO member (id, enterprise_id, code, name) OVERRIDING SYSTEM VALUE
SELECT n, n % 50, n::text, 'Member' FROM generate_series({since}, {until}) AS n;
INSERT INTO account (slot, id, member_id, enterprise_id, posted, held)
SELECT n % 256, n, n, n % 50, 1000, CASE WHEN n % {held} = 0 THEN 10 ELSE 0 END
FROM generate_series({since}, {until}) AS n;
INSERT INTO card (slot, account_id, id, enterprise_id, number, day_limit_points)
SELECT n % 256, n, n, n % 50, lpad(n::text, 16, '0'), 100 FROM generate_series({since}, {until}) AS n;
INSERT INTO lot (slot, account_id, id, enterprise_id, funder_id, kind, granted, remaining)
SELECT n % 256, n, 2 * n + l, n % 50, n % 50, 'granted', 1000, l * 1000
FROM generate_series({since}, {until}) AS n, generate_series(0, 1) AS l;
INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
                         enterprise_id, points, meaning, card_id, batch)
SELECT n % 256, n, 3 * n + k, n, gen_random_uuid(), CASE k WHEN 0 THEN 'tombstone' ELSE 'grant' END, 0, now(),
       '2026-11-22', n % 50, 10, uuid_send(gen_random_uuid()), n, k
FROM generate_series({since}, {until}) AS n, generate_series(0, 2) AS k;
INSERT INTO entry (slot, account_id, transaction_id, lot_id, from_side, to_side, points, enterprise_id,
                   funder_id, business_date)
SELECT n % 256, n, 3 * n + k, 2 * n, 'funder', 'member', 10, n % 50, n % 50, '2026-11-22'
FROM generate_series({since}, {until}) AS n, generate_series(0, 2) AS k;
INSERT INTO hold (slot, account_id, transaction_id, enterprise_id, merchant_id, points, expires_at)
SELECT n % 256, n, 3 * n, n % 50, 2, 10, '2026-11-22' FROM generate_series({since}, {until}) AS n;
INSERT INTO hold_lot (slot, account_id, transaction_id, lot_id, enterprise_id, points)
SELECT n % 256, n, 3 * n, 2 * n, n % 50, 10 FROM generate_series({since}, {until}) AS n;
"""
_DAYS = """
INSERT INTO business_day (date, status, opened_at, closed_at)
SELECT '2026-11-22'::date - n, CASE n WHEN 0 THEN 'open' ELSE 'closed' END, now(),
       CASE WHEN n > 0 THEN now() END
FROM generate_series(0, 1000) AS n ON CONFLICT DO NOTHING
"""
_MEMBER_SIDE = ("account", "card", "lot", "transaction", "entry", "hold", "hold_lot", "misuse")
PARTITIONS = 8  # of 32 slots each


@dataclass(frozen=True)
class Scan:
    """How a table is read: by which index, if any, and which of its columns are known when it is asked.

    `loops`: how often that was done, when the statement was run.
    """

    table: str
    index: str | None = None
    names: frozenset[str] = frozenset()
    loops: int | None = None


@dataclass(frozen=True)
class Asked:
    """The keys of a batch: accounts, and a purchase of each. Terminals and cards are numbered alike."""

    accounts: Sequence[int]
    txids: Sequence[uuid.UUID]

    def literals(self, statement: Statement) -> str:
        """The parameters of a statement as SQL: slots, then numbers, and what comes after them."""
        return ", ".join(self._literal(kind) for kind in statement.types)

    def _literal(self, kind: str) -> str:
        values: dict[str, Callable[[int], object]] = {
            "int2[]": lambda place: self.accounts[place] % 256,
            "int8[]": lambda place: self.accounts[place],
            "text[]": lambda _: "service-1",
            "uuid[]": lambda place: self.txids[place],
            "date[]": lambda _: "2026-11-22",
            "timestamptz[]": lambda _: "2026-11-22 09:30Z",
            "bytea[]": lambda _: "\\x" + "00" * 32,
        }
        if kind not in values:  # how many ids are taken, or the time that a hold is over
            return f"{len(self.accounts)}" if kind == "int8" else f"NULL::{kind}"
        told = (f"'{values[kind](place)}'" for place in range(len(self.accounts)))
        return f"ARRAY[{', '.join(told)}]::{kind}"


def fill(connection: "psycopg.Connection[Any]", since: int, until: int) -> None:
    """Rows for the accounts `since` to `until`. `connection`: a superuser's, with autocommit."""
    connection.execute(_DAYS)
    with connection.transaction():
        connection.execute(_FILL.format(since=since, until=until, held=HELD).encode())


def forget_statistics(connection: "psycopg.Connection[Any]") -> None:
    """As in a database that was just restored: nothing was ever analysed."""
    connection.execute("DELETE FROM pg_statistic")
    connection.execute(
        "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace"
    )


def partition(connection: "psycopg.Connection[Any]") -> None:
    """A copy of the member side in the schema `parted`, partitioned by ranges of slots."""
    connection.execute("CREATE SCHEMA parted")
    for table in _MEMBER_SIDE:
        connection.execute(
            f"CREATE TABLE parted.{table} (LIKE {table} INCLUDING DEFAULTS INCLUDING GENERATED"
            f" INCLUDING IDENTITY INCLUDING INDEXES) PARTITION BY RANGE (slot)"
        )
        for number in range(PARTITIONS):
            connection.execute(
                f"CREATE TABLE parted.{table}_{number} PARTITION OF parted.{table}"
                f" FOR VALUES FROM ({number * 32}) TO ({number * 32 + 32})"
            )
        (columns,) = connection.execute(
            """SELECT string_agg(attname, ', ') FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''""",
            (table,),
        ).fetchone() or ("",)
        connection.execute(f"INSERT INTO parted.{table} ({columns}) SELECT {columns} FROM {table}")


@contextmanager
def server_link(url: str) -> Iterator[pq.abc.PGconn]:
    """A connection as the server makes it: its settings, and every statement of the books prepared."""
    link = pipeline._connect(url)
    yield link
    link.finish()


@contextmanager
def site_link(url: str) -> Iterator[pq.abc.PGconn]:
    """A connection as the site has it, which sees all tenants: row level security is part of its plans."""
    link = pq.PGconn.connect(url.encode())
    _ask(link, "SELECT set_config('tessera.tenant', '0', false)")
    for statement in STATEMENTS:
        _ask(link, f"PREPARE {statement.name} AS {statement.sql}")
    yield link
    link.finish()


def plan_of(link: pq.abc.PGconn, statement: Statement, asked: Asked, *, run: bool = False) -> list[Scan]:
    """The scans in the plan of a prepared statement; `run` executes it, and then undoes it."""
    assert statement in STATEMENTS, "prepared when the connection was made"
    told = f"({asked.literals(statement)})" if statement.types else ""
    _ask(link, "BEGIN")
    found = _ask(
        link, f"EXPLAIN ({'ANALYZE, ' if run else ''}FORMAT JSON) EXECUTE {statement.name}{told}"
    ).get_value(0, 0)
    _ask(link, "ROLLBACK")
    assert found is not None
    return list(_scans(json.loads(found)[0]["Plan"]))


def partitions_written(link: pq.abc.PGconn, statement: Statement, asked: Asked) -> set[str]:
    """Into which partitions an INSERT puts its rows; it is undone."""
    table = statement.name.removeprefix("insert_")
    _ask(link, "BEGIN")
    _ask(link, f"EXECUTE {statement.name}({asked.literals(statement)})")
    found = _ask(
        link, f"SELECT DISTINCT tableoid::regclass::text FROM {table} WHERE xmin = pg_current_xact_id()::xid"
    )
    _ask(link, "ROLLBACK")
    return {(found.get_value(row, 0) or b"").decode() for row in range(found.ntuples)}


def planned_anew(link: pq.abc.PGconn) -> set[str]:
    """Which of the prepared statements were planned for the values of one execution."""
    found = _ask(link, "SELECT name FROM pg_prepared_statements WHERE custom_plans > 0")
    return {(found.get_value(row, 0) or b"").decode() for row in range(found.ntuples)}


def _ask(link: pq.abc.PGconn, sql: str) -> pq.abc.PGresult:
    result = link.exec_(sql.encode())
    assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), link.get_error_message()
    return result


def _scans(node: dict[str, Any], table: str = "") -> Iterator[Scan]:
    table = node.get("Relation Name", table)  # a bitmap's index is a node of its own, below its table
    if "Index Name" in node:
        names = frozenset(re.findall(r"\((\w+) (?:=|>=|<=|@>) ", node.get("Index Cond", "")))
        yield Scan(table, node["Index Name"], names, node.get("Actual Loops"))
    elif node["Node Type"] not in ("ModifyTable", "Bitmap Heap Scan") and "Relation Name" in node:
        yield Scan(table, loops=node.get("Actual Loops"))
    for inner in node.get("Plans", []):
        yield from _scans(inner, table)
