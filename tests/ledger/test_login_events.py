"""The history of logins, and the count of wrong ones from one network."""

from datetime import timedelta

import pytest

from ledger.database import Database, Scope
from ledger.login_events import (
    BROWSER_MOST,
    WRONG_MOST,
    WRONG_WITHIN,
    Visitor,
    login_history,
    may_try,
    record_login,
)
from ledger.staff import authenticate, create_staff
from tests.conftest import TestDatabase
from tests.factories import NOW, create_house


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_a_place_is_an_address_or_half_of_a_long_one(address: str, network: str) -> None:
    assert Visitor.seen(address, None).network == network


def test_what_a_browser_says_is_cut_and_cleaned() -> None:
    assert Visitor.seen(None, "A\x00B\n" + "x" * 1000) == Visitor("", "AB" + "x" * (BROWSER_MOST - 2))


def test_who_guesses_from_one_place_is_stopped_there_and_nowhere_else(database_urls: TestDatabase) -> None:
    database = Database(database_urls.site)
    here, there = Visitor.seen("192.0.2.7", "Firefox"), Visitor.seen("192.0.2.8", "Firefox")
    with database.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        lin = create_staff(
            connection, organisation_id=house.merchant, login="lin", name="Lin", password="a long walk"
        )
    for login in ("lin", "nobody", "no\x00body"):
        assert authenticate(database, login, "wrong", now=NOW, visitor=here) is None
    with database.transaction(Scope.everything()) as connection:
        for _ in range(WRONG_MOST - 4):
            record_login(connection, here, "unknown", staff=None, tenant=None, now=NOW)
        record_login(connection, here, "in", staff=lin, tenant=house.merchant, now=NOW)
        assert may_try(connection, here, now=NOW)
        record_login(connection, here, "wrong_code", staff=lin, tenant=house.merchant, now=NOW)
        assert not may_try(connection, here, now=NOW)
        assert may_try(connection, there, now=NOW)
        assert may_try(connection, here, now=NOW + WRONG_WITHIN + timedelta(seconds=1))
    with database.transaction(Scope.tenant(house.merchant)) as connection:
        outcomes = {line.outcome for line in login_history(connection, lin, most=10)}
        assert outcomes == {"wrong_password", "in", "wrong_code"}
    with database.transaction(Scope.tenant(house.enterprise)) as connection:
        assert login_history(connection, lin, most=10) == []
    database.close()
