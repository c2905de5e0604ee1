"""Searching finds exactly what fits, page by page, for every kind of asker, along the right index."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from ledger.database import Scope
from ledger.finding import is_transaction, member_of_code, transaction_of_txid
from ledger.transaction_details import read_transaction
from ledger.transaction_lists import Asked, accounts_of_card, accounts_of_member, search
from ledger.walks import NO_BOUND, Whose, walk_of
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    create_capture,
    create_hold,
    create_house,
    create_redeem,
    create_refund,
    create_reversal,
)

TOMORROW = TODAY + timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass
class World:
    books: Books
    rows: list[dict[str, Any]]
    holder: Holder
    askers: list[tuple[Scope, Whose]]


@pytest.fixture(scope="module")
def world(module_database_urls: TestDatabase) -> Iterator[World]:
    """Two houses and two days, with every kind of sale and of its undoing."""
    books = Books(module_database_urls)
    ours, theirs = books.house, books.change(create_house)
    for days, house in ((0, ours), (0, theirs), (1, ours)):
        books.open_day(TODAY + timedelta(days=days), now=NOW + HOUR)
        books.now = NOW + timedelta(days=days)
        books.house = house
        holder = books.holder(points=1_000)
        sale, undone, hold = (
            create_redeem(house, holder), create_redeem(house, holder), create_hold(house, holder),
        )  # fmt: skip
        books.post(sale, undone, hold, create_redeem(house, holder, quantity=50))
        books.post(
            create_refund(sale, 50), create_reversal(undone), create_capture(hold, 250),
            now=books.now + HOUR / 2,
        )  # fmt: skip
    with books.database.transaction(Scope.everything()) as connection:
        rows = [
            dict(row._mapping) for row in connection.execute(text("SELECT * FROM transaction ORDER BY id"))
        ]
    askers = [(Scope.everything(), Whose(ours.operator, "operator"))]
    for house in (ours, theirs):
        askers.append((Scope.tenant(house.enterprise), Whose(house.enterprise, "enterprise")))
        askers.append((Scope.tenant(house.merchant), Whose(house.merchant, "merchant")))
    yield World(books, rows, holder, askers)
    books.database.close()


COLUMNS = {
    "id": "id", "txid": "txid", "tail": "card_tail", "enterprise": "enterprise_id", "merchant": "merchant_id",
    "store": "store_id", "terminal": "terminal_id", "service": "service_id", "kind": "kind", "code": "code",
    "points_from": "points", "points_to": "points", "since": "business_date", "until": "business_date",
    "posted_from": "posted_at", "posted_to": "posted_at",
}  # fmt: skip


def fits(row: dict[str, Any], asked: Asked) -> bool:
    """What searching means, said a second time and plainly."""
    for name, column in COLUMNS.items():
        wanted, value = getattr(asked, name), row[column]
        if wanted is None:
            continue
        if value is None:
            return False
        if name in {"points_from", "since", "posted_from"}:
            right = value >= wanted
        elif name in {"points_to", "until", "posted_to"}:
            right = value <= wanted
        else:
            right = value == wanted
        if not right:
            return False
    if asked.accounts is not None and (row["slot"], row["account_id"]) not in asked.accounts:
        return False
    return asked.outcome == "all" or (asked.outcome == "approved") == (row["code"] == 0)


@settings(max_examples=60)
@given(st.data())
def test_pages_together_are_exactly_what_fits(world: World, data: st.DataObject) -> None:
    like = data.draw(st.sampled_from(world.rows), "like")
    names = data.draw(st.sets(st.sampled_from([*COLUMNS, "accounts"]), max_size=3), "names")
    asked = Asked(outcome=data.draw(st.sampled_from(["all", "approved", "refused"]), "outcome"))
    for name in names - {"code"} if like["code"] == 0 else names:
        value: Any = ((like["slot"], like["account_id"]),) if name == "accounts" else like[COLUMNS[name]]
        asked = replace(asked, **{name: value})
    scope, whose = data.draw(st.sampled_from(world.askers), "asker")
    tenant = whose.tenant_id
    expected = [
        row["id"]
        for row in reversed(world.rows)
        if fits(row, asked) and (whose.everybody or tenant in (row["enterprise_id"], row["merchant_id"]))
    ]
    found, before = [], None
    with world.books.database.transaction(scope) as connection:
        for _ in range(len(world.rows) + 2):
            page = search(connection, asked, whose, before=before, limit=2, scan=3)
            found += [line.id for line in page.lines]
            if page.more:
                before = page.lines[-1].id
            elif page.reached:
                before = page.reached[0]
            else:
                break
    assert found == expected


@pytest.mark.parametrize("kind", ["enterprise", "merchant"])
def test_a_tenants_list_is_read_along_its_own_index(world: World, kind: Any) -> None:
    walk = walk_of(kind)
    sql = f"EXPLAIN SELECT * FROM transaction WHERE {walk.where} ORDER BY {walk.order} LIMIT 20"
    with world.books.database.transaction(Scope.tenant(world.books.house.merchant)) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_sort = off"))
        asked = {"walk": 1, "before": NO_BOUND, "least": 0}
        plan = "\n".join(connection.execute(text(sql), asked).scalars())
    assert f"Index Scan Backward using transaction_{kind}_idx" in plan
    assert "Sort" not in plan


def test_a_batch_is_found_under_its_terminal(world: World) -> None:
    with world.books.database.transaction(Scope.everything()) as connection:
        asked = Asked(terminal=world.books.house.terminal, batch=1)
        assert search(connection, asked, world.askers[0][1]).lines == []


def test_what_people_type_is_found_within_the_scope(world: World) -> None:
    card, row = world.holder.card, world.rows[-1]
    house = world.books.house
    seen = {}
    for name, scope in {"ours": Scope.tenant(house.enterprise), "shop": Scope.tenant(house.merchant)}.items():
        with world.books.database.transaction(scope) as connection:
            code = "SELECT m.code FROM member m JOIN account a ON a.member_id = m.id WHERE a.id = :id"
            code = connection.execute(text(code), {"id": row["account_id"]}).scalar() or "C1"
            seen[name] = (
                accounts_of_card(connection, card.number),
                accounts_of_member(connection, code),
                member_of_code(connection, code) is not None,
                transaction_of_txid(connection, row["txid"]),
                is_transaction(connection, row["id"]),
            )
    key = ((row["slot"], row["account_id"]),)
    assert seen["ours"] == (key, key, True, row["id"], True)
    assert seen["shop"] == ((), (), False, row["id"], True)
    with world.books.database.transaction(Scope.everything()) as connection:
        assert not is_transaction(connection, NO_BOUND - 1)


def test_a_transaction_is_read_with_all_that_belongs_to_it(world: World) -> None:
    hold, capture = (
        next(row for row in reversed(world.rows) if row["kind"] == kind) for kind in ("hold", "capture")
    )
    with world.books.database.transaction(Scope.everything()) as connection:
        of_hold = read_transaction(connection, hold["id"])
        of_capture = read_transaction(connection, capture["id"])
    assert of_hold is not None
    assert of_capture is not None
    assert [line.id for line in of_hold.related] == [capture["id"]]
    assert [line.id for line in of_capture.related] == [hold["id"]]
    assert of_hold.hold is not None
    assert sum(points for _, points in of_hold.hold.lots) == of_hold.hold.points == 300
    assert of_hold.entries == []
    (entry,) = of_capture.entries
    assert (entry.from_side, entry.to_side, entry.points, entry.lot_kind) == (
        "member",
        "merchant",
        250,
        "granted",
    )
    other = world.askers[3][0]
    with world.books.database.transaction(other) as connection:
        assert read_transaction(connection, hold["id"]) is None
