"""The demonstration data: right books, and something of everything to look at."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, text

from ledger import (
    budgets,
    businessday,
    merchant_details,
    merchants,
    organisation_tree,
    reports,
    services,
    staff,
    totals,
    trail,
)
from ledger.audit import breaches
from ledger.database import Database, Scope
from ledger.days import latest_days
from ledger.invitations import open_invitations
from ledger.keyring import Keyring
from ledger.member_search import find_members, list_members
from ledger.personal import PersonalKeys
from ledger.point_orders import waiting_for
from ledger.staff import StaffProfile
from ledger.transaction_lists import Asked, search
from ledger.walks import Whose
from scripts import demonstration
from scripts.demonstration_record import Demonstration
from scripts.demonstration_terminal import NAME
from tests.conftest import TestDatabase
from tests.factories import create_keyring


@dataclass(frozen=True)
class Town:
    """Demonstration data in a database, which nothing here changes."""

    shown: Demonstration
    keyring: Keyring
    connection: Connection

    def people(self) -> dict[str, StaffProfile]:
        """Who may log in, by login."""
        names = [login.name for login in self.shown.logins]
        rows = self.connection.execute(
            text("SELECT id, login FROM staff WHERE login = ANY(:names)"), {"names": names}
        )
        profiles = {row.login: staff.staff_by_id(self.connection, row.id) for row in rows}
        return {login: profile for login, profile in profiles.items() if profile is not None}


@pytest.fixture(scope="module")
def town(module_database_urls: TestDatabase) -> Iterator[Town]:
    keyring = create_keyring()
    shown = demonstration.load(module_database_urls.site, keyring)
    database = Database(module_database_urls.site, pool_size=1)
    with database.transaction(Scope.everything()) as connection:
        yield Town(shown, keyring, connection)
    database.close()


def test_the_demonstration_has_something_of_everything(town: Town) -> None:
    shown, connection = town.shown, town.connection
    assert [login.name for login in shown.logins] == [
        "operator", "merchant", "enterprise", "points-desk", "store-keeper",
    ]  # fmt: skip
    assert len(shown.cards) == 2
    assert breaches(connection) == []
    today = businessday.business_date(connection)
    assert today is not None
    lines = search(connection, Asked(), Whose(0, "operator"), limit=200).lines
    terminal = connection.execute(
        text("SELECT id FROM terminal WHERE name = :name"), {"name": NAME}
    ).scalar_one()
    offers = {offer.code: offer for offer in merchants.catalogue(connection, terminal, most=50)}
    assert reports.expiring(connection)
    statuses = Counter(connection.execute(text("SELECT status FROM card")).scalars())
    kinds = connection.execute(text("SELECT count(DISTINCT product_id) FROM card")).scalar_one()
    now = datetime.now(UTC)
    assert Counter(line.hold_state(now) for line in lines if line.kind == "hold" and line.code == 0) == {
        "captured": 2,
        "released": 1,
        "open": 1,
    }
    assert [(line.points, line.change) for line in lines if line.kind == "refund"] == [(200, 200)]
    assert any(line.code for line in lines), "some of the business is refused"
    assert [line.posted_at for line in lines if line.kind != "grant"] == sorted(
        (line.posted_at for line in lines if line.kind != "grant"), reverse=True
    )
    assert offers["annual-inspection"].next_since == today + timedelta(days=1)
    assert offers["roadside-rescue"].open
    assert (statuses["issued"], kinds) == (2, 2)


def test_its_back_office_is_lived_in(town: Town) -> None:
    connection, keyring, now = town.connection, town.keyring, datetime.now(UTC)
    keys = PersonalKeys(keyring.personal_key, bytes)
    people = town.people()
    assert {trail.broken(connection, tenant) for tenant in trail.tenants(connection)} == {None}
    enterprise, merchant = people["enterprise"].tenant_id, people["merchant"].tenant_id
    assert all(line.category for line in services.list_services(connection))
    (found,) = find_members(connection, "139 0000 0007", keys, most=5)
    assert find_members(connection, "京A·00007", keys, most=5) == [found]
    lines = list_members(connection, enterprise=enterprise, most=100)
    assert len({line.unit for line in lines}) == 4, "in three units, and in none"
    assert {node.kind for node in organisation_tree.search_nodes(connection, merchant, "", most=9)} >= {
        "merchant", "store", "department",
    }  # fmt: skip
    for each in merchant_details.list_merchants(connection):
        assert each.contract_since
        assert each.contract_until
        assert merchant_details.read_contacts(connection, each.id)
        assert (merchant_details.account_number(connection, each.id, keyring) or "").isdigit()
        for store in merchant_details.stores_of(connection, each.id):
            place = merchant_details.find_store(connection, store.id)
            assert place is not None
            assert place[0].address
            assert set(place[1]) == set(range(1, 8))
    (budget,) = budgets.budgets(connection, enterprise)
    assert 0 < budget.used < budget.points
    for tenant in {profile.tenant_id for profile in people.values()}:
        assert open_invitations(connection, tenant, now=now, most=9)
    # The other person decides, and not whoever ordered.
    waiting = {
        name: waiting_for(connection, staff=profile.id, permissions=frozenset(profile.rights.units))
        for name, profile in people.items()
    }
    assert (waiting["enterprise"], waiting["points-desk"]) == (1, 0)


def test_its_past_days_are_days_of_business(town: Town) -> None:
    days = latest_days(town.connection)
    found = totals.totals(town.connection, Whose(0, "operator"), days[-1].date)
    assert len(days) == demonstration.PAST_DAYS + 1
    assert {later.date - earlier.date for later, earlier in pairwise(days)} == {timedelta(days=1)}
    assert [day.closed_at for day in days[1:]] == [day.opened_at for day in days[:-1]]
    assert found.behind == 0
    spent = {
        day.date: totals.figures(line for line in found.lines if line.date == day.date).spent for day in days
    }
    assert min(spent.values()) > 0
    assert max(spent.values()) < sum(spent.values()) / 2, "no day stands for all"
