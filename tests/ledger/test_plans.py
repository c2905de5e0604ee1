"""The planner's choices, pinned: each hot statement finds its rows by an index, and by their slot.

A plan goes wrong where nobody looks: in a database that was restored and never analysed, or analysed when it
was small; on a connection that made its plans when there was next to nothing. So each is tried here, on
connections as the server makes them. What the planner believes of an account is that it has one row or two,
so every condition must be the index's: a filter instead reads, on a busy account, all its history.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import pq

from ledger.embedded import SUPERUSER, EmbeddedPostgres
from ledger.statements import STATEMENTS
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import create_redeem
from tests.ledger.plans_world import (
    ACCOUNTS,
    HELD,
    PARTITIONS,
    Asked,
    Scan,
    fill,
    forget_statistics,
    partition,
    partitions_written,
    plan_of,
    planned_anew,
    server_link,
    site_link,
)

OPEN_DAY = "business_day_open_key"  # there is one row in it: nothing need be asked of it
# Some dozens of rows, of which a batch needs most.
SMALL = {"service", "card_product", "enterprise_terms"}
# Of all other indexes a scan must name every column: else it reads a whole account, or a whole slot.
ENOUGH: dict[str, set[str]] = {
    "entry_pkey": {"slot", "account_id", "transaction_id"},
    "hold_pkey": {"slot", "account_id"},
    "hold_lot_pkey": {"slot", "account_id", "transaction_id"},
    "transaction_slot_txid_terminal_id_account_id_key": {"slot", "txid", "terminal_id"},
    "price_overlap": {"merchant_id", "service_id"},  # `during` leaks, so row level security comes before it
    OPEN_DAY: set(),
}
COLUMNS = """
SELECT i.indexrelid::regclass::text, array_agg(a.attname::text)
FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid GROUP BY 1
"""
STATES = ("analysed when small", "never analysed", "analysed")
# And not planned again since. A table that grows is analysed within minutes, and that ends old plans.
YOUNG = "planned when small"

Connection = psycopg.Connection[Any]
Plans = dict[str, dict[tuple[str, str, int], list[Scan]]]  # state -> who asks, statement, keys -> scans


@pytest.fixture(scope="module")
def superuser(postgres: EmbeddedPostgres, module_database_urls: TestDatabase) -> Iterator[Connection]:
    url = postgres.url(SUPERUSER, module_database_urls.name)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def plans(superuser: Connection, module_database_urls: TestDatabase) -> Plans:
    """The plan of every statement in every state, for one key and, where the server asks, for 256."""
    urls = module_database_urls
    found: Plans = {state: {} for state in (YOUNG, *STATES)}

    def note(state: str, who: str, link: pq.abc.PGconn, *counts: int) -> None:
        for statement in STATEMENTS:
            for count in counts:
                found[state][who, statement.name, count] = plan_of(link, statement, keys(count))

    fill(superuser, 1, 40)
    superuser.execute("ANALYZE")
    with server_link(urls.server) as young:
        for statement in STATEMENTS:
            plan_of(young, statement, keys(1))
        fill(superuser, 41, ACCOUNTS)
        note(YOUNG, "server", young, 1, 256)
    for state in STATES:
        if state == "never analysed":
            forget_statistics(superuser)
        elif state == "analysed":
            superuser.execute("ANALYZE")
        with server_link(urls.server) as link:
            note(state, "server", link, 1, 256)
        with site_link(urls.site) as link:
            note(state, "site", link, 1)
    return found


def keys(count: int) -> Asked:
    """Accounts with holds, all over the slots."""
    return Asked([HELD * place for place in range(1, count + 1)], [uuid.uuid4() for _ in range(count)])


@pytest.mark.parametrize("state", STATES)
def test_every_hot_statement_names_its_rows_to_an_index(
    state: str, plans: Plans, superuser: Connection
) -> None:
    columns = {index: set(names) for index, names in superuser.execute(COLUMNS).fetchall()}
    wrong = [
        f"{statement} for {who}, {count} keys: {scan.table} by {scan.index} of {sorted(scan.names)}"
        for (who, statement, count), scans in plans[state].items()
        for scan in scans
        if scan.table not in SMALL
        and not (scan.index and ENOUGH.get(scan.index, columns[scan.index]) <= scan.names)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_plan_that_is_older_than_the_rows_reads_no_whole_table(plans: Plans) -> None:
    wrong = {
        (statement, scan.table, scan.index)
        for (_, statement, _), scans in plans[YOUNG].items()
        for scan in scans
        if scan.table not in SMALL and not scan.names and scan.index != OPEN_DAY
    }
    assert wrong == set()


def test_the_server_plans_a_statement_once(plans: Plans, module_database_urls: TestDatabase) -> None:
    """Not for each batch anew, which would cost as much as posting it."""
    with server_link(module_database_urls.server) as link:
        for statement in STATEMENTS:
            for count in (1, 16):
                plan_of(link, statement, keys(count))
        assert planned_anew(link) == set()


def test_every_table_of_a_batch_was_looked_at(plans: Plans) -> None:
    """Lest the test before passes for want of plans."""
    found = {scan.table for scans in plans["analysed"].values() for scan in scans}
    assert found >= {
        "account", "card", "lot", "transaction", "entry", "hold", "hold_lot", "price", "terminal",
        "organisation", "business_day",
    }  # fmt: skip


# ---- slots --------------------------------------------------------------------------------------

SLOT = 64  # of all accounts that are asked for below
OURS = f"_{SLOT * PARTITIONS // 256}"  # how the partition of that slot is called at its end
INSERTS = [statement for statement in STATEMENTS if statement.name.startswith("insert_")]
OTHERS = [statement for statement in STATEMENTS if statement not in INSERTS]


@pytest.fixture(scope="module")
def parted(
    plans: Plans, superuser: Connection, postgres: EmbeddedPostgres, module_database_urls: TestDatabase
) -> str:
    """The address of the same database, where the member side is found partitioned by slot."""
    assert plans, "they are made before"
    partition(superuser)
    superuser.execute("ANALYZE")
    return f"{postgres.url(SUPERUSER, module_database_urls.name)}&options=-csearch_path%3Dparted,public"


@pytest.fixture(scope="module")
def neighbours(plans: Plans, superuser: Connection) -> Asked:
    """Accounts of one slot, with open holds, and a purchase of each."""
    assert plans, "they are filled in before"
    accounts = [number for number in range(SLOT, ACCOUNTS, 256) if number % HELD == 0]
    rows = superuser.execute(
        "SELECT txid FROM transaction WHERE account_id = ANY(%s) AND id = 3 * account_id ORDER BY account_id",
        (accounts,),
    )
    return Asked(accounts, [row[0] for row in rows])


def test_of_all_slots_only_those_asked_for_are_read(parted: str, neighbours: Asked) -> None:
    wrong = {}
    with server_link(parted) as link:
        for statement in OTHERS:
            scans = [
                scan
                for scan in plan_of(link, statement, neighbours, run=True)
                if re.fullmatch(r"\w+_\d", scan.table)
            ]
            read = {scan.table for scan in scans if scan.loops}
            # What it looks for is there: nothing was spared for want of rows before it.
            if read != {scan.table for scan in scans if scan.table.endswith(OURS)}:
                wrong[statement.name] = read
    assert wrong == {}


def test_rows_go_to_their_own_slot(parted: str, neighbours: Asked) -> None:
    fresh = replace(neighbours, txids=keys(256).txids)
    with server_link(parted) as link:
        for statement in INSERTS:
            table = statement.name.removeprefix("insert_")
            assert partitions_written(link, statement, fresh) == {table + OURS}


# ---- what a debit leaves behind -----------------------------------------------------------------

UPDATES = """
SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
WHERE relname IN ('account', 'lot') ORDER BY relname
"""


def test_debits_change_no_index_of_accounts_and_lots(database_urls: TestDatabase) -> None:
    """New rows lie beside the old ones (HOT): an index has nothing to learn, and vacuum little to do."""
    with opened_books(database_urls) as books:
        holders = [books.holder(points=100_000) for _ in range(60)]

        def updates() -> list[tuple[Any, ...]]:
            books.ask("SELECT pg_stat_force_next_flush()")
            return books.ask(UPDATES)

        before = updates()
        for turn in range(20):
            sold = (create_redeem(books.house, holders[(turn * 16 + place) % 60]) for place in range(16))
            assert {outcome.code for outcome in books.post(*sold)} == {0}
        for (table, *earlier), (_, *now) in zip(before, updates(), strict=True):
            changed, beside = (after - was for after, was in zip(now, earlier, strict=True))
            assert changed == 320
            assert beside > 300, table
