"""Prices as people look at them: what is in the way, an end, many at once."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger import merchants
from ledger.database import Database, Scope
from ledger.merchants import PriceRefused
from ledger.price_list import (
    Agreement,
    NewTerms,
    agreements,
    change_many,
    end_agreement,
    in_the_way,
    running_on,
    sold_at,
    sold_by,
)
from tests.conftest import TestDatabase
from tests.factories import TODAY, House, create_house, create_price


def days(count: int) -> date:
    return TODAY + timedelta(days=count)


@pytest.fixture(scope="module")
def database(module_database_urls: TestDatabase) -> Iterator[Database]:
    opened = Database(module_database_urls.site, pool_size=1)
    yield opened
    opened.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """A transaction that is taken back, so that each test has its own world."""
    with database.engine.connect() as opened, opened.begin() as transaction:
        opened.exec_driver_sql("SELECT set_config('tessera.tenant', '0', true)")
        yield opened
        transaction.rollback()


@pytest.fixture
def house(connection: Connection) -> House:
    return create_house(connection)


def spans(connection: Connection, house: House, code: str) -> list[tuple[int, date | None, date | None]]:
    known = agreements(connection, house.merchant, house.services[code])
    return [(each.points, each.since, each.until) for each in known]


def agreement(number: int, since: int, length: int | None) -> Agreement:
    until = None if length is None else days(since + length)
    return Agreement(
        id=number, since=days(since), until=until, points=1, settlement_minor=0, currency="CNY", open=False,
        min_points=None, max_points=None,
    )  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=4),
    st.integers(0, 30),
    st.none() | st.integers(0, 12),
)
def test_what_is_in_the_way_is_what_shares_a_day_and_does_not_give_way(
    gaps: list[tuple[int, int]], since: int, length: int | None
) -> None:
    """Against a count of days one by one."""
    known, day = [], 0
    for number, (gap, size) in enumerate(gaps):
        known.append(agreement(number, day + gap, size))
        day += gap + size + 1
    last = 200 if length is None else since + length
    held = {number: {days(at) for at in range(250) if each.has_day(days(at), days(at))}
            for number, each in enumerate(known)}  # fmt: skip
    running = next((number for number, own in held.items() if days(since) in own), None)
    if running is not None and length is None:
        last = (max(held[running]) - TODAY).days
    wanted = {days(at) for at in range(since, last + 1)}
    clashes = [number for number, own in held.items() if number != running and own & wanted]
    found = in_the_way(known, days(since), None if length is None else days(since + length))
    assert (found.id if found is not None else None) == (min(clashes) if clashes else None)


def test_an_agreement_ends_sooner_and_one_to_come_is_withdrawn(connection: Connection, house: House) -> None:
    running = house.prices["wash"]
    end_agreement(connection, running, days(9))
    following = create_price(connection, house, "wash", points=150, since=days(10))
    assert spans(connection, house, "wash") == [(150, days(10), None), (120, date(2020, 1, 1), days(9))]
    end_agreement(connection, following, None)
    assert spans(connection, house, "wash")[-1] == (150, None, None)
    assert spans(connection, house, "wash")[0] == (120, date(2020, 1, 1), days(9))
    end_agreement(connection, running, TODAY)
    wrong: list[tuple[int, date | None, str]] = [
        (running, TODAY, "ended"), (running, days(1), "ended"), (running, days(-1), "passed"),
        (running, None, "in_force"), (following, days(20), "ended"),
        (house.prices["cinema"], days(-1), "passed"),
    ]  # fmt: skip
    for price, last_day, why in wrong:
        with pytest.raises(PriceRefused) as refused:
            end_agreement(connection, price, last_day)
        assert refused.value.why == why, (price, last_day)


def test_many_change_together_or_not_at_all(connection: Connection, house: House) -> None:
    create_price(connection, house, "spa", points=30, until=days(5))
    version = merchants.catalogue_version(connection)
    found = {each.code: each for each in running_on(connection, days(1), merchants=None, most=99)}
    terms = [NewTerms(found[code].price, found[code].until, 40, 300) for code in ("spa", "wash")]
    with pytest.raises(PriceRefused) as refused, connection.begin_nested():
        change_many(connection, [terms[0], NewTerms(terms[1].price, days(3), 40, 300)], since=days(1))
    assert refused.value.why == "changed"
    assert len(spans(connection, house, "spa")) == 1
    change_many(connection, terms, since=days(1))
    assert spans(connection, house, "spa") == [(40, days(1), days(5)), (30, date(2020, 1, 1), TODAY)]
    assert spans(connection, house, "wash") == [(40, days(1), None), (120, date(2020, 1, 1), TODAY)]
    assert merchants.catalogue_version(connection) > version
    for since, why in ((TODAY, "in_force"), (days(-1), "passed")):
        with pytest.raises(PriceRefused) as refused:
            change_many(connection, terms, since=since)
        assert refused.value.why == why


def test_lists_show_the_price_in_force_else_the_next_else_the_last(
    connection: Connection, house: House
) -> None:
    create_price(connection, house, "spa", points=1, until=days(-9))
    create_price(connection, house, "spa", points=2, since=days(-5), until=days(-2))
    create_price(connection, house, "golf", points=3, since=days(5), until=days(6))
    create_price(connection, house, "golf", points=4, since=days(7))
    create_price(connection, house, "tea", points=5, until=days(1))
    create_price(connection, house, "tea", points=6, since=days(2))
    shown = {each.code: each for each in sold_at(connection, house.merchant, today=TODAY)}
    assert {code: (each.points, each.state(TODAY), each.next_since) for code, each in shown.items()} == {
        "cinema": (1, "present", None),
        "golf": (3, "future", days(7)),
        "spa": (2, "past", None),
        "tea": (5, "present", days(2)),
        "wash": (120, "present", None),
    }
    page = sold_at(connection, house.merchant, today=TODAY, after="golf", most=2)
    assert [each.code for each in page] == ["spa", "tea"]


def test_a_merchant_sees_no_price_of_another(database: Database) -> None:
    with database.transaction(Scope.everything()) as connection:
        ours, theirs = create_house(connection), create_house(connection)
        service = ours.services["wash"]
        assert {each.merchant_id for each in sold_by(connection, service, today=TODAY)} >= {
            ours.merchant, theirs.merchant,
        }  # fmt: skip
    with database.transaction(Scope.tenant(ours.merchant)) as connection:
        assert [each.merchant_id for each in sold_by(connection, service, today=TODAY)] == [ours.merchant]
        assert sold_at(connection, theirs.merchant, today=TODAY) == []
        assert agreements(connection, theirs.merchant, service) == []
