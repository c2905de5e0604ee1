"""Batches: as right as single posts, as cheap for many as for few."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from sqlalchemy import text

from ledger.audit import breaches
from ledger.books import stages
from ledger.database import Scope, _run_stage
from ledger.postings import Outcome, Request
from ledger.statements import PREPARED
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import (
    NOW,
    PIN,
    TODAY,
    Holder,
    House,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
    grant_points,
)
from tests.ordering import create_adjust

# ---- batches ------------------------------------------------------------------------------------


YESTERDAY = TODAY - timedelta(days=1)
EARLIER = NOW - timedelta(minutes=10)

Plan = list[tuple[str, int, int]]  # what, whose, how many points


def make_requests(house: House, holders: list[Holder], plan: Plan) -> list[Request]:
    """A mixed list of every kind: repeats, undoing before and after its original, holds and their ends."""
    sold = [create_redeem(house, holder, "cinema", amount=10 + 40 * n) for n, holder in enumerate(holders)]
    held = [create_hold(house, holder, amount=20 + 30 * n, seconds=60) for n, holder in enumerate(holders)]
    captured = [create_capture(hold, 15) for hold in held]
    asked: dict[str, Callable[[int, int], Request]] = {
        "redeem": lambda n, _: sold[n],
        "other meaning": lambda n, points: replace(sold[n], amount=points),
        "spend": lambda n, points: create_redeem(
            house, holders[n], "cinema", amount=points, pin="000000" if points % 7 == 0 else PIN
        ),
        "hold": lambda n, points: held[n] if points % 2 else create_hold(house, holders[n], amount=points),
        "capture": lambda n, points: captured[n] if points % 2 else create_capture(held[n], points),
        "release": lambda n, _: create_release(held[n]),
        "reverse sale": lambda n, _: create_reversal(sold[n]),
        "reverse hold": lambda n, _: create_reversal(held[n]),
        "reverse capture": lambda n, _: create_reversal(captured[n]),
        "refund sale": lambda n, points: create_refund(sold[n], points % 40 or None),
        "refund capture": lambda n, points: create_refund(captured[n], points % 12 or None),
        "status": lambda n, points: create_status(sold[n], fence=bool(points % 2)),
        "grant": lambda n, points: create_grant(house, holders[n], points),
        "adjust": lambda n, points: create_adjust(holders[n], points),
        "inquire": lambda n, _: create_inquiry(house, holders[n], pin=PIN),
        "expire": lambda n, _: create_expire(holders[n]),
        "new PIN": lambda n, points: create_pin_change(house, holders[n], PIN, fit=bool(points % 3)),
    }
    return [asked[what](which % len(holders), points) for what, which, points in plan]


WHAT = (
    "redeem", "other meaning", "spend", "hold", "capture", "release", "reverse sale", "reverse hold",
    "reverse capture", "refund sale", "refund capture", "status", "grant", "adjust", "inquire", "expire",
    "new PIN",
)  # fmt: skip
TABLES = {
    "transaction": "account_id, id", "entry": "account_id, transaction_id, lot_id",
    "hold": "account_id, transaction_id", "hold_lot": "account_id, transaction_id, lot_id", "account": "id",
    "lot": "id", "card": "id", "misuse": "account_id, id",
}  # fmt: skip
NUMBERED = ("transaction_id", "reverses", "ends", "refunds")


def written(books: Books) -> dict[str, list[dict[str, Any]]]:
    """All rows, by name. Ids of transactions count from 0 in each account: those not used leave gaps."""
    found: dict[str, list[dict[str, Any]]] = {}
    with books.database.transaction(Scope.everything()) as connection:
        for table, order in TABLES.items():
            result = connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}"))
            found[table] = [dict(row._mapping) for row in result]
    numbers = {row["id"]: f"transaction {place}" for place, row in enumerate(found["transaction"])}
    for listed in found.values():
        for row in listed:
            row.update({name: numbers[row[name]] for name in NUMBERED if row.get(name) is not None})
    for row in found["transaction"]:
        row["id"] = numbers[row["id"]]
        if row["kind"] in ("lapse", "expiry") and row["txid"].hex.startswith("7e55e7a0"):
            row["txid"] = numbers[row["txid"].int % 2**62]  # it says what it is about
        elif row["kind"] == "grant" and row["posted_at"] == NOW and row["business_date"] == YESTERDAY:
            row.update(txid=None, meaning=None)  # what gives each holder its points is made anew each time
    for row in found["misuse"]:
        del row["id"]
    return found


@settings(max_examples=14, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plans=st.tuples(
        *(
            st.lists(
                st.tuples(st.sampled_from(WHAT), st.integers(0, 3), st.integers(5, 600)),
                min_size=size,
                max_size=30,
            )
            for size in (1, 6)
        )
    )
)
def test_a_batch_of_n_writes_the_same_rows_as_n_batches_of_one(
    postgres: Any, template: str, plans: tuple[Plan, Plan]
) -> None:
    """Two rounds: on the second day some points have expired, and holds of the first have lapsed."""
    results = []
    rounds: list[list[Request]] = []
    for together in (True, False):
        with own_books(postgres, template) as books:
            holders = [create_saver(books, points) for points in (30, 500, 1_000)]
            # The second database has the same ids, for its sequences start anew.
            rounds = rounds or [make_requests(books.house, holders, plan) for plan in plans]
            answers = []
            for requests, now in zip(rounds, (EARLIER, NOW), strict=True):
                batches = [requests] if together else [[request] for request in requests]
                answers += [said(outcome) for batch in batches for outcome in books.post(*batch, now=now)]
                if now is EARLIER:
                    books.open_day(TODAY)
            results.append((answers, written(books)))
            with books.database.transaction(Scope.everything()) as connection:
                assert breaches(connection) == []
    assert results[0] == results[1]


@contextmanager
def own_books(postgres: Any, template: str) -> Iterator[Books]:
    """Books in a database of their own, from the day before."""
    name = "twins"
    postgres.create_database(name, template)
    try:
        urls = TestDatabase(
            name, *(postgres.url(f"tessera_{role}", name) for role in ("owner", "server", "site"))
        )
        books = Books(urls, today=YESTERDAY)
        try:
            yield books
        finally:
            books.database.close()
    finally:
        postgres.drop_database(name)


def said(outcome: Outcome) -> tuple[Any, ...]:
    """Everything that an answer says, but for its row."""
    return tuple(getattr(outcome, each.name) for each in fields(outcome) if each.name != "transaction")


def create_saver(books: Books, points: int) -> Holder:
    """Somebody with points of whom some expire at the end of the first day, and a limit for the day."""
    holder = books.holder(points=points, expires_on=YESTERDAY)
    with books.database.transaction(Scope.everything()) as connection:
        grant_points(connection, books.house, holder.account, points)
        connection.execute(
            text("UPDATE card SET day_limit_points = 900 WHERE id = :id"), {"id": holder.card.id}
        )
    return holder


def test_round_trips_and_statements_do_not_depend_on_the_size_of_the_batch(books: Books) -> None:
    counts = []
    for size in (2, 7, 60):
        holders = [books.holder(points=5_000) for _ in range(min(size, 12))]
        requests: list[Request] = []
        for n in range(size):
            holder = holders[n % len(holders)]
            redeem = create_redeem(books.house, holder, pin="000000" if n == 0 else PIN)
            hold = create_hold(books.house, holder, amount=10)
            requests += [redeem, create_grant(books.house, holder, 5), create_refund(redeem), hold]
            requests += [create_capture(hold, 10), replace(redeem, quantity=9), create_reversal(redeem)]
        round_trips, statements = _count(books, requests)
        counts.append((round_trips, statements))
    assert counts[0] == counts[1] == counts[2]
    round_trips, statements = counts[0]
    # Two, for the last one carries its commit with it; at most three are allowed, for any mixture.
    assert round_trips == 2
    assert statements == len(PREPARED)


def test_a_batch_asks_nothing_about_kinds_that_are_not_in_it(books: Books) -> None:
    holder = books.holder()
    _, statements = _count(books, [create_redeem(books.house, holder)])
    assert statements == len(PREPARED) - len(
        ("entries", "grace", "lots", "holds", "hold lots", "misuses", "cards")
    )


def _count(books: Books, requests: list[Request]) -> tuple[int, int]:
    with books.database.transaction(Scope.everything()) as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        running = stages(requests, None)
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
