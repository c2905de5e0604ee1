"""Each invariant finds the breach that it is there for: planted by a role that may do anything."""

from collections.abc import Iterator

import psycopg
import pytest

from ledger.audit import INVARIANTS, breaches
from ledger.books import post
from ledger.database import Database, Scope
from tests.conftest import TestDatabase
from tests.factories import NOW, create_holder, create_house, create_redeem, create_reversal

# invariant -> SQL that breaks it, in books that hold one redemption that stands and one that was reversed
BREACHES = {
    "an account's points are the points that remain in its lots": "UPDATE account SET posted = posted + 1",
    "an account's held points are the held points of its lots": "UPDATE account SET held = 1",
    "what remains in a lot is what its entries brought less what they took": (
        "UPDATE lot SET remaining = remaining - 1"
    ),
    "a lot was granted once, by entries that sum to what was granted": "UPDATE lot SET granted = granted + 1",
    "a transaction moved exactly the points that it says": (
        "UPDATE transaction SET points = points + 1 WHERE kind = 'grant'"
    ),
    "an entry says the same as its transaction and its lot": "UPDATE entry SET funder_id = funder_id + 1",
    "a reversal undoes an approved redemption, wholly, once": (
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'reversal'"
    ),
    "what merchants are owed is what funders are billed": (
        "UPDATE entry SET from_side = 'funder', to_side = 'member' WHERE to_side = 'merchant'"
    ),
    "an approved redemption costs its price": (
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'redeem'"
    ),
    "no redemption takes points on a day after their last": "UPDATE lot SET expires_on = '2001-01-01'",
    "a transaction names a terminal that exists": "UPDATE transaction SET terminal_id = 999",
    "a transaction is booked on a day that was open": "UPDATE transaction SET business_date = '2001-01-01'",
}


@pytest.fixture
def database(database_urls: TestDatabase) -> Iterator[Database]:
    opened = Database(database_urls.site)
    with opened.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        holder = create_holder(connection, house)
        undone = create_redeem(house, holder)
        post(connection, [create_redeem(house, holder), undone, create_reversal(undone)], NOW)
    yield opened
    opened.close()


def test_every_invariant_has_a_breach() -> None:
    assert list(BREACHES) == list(INVARIANTS)


@pytest.mark.parametrize(("invariant", "sql"), BREACHES.items(), ids=list(BREACHES))
def test_a_breach_is_found_and_named(
    database: Database, database_urls: TestDatabase, invariant: str, sql: str
) -> None:
    with database.transaction(Scope.everything()) as connection:
        assert breaches(connection) == []
    with psycopg.connect(database_urls.owner) as owner:
        for table in ("account", "lot", "transaction", "entry"):
            owner.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        owner.execute("ALTER TABLE entry DROP CONSTRAINT entry_merchant_check")
        assert owner.execute(sql).rowcount > 0
    with database.transaction(Scope.everything()) as connection:
        found = {breach.invariant: breach.rows for breach in breaches(connection)}
    assert found[invariant]
