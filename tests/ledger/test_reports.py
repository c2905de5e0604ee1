"""What pages show of the books: the latest transactions, and what expires."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, text
from sqlalchemy.event import listen

from ledger import books, businessday
from ledger.database import Database, Scope
from ledger.reports import (
    EXPIRING,
    Expiring,
    MemberExpiring,
    TransactionLine,
    expiring,
    member_expiring,
)
from ledger.transaction_lists import Asked, Outcome, search
from ledger.walks import Whose
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import (
    NOW,
    TODAY,
    House,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_holder,
    create_house,
    create_pin_change,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    grant_points,
)

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


def latest(
    connection: Connection, outcome: Outcome = "all", *, before: int | None = None, limit: int = 30
) -> list[TransactionLine]:
    """The newest of all that the scope shows."""
    asked, whose = Asked().only(outcome), Whose(0, "operator")
    return search(connection, asked, whose, before=before, limit=limit).lines


def test_lines_tell_the_story_newest_first(world: World) -> None:
    with world.database.transaction(Scope.tenant(world.house.enterprise)) as connection:
        lines = latest(connection)
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
        every = [line.id for line in latest(connection)]
        approved = [line.id for line in latest(connection, "approved")]
        refused = [line.id for line in latest(connection, "refused")]
        assert every == sorted(every, reverse=True)
        assert sorted(approved + refused, reverse=True) == every
        assert len(refused) == 1
        paged: list[int] = []
        while page := latest(connection, before=paged[-1] if paged else None, limit=2):
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
            counts[name] = len(latest(connection))
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
        statements: list[tuple[str, Any]] = []
        listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2:4]))
        assert latest(connection, outcome)
        statement, values = statements[0]
        plan = "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, values).scalars())
    by = "transaction_refused_idx" if outcome == "refused" else "transaction_id_idx"
    assert f"Index Scan Backward using {by}" in plan
    assert "Seq Scan on transaction" not in plan
    assert "Sort" not in plan.partition(by)[2]
    for index in ("transaction_reverses_key", "transaction_ends_key", "transaction_refunds_idx", "hold_pkey"):
        assert f"using {index}" in plan


# ---- every kind of transaction -----------------------------------------------------------------------

AFTER = NOW + timedelta(hours=2)  # when the holds of these tests are over


def test_a_line_says_what_each_kind_did_and_what_became_of_it(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as desk:
        house, holder = desk.house, desk.holder(expires_on=TODAY)
        taken, freed, undone, lapsing = (create_hold(house, holder, amount=each) for each in (90, 80, 70, 60))
        desk.post(taken, freed, undone, lapsing)
        capture = create_capture(taken, 50)
        desk.post(capture, create_release(freed), create_reversal(undone))
        desk.post(create_refund(capture, 20), create_refund(capture, 5), create_pin_change(house, holder))
        bought = create_redeem(house, holder, "cinema", amount=40, pin="271828")
        desk.post(bought, create_reversal(bought), create_reversal(create_redeem(house, holder)))
        with desk.database.transaction(Scope.everything()) as connection:
            businessday.advance(connection, TODAY + timedelta(days=1), NOW)
        desk.one(create_expire(holder), now=AFTER)
        with desk.database.transaction(Scope.everything()) as connection:
            lines = latest(connection)

        def told(line: TransactionLine) -> tuple[object, ...]:
            return line.kind, line.points, line.change, line.reversed, line.refunded, line.hold_state(NOW)

        assert [told(line) for line in lines] == [
            ("expiry", 975, -975, False, 0, None),
            ("lapse", 60, 0, False, 0, None),
            ("tombstone", 0, 0, False, 0, None),
            ("reversal", 0, 0, False, 0, None),
            ("reversal", 40, 40, False, 0, None),
            ("redeem", 40, -40, True, 0, None),
            ("pin_change", 0, 0, False, 0, None),
            ("refund", 5, 5, False, 0, None),
            ("refund", 20, 20, False, 0, None),
            ("reversal", 70, 0, False, 0, None),
            ("release", 80, 0, False, 0, None),
            ("capture", 50, -50, False, 25, None),
            ("hold", 60, 0, False, 0, "expired"),
            ("hold", 70, 0, True, 0, "reversed"),
            ("hold", 80, 0, False, 0, "released"),
            ("hold", 90, 0, False, 0, "captured"),
            ("grant", 1_000, 1_000, False, 0, None),
        ]
        assert sum(line.change for line in lines) == desk.posted(holder) == 0


def test_a_hold_is_open_until_its_time_is_over(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as desk:
        holder = desk.holder()
        desk.post(create_hold(desk.house, holder, seconds=60), create_hold(desk.house, holder, amount=9_999))
        over = NOW + timedelta(seconds=60)
        with desk.database.transaction(Scope.tenant(desk.house.enterprise)) as connection:
            refused, held, _ = latest(connection)
        assert (held.kind, held.held_until) == ("hold", over)
        assert held.hold_state(over - timedelta(seconds=1)) == "open"
        assert held.hold_state(over) == "expired"
        assert (refused.kind, refused.hold_state(over)) == ("hold", None)


# ---- what expires ----------------------------------------------------------------------------------


def day(count: int) -> date:
    return TODAY + timedelta(days=count)


def test_an_enterprise_sees_what_expires_by_day_and_funder(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as desk:
        house = desk.house
        first, second = desk.holder(points=100, expires_on=day(5)), desk.holder(points=30, expires_on=day(5))
        desk.holder(points=999)  # never
        with desk.database.transaction(Scope.everything()) as connection:
            other = create_house(connection)
            create_holder(connection, other, points=7, expires_on=day(5))
            grant_points(connection, house, first.account, 40, expires_on=day(2))
            grant_points(connection, house, first.account, 11, expires_on=day(5))
            grant_points(connection, house, second.account, 60, expires_on=TODAY)
        by_merchant = create_grant(house, second, 25)
        desk.one(replace(by_merchant, funder=house.merchant, expires_on=day(5)))
        desk.post(create_hold(house, second, amount=70), create_redeem(house, first, "cinema", amount=45))
        names = dict(desk.ask("SELECT id, name FROM organisation"))
        with desk.database.transaction(Scope.tenant(house.enterprise)) as connection:
            found = expiring(connection)
            assert expiring(connection, most=2) == found[:2]
            assert expiring(connection, until=day(4)) == found[:1]
        ours, shop = house.enterprise, house.merchant
        assert found == [
            Expiring(TODAY, ours, names[ours], points=60, held=60, accounts=1),
            Expiring(day(5), ours, names[ours], points=136, held=10, accounts=2),
            Expiring(day(5), shop, names[shop], points=25, held=0, accounts=1),
        ]


def test_what_has_expired_is_no_news_and_what_is_spent_is_not_lost(database_urls: TestDatabase) -> None:
    with opened_books(database_urls) as desk:
        holder = desk.holder(points=100, expires_on=TODAY)
        account = holder.account
        with desk.database.transaction(Scope.everything()) as connection:
            grant_points(connection, desk.house, account, 40, expires_on=day(3), lot_kind="promotional")
            grant_points(connection, desk.house, account, 8, expires_on=day(3))
            grant_points(connection, desk.house, account, 500)
            assert member_expiring(connection, account.slot, account.id) == [
                MemberExpiring(TODAY, "granted", points=100, held=0),
                MemberExpiring(day(3), "granted", points=8, held=0),
                MemberExpiring(day(3), "promotional", points=40, held=0),
            ]
            businessday.advance(connection, day(1), NOW)
        desk.post(
            create_redeem(desk.house, holder, "cinema", amount=30),
            create_hold(desk.house, holder, amount=12),
        )
        with desk.database.transaction(Scope.everything()) as connection:
            assert member_expiring(connection, account.slot, account.id) == [
                MemberExpiring(day(3), "granted", points=8, held=2),
                MemberExpiring(day(3), "promotional", points=10, held=10),
            ]
            assert [line.points for line in expiring(connection)] == [18]


@pytest.mark.parametrize("scope", ["operator", "tenant"])
def test_what_expires_is_read_by_index_day_by_day(
    world: World, database_urls: TestDatabase, scope: str
) -> None:
    with world.database.transaction(Scope.everything()) as connection:
        connection.execute(
            text(
                """INSERT INTO lot (slot, account_id, id, enterprise_id, funder_id, kind, granted, remaining,
                                    expires_on)
                   SELECT l.slot, l.account_id, nextval('lot_id_seq'), l.enterprise_id, l.funder_id, l.kind,
                          1, 1, DATE '2026-01-01' + n % 1000
                   FROM lot l, generate_series(1, :many) n WHERE l.id = (SELECT min(id) FROM lot)"""
            ),
            {"many": 10 * MANY},
        )
    owner = Database(database_urls.owner, pool_size=1)
    with owner.transaction(Scope.everything()) as connection:
        connection.execute(text("ANALYZE lot"))
    owner.close()
    seen = Scope.everything() if scope == "operator" else Scope.tenant(world.house.enterprise)
    with world.database.transaction(seen) as connection:
        plan = "\n".join(
            connection.execute(text(f"EXPLAIN {EXPIRING.text}"), {"until": date.max, "most": 10}).scalars()
        )
        found = expiring(connection, most=10)
    assert "using lot_expires_on_idx" in plan
    assert "Seq Scan on lot" not in plan
    assert "Incremental Sort" in plan, "a day is added up when it is complete, the later ones are not read"
    assert [line.last_day for line in found] == [day(count) for count in range(10)]
