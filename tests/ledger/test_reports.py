from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import pytest
from sqlalchemy import text

from ledger import books
from ledger.database import Database, Scope
from ledger.reports import LATEST_BY_OUTCOME, NO_BOUND, Outcome, latest_transactions
from tests.conftest import TestDatabase
from tests.factories import NOW, TODAY, House, create_holder, create_house, create_redeem, create_reversal

MANY = 5_000  # rows: enough that PostgreSQL would rather not read them all


@dataclass(frozen=True)
class World:
    database: Database
    house: House
    other: House


@pytest.fixture
def world(database_urls: TestDatabase) -> Iterator[World]:
    """Two houses; ours has, in this order, a grant, a redemption, a refusal and a reversal."""
    database = Database(database_urls.site, pool_size=2)
    with database.transaction(Scope.everything()) as connection:
        house, other = create_house(connection), create_house(connection)
        holder = create_holder(connection, house, points=300)
        create_holder(connection, other, points=7)
        debit = create_redeem(house, holder)
        books.post(connection, [debit, create_redeem(house, holder, quantity=5)], NOW)
        books.post(connection, [create_reversal(debit)], NOW)
    yield World(database, house, other)
    database.close()


def test_lines_tell_the_story_newest_first(world: World) -> None:
    with world.database.transaction(Scope.tenant(world.house.enterprise)) as connection:
        lines = latest_transactions(connection)
    assert [(line.kind, line.code, line.change, line.balance, line.reversed) for line in lines] == [
        ("reversal", 0, 120, 300, False),
        ("redeem", 1016, 0, 180, False),
        ("redeem", 0, -120, 180, True),
        ("grant", 0, 300, 300, False),
    ]
    assert {line.business_date for line in lines} == {TODAY}
    assert {line.posted_at for line in lines} == {NOW}
    debit = lines[2]
    assert (debit.store, debit.service, debit.service_zh) == ("Store 1", "Wash", "服务 wash")
    assert debit.terminal is None  # the devices of a merchant are not its customers' enterprise's business


def test_outcomes_and_pages(world: World) -> None:
    with world.database.transaction(Scope.everything()) as connection:
        every = [line.id for line in latest_transactions(connection)]
        approved = [line.id for line in latest_transactions(connection, outcome="approved")]
        refused = [line.id for line in latest_transactions(connection, outcome="refused")]
        assert every == sorted(every, reverse=True)
        assert sorted(approved + refused, reverse=True) == every
        assert len(refused) == 1
        paged: list[int] = []
        while page := latest_transactions(connection, before=paged[-1] if paged else None, limit=2):
            assert len(page) <= 2
            paged += [line.id for line in page]
        assert paged == every


def test_each_tenant_sees_its_own(world: World) -> None:
    counts = {}
    for name, tenant in (
        ("enterprise", world.house.enterprise),
        ("merchant", world.house.merchant),
        ("other enterprise", world.other.enterprise),
        ("other merchant", world.other.merchant),
    ):
        with world.database.transaction(Scope.tenant(tenant)) as connection:
            counts[name] = len(latest_transactions(connection))
    # The grant is between enterprise and member; refusals of a merchant's terminal are its own.
    assert counts == {"enterprise": 4, "merchant": 3, "other enterprise": 1, "other merchant": 0}


@pytest.mark.parametrize("outcome", get_args(Outcome))
@pytest.mark.parametrize("scope", ["operator", "tenant"])
def test_the_latest_are_read_by_index(
    world: World, database_urls: TestDatabase, outcome: Outcome, scope: str
) -> None:
    with world.database.transaction(Scope.everything()) as connection:
        connection.execute(
            text(
                """INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at,
                       business_date, enterprise_id, merchant_id, meaning)
                   SELECT t.slot, t.account_id, nextval('transaction_id_seq'), 0, gen_random_uuid(), 'grant',
                       n % 2 * 1016, t.posted_at, t.business_date, t.enterprise_id, :merchant, t.meaning
                   FROM transaction t, generate_series(1, :many) n
                   WHERE t.id = (SELECT min(id) FROM transaction)"""
            ),
            {"many": MANY, "merchant": world.house.merchant},
        )
    owner = Database(database_urls.owner, pool_size=1)
    with owner.transaction(Scope.everything()) as connection:
        connection.execute(text("ANALYZE transaction"))  # the tests' server has no autovacuum
    owner.close()
    seen = Scope.everything() if scope == "operator" else Scope.tenant(world.house.merchant)
    with world.database.transaction(seen) as connection:
        plan = "\n".join(
            connection.execute(
                text("EXPLAIN " + LATEST_BY_OUTCOME[outcome]), {"before": NO_BOUND, "limit": 31}
            ).scalars()
        )
    assert "Index Scan Backward using transaction_id_idx" in plan
    assert "Seq Scan on transaction" not in plan
    assert "Sort" not in plan.partition("transaction_id_idx")[2]
