"""Each invariant finds the breach that it is there for: planted by a role that may do anything."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from ledger import businessday
from ledger.audit import INVARIANTS, breaches
from ledger.books import post
from ledger.database import Database, Scope
from ledger.postings import Request
from tests.conftest import TestDatabase
from tests.factories import (
    NOW,
    TODAY,
    create_capture,
    create_expire,
    create_hold,
    create_holder,
    create_house,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
)

# invariant -> SQL that breaks it, in books with a redemption that stands, one that was reversed, one that was
# refunded in part, an open hold, holds that were captured, released and left to lapse, and breakage
BREACHES = {
    "an account's points are the points that remain in its lots": "UPDATE account SET posted = posted + 1",
    "an account's held points are those of its open holds": (
        "UPDATE account SET held = held - 1 WHERE held > 0"
    ),
    "a lot's held points are what open holds reserve of it": "UPDATE lot SET held = held - 1 WHERE held > 0",
    "a hold reserves what its transaction says, lot by lot": "UPDATE hold_lot SET points = points + 1",
    "what ends a hold gives back, or takes and gives back, all of it": (
        "UPDATE transaction SET rest = rest + 1 WHERE kind = 'capture'"
    ),
    "what remains in a lot is what its entries brought less what they took": (
        "UPDATE lot SET remaining = remaining - 1 WHERE remaining > 0"
    ),
    "a lot was granted once, by entries that sum to what was granted": "UPDATE lot SET granted = granted + 1",
    "a transaction moved exactly the points that it says": (
        "UPDATE transaction SET points = points + 1 WHERE kind = 'grant'"
    ),
    "an entry says the same as its transaction and its lot": "UPDATE entry SET funder_id = funder_id + 1",
    "a reversal undoes an approved redemption or capture, wholly, once": (
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'reversal'"
    ),
    "refunds give back at most what was sold, and nothing of what was reversed": (
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'refund'"
    ),
    "a refund returns to a lot at most what the sale took from it": (
        "UPDATE entry SET points = points + 500 WHERE from_side = 'merchant'"
    ),
    "what merchants are owed is what funders are billed": (
        "UPDATE entry SET from_side = 'funder', to_side = 'member' WHERE to_side = 'merchant'"
    ),
    "what is sold or held costs its price of the day on which it was agreed": (
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'capture'"
    ),
    "no redemption takes points on a day after their last": "UPDATE lot SET expires_on = '2001-01-01'",
    "no points expire before their day is over": "UPDATE lot SET expires_on = NULL",
    "a card's product is its own enterprise's": "UPDATE card SET product_id = 999",
    "a transaction names a terminal that exists": "UPDATE transaction SET terminal_id = 999",
    "a transaction is booked on a day that was open": "UPDATE transaction SET business_date = '2001-01-01'",
}


@pytest.fixture
def database(database_urls: TestDatabase) -> Iterator[Database]:
    opened = Database(database_urls.site)
    with opened.transaction(Scope.everything()) as connection:
        house = create_house(connection, today=TODAY - timedelta(days=1))
        late = create_holder(connection, house, points=50, expires_on=TODAY - timedelta(days=1))
        businessday.advance(connection, TODAY, NOW)
        holder = create_holder(connection, house, points=3_000)
        undone, sold = create_redeem(house, holder), create_redeem(house, holder, quantity=3)
        captured, released, lapsed = (create_hold(house, holder, seconds=60) for _ in range(3))
        requests: list[Request] = [create_redeem(house, holder), undone, create_reversal(undone), sold]
        requests += [create_refund(sold, 100), captured, released, lapsed, create_hold(house, holder)]
        requests += [create_capture(captured, 120), create_release(released)]
        assert {outcome.code for outcome in post(connection, requests, NOW)} == {0}
        assert post(connection, [create_expire(late)], NOW)[0].points == 50
        post(connection, [create_inquiry(house, holder)], NOW + timedelta(minutes=2))
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
        for table in ("account", "card", "lot", "hold", "hold_lot", "transaction", "entry"):
            owner.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        owner.execute("ALTER TABLE entry DROP CONSTRAINT entry_merchant_check")
        assert owner.execute(sql).rowcount > 0
    with database.transaction(Scope.everything()) as connection:
        found = {breach.invariant: breach.rows for breach in breaches(connection)}
    assert found[invariant]
