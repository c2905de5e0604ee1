"""Batches: as right as single posts, as cheap for many as for few."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.audit import breaches
from ledger.books import STATEMENTS, stages
from ledger.database import Scope, _run_stage
from ledger.postings import Request
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import (
    NOW,
    Holder,
    House,
    create_grant,
    create_inquiry,
    create_redeem,
    create_reversal,
    create_status,
)


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    with opened_books(database_urls) as opened:
        yield opened


# ---- batches ------------------------------------------------------------------------------------


def make_requests(house: House, holders: list[Holder], plan: list[tuple[int, int, int]]) -> list[Request]:
    """A mixed list, with repeats, reversals before and after their originals, fences and grants."""
    redeems = [create_redeem(house, holder, "cinema", amount=10 + 40 * n) for n, holder in enumerate(holders)]
    requests: list[Request] = []
    for what, which, points in plan:
        redeem = redeems[which % len(redeems)]
        holder = holders[which % len(holders)]
        requests.append(
            [
                redeem,
                replace(redeem, amount=points),
                create_reversal(redeem),
                create_status(redeem, fence=bool(points % 2)),
                create_grant(house, holder, points),
                create_redeem(
                    house, holder, "cinema", amount=points, pin="000000" if points % 3 == 0 else "314159"
                ),
                create_inquiry(house, holder, pin="314159"),
            ][what]
        )
    return requests


ROWS = {
    "transaction": "SELECT t.* FROM transaction t ORDER BY t.id",
    "entry": "SELECT e.* FROM entry e ORDER BY transaction_id, lot_id",
    "account": "SELECT a.* FROM account a ORDER BY id",
    "lot": "SELECT l.* FROM lot l ORDER BY id",
    "card": "SELECT c.* FROM card c ORDER BY id",
    "misuse": "SELECT slot, account_id, txid, meaning FROM misuse ORDER BY id",
}


def written(books: Books) -> dict[str, list[tuple[Any, ...]]]:
    """All rows, with ids that count from 0 in their order: ids not used leave gaps."""
    found = {table: books.ask(sql) for table, sql in ROWS.items()}
    numbers: dict[Any, int] = {}
    for row in found["transaction"]:
        numbers.setdefault(row[2], len(numbers))
    found["transaction"] = [
        tuple(numbers.get(value, value) if place in (2, 22) else value for place, value in enumerate(row))
        for row in found["transaction"]
    ]
    found["entry"] = [
        tuple(numbers[value] if place == 2 else value for place, value in enumerate(row))
        for row in found["entry"]
    ]
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(5, 600)), min_size=1, max_size=30
    )
)
def test_a_batch_of_n_writes_the_same_rows_as_n_batches_of_one(
    postgres: Any, template: str, plan: list[tuple[int, int, int]]
) -> None:
    results = []
    name = "twins"
    requests: list[Request] = []
    for together in (True, False):
        postgres.create_database(name, template)
        urls = TestDatabase(
            name, *(postgres.url(f"tessera_{role}", name) for role in ("owner", "server", "site"))
        )
        books = Books(urls)
        holders = [books.holder(points=points) for points in (30, 500, 1_000)]
        requests = requests or make_requests(books.house, holders, plan)
        # The second database has the same ids, for its sequences start anew; only cards' PINs depend on them.
        outcomes = books.post(*requests) if together else [books.one(request) for request in requests]
        answers = [(o.code, o.points, o.balance, o.recorded, o.detail, o.expiring) for o in outcomes]
        rows = written(books)
        # Names of shops and txids of the first grants are made anew for each database.
        results.append((answers, {table: _without_randomness(table, rows[table]) for table in rows}))
        with books.database.transaction(Scope.everything()) as connection:
            assert breaches(connection) == []
        books.database.close()
        postgres.drop_database(name)
    assert results[0] == results[1]


def _without_randomness(table: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The first grants, which give each holder its points, have random txids; leave txid and meaning out."""
    if table != "transaction":
        return rows
    return [
        tuple(value for place, value in enumerate(row) if not (row[5] == "grant" and place in (4, 21)))
        for row in rows
    ]


def test_round_trips_and_statements_do_not_depend_on_the_size_of_the_batch(books: Books) -> None:
    counts = []
    for size in (2, 7, 60):
        holders = [books.holder() for _ in range(min(size, 12))]
        requests: list[Request] = []
        for n in range(size):
            holder = holders[n % len(holders)]
            redeem = create_redeem(books.house, holder, pin="000000" if n == 0 else "314159")
            requests += [redeem, create_grant(books.house, holder, 5), create_reversal(redeem)]
            requests += [replace(redeem, quantity=9)]
        round_trips, statements = _count(books, requests)
        counts.append((round_trips, statements))
    assert counts[0] == counts[1] == counts[2]
    round_trips, statements = counts[0]
    # Two, for the last one carries its commit with it; at most three are allowed.
    assert round_trips == 2
    assert statements == 9 + 7 == len(STATEMENTS)


def _count(books: Books, requests: list[Request]) -> tuple[int, int]:
    with books.database.transaction(Scope.everything()) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        running = stages(requests, NOW)
        stage = next(running)
        round_trips = statements = 0
        while True:
            round_trips += 1
            statements += len(stage.calls)
            rows = _run_stage(driver, stage.calls)
            try:
                stage = running.send(rows)
            except StopIteration:
                return round_trips, statements
