"""Each invariant finds the breach that it is there for: planted by a role that may do anything."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from msgspec.structs import replace

from ledger import businessday, point_steps
from ledger.audit import INVARIANTS, breaches
from ledger.books import post
from ledger.budgets import create_budget
from ledger.database import Connection, Database, Scope
from ledger.embedded import EmbeddedPostgres
from ledger.point_orders import PointOrder
from ledger.postings import Code, Request
from ledger.reconciliation import BatchTotal, reconcile
from tests.conftest import TestDatabase, copied
from tests.factories import (
    NOW,
    TODAY,
    Holder,
    House,
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
    grant_points,
    new_txid,
)
from tests.ordering import create_order, create_staff_row

# An account's other lot: it has two.
OTHER_LOT = "(SELECT l.id FROM lot l WHERE l.account_id = e.account_id AND l.id <> e.lot_id)"
OTHER_CARD = "(SELECT c.id, right(c.number, 4) FROM card c WHERE c.account_id <> t.account_id)"
OF_KIND = "(SELECT t.id FROM transaction t WHERE t.kind = '{}')"

# invariant -> what breaks it, each alone, in books with a redemption that stands, one that was reversed, one
# that was refunded in part, an open hold, holds that were captured, released and left to lapse, breakage, a
# batch in balance and one out of balance
BREACHES = {
    "every organisation hangs, by those above it, on its tenant": [
        (
            "INSERT INTO organisation (id, tenant_id, parent_id, kind, code, name)"
            " SELECT 900000 + n, id, 900003 - n, 'branch', 'ring' || n, 'Ring' FROM organisation,"
            " generate_series(1, 2) AS n WHERE kind = 'operator'"
        )
    ],
    "an account's points are the points that remain in its lots": ["UPDATE account SET posted = posted + 1"],
    "an account's held points are those of its open holds": [
        "UPDATE account SET held = held - 1 WHERE held > 0"
    ],
    "a lot's held points are what open holds reserve of it": [
        "UPDATE lot SET held = held - 1 WHERE held > 0"
    ],
    "a hold reserves what its transaction says, lot by lot": [
        "UPDATE hold_lot SET points = points + 1",
        "UPDATE hold SET merchant_id = merchant_id + 1",
    ],
    "what ends a hold gives back, or takes and gives back, all of it": [
        "UPDATE transaction SET rest = rest + 1 WHERE kind = 'capture'",
        "UPDATE transaction SET rest = NULL WHERE kind = 'capture'",
        "UPDATE transaction SET merchant_id = NULL WHERE kind = 'lapse'",
    ],
    "a capture takes of each lot at most what its hold reserved": [
        f"UPDATE entry e SET lot_id = {OTHER_LOT} WHERE e.transaction_id = {OF_KIND.format('capture')}",
        "UPDATE hold_lot SET points = 1",
    ],
    "what remains in a lot is what its entries brought less what they took": [
        "UPDATE lot SET remaining = remaining - 1 WHERE remaining > 0"
    ],
    "a lot was granted once, by entries that sum to what was granted": [
        "UPDATE lot SET granted = granted + 1"
    ],
    "a transaction moved exactly the points that it says": [
        "UPDATE transaction SET points = points + 1 WHERE kind = 'grant'"
    ],
    "an entry says the same as its transaction and its lot": ["UPDATE entry SET funder_id = funder_id + 1"],
    "a reversal undoes an approved redemption or capture, wholly, once": [
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'reversal'"
    ],
    "refunds give back at most what was sold, and nothing of what was reversed": [
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'refund'"
    ],
    "what comes back returns to a lot at most what the sale took from it": [
        "UPDATE entry SET points = points + 500 WHERE from_side = 'merchant'",
        f"UPDATE entry e SET lot_id = {OTHER_LOT} WHERE e.transaction_id = {OF_KIND.format('refund')}",
        f"UPDATE entry e SET lot_id = {OTHER_LOT} WHERE e.transaction_id = {OF_KIND.format('reversal')}",
    ],
    "what undoes, refunds or ends another transaction is booked after it": [
        "UPDATE transaction SET reverses = id WHERE kind = 'reversal'",
        f"UPDATE transaction SET refunds = {OF_KIND.format('capture')} WHERE kind = 'refund'",
        "UPDATE transaction SET id = 0 WHERE kind = 'release'",
    ],
    "a merchant is owed the points of what it sold, less what was undone": [
        "UPDATE entry SET merchant_id = merchant_id + 1 WHERE to_side = 'merchant'",
        "UPDATE entry SET from_side = 'funder', to_side = 'member' WHERE to_side = 'merchant'",
        "UPDATE entry SET points = points + 1 WHERE from_side = 'merchant'",
        "UPDATE transaction SET kind = 'release' WHERE kind = 'capture'",
    ],
    "what is sold or held costs its price of the day on which it was agreed": [
        "UPDATE transaction SET settlement_minor = settlement_minor + 1 WHERE kind = 'capture'"
    ],
    "no redemption or adjustment takes points on a day after their last": [
        "UPDATE lot SET expires_on = '2001-01-01'"
    ],
    "no points expire before their day is over": ["UPDATE lot SET expires_on = NULL"],
    "a card's product is its own enterprise's": ["UPDATE card SET product_id = 999"],
    "what hangs on an account is of its enterprise": [
        f"UPDATE {table} SET enterprise_id = enterprise_id + 1"
        for table in ("card", "lot", "transaction", "entry", "hold", "hold_lot", "card_event", "misuse")
    ],
    "points are funded by an organisation that can be billed: a tenant": [
        "UPDATE lot SET funder_id = 999",
        "UPDATE lot SET funder_id = (SELECT id FROM organisation WHERE kind = 'store')",
    ],
    "a transaction names a card of its account, and the end of its number": [
        "UPDATE transaction SET card_id = 999 WHERE kind = 'redeem'",
        f"UPDATE transaction t SET (card_id, card_tail) = {OTHER_CARD} WHERE kind = 'hold'",
        "UPDATE transaction SET card_tail = '0000' WHERE kind = 'redeem'",
        "UPDATE transaction SET card_tail = NULL WHERE kind = 'redeem'",
        "UPDATE transaction SET card_tail = '0000' WHERE kind = 'grant'",
    ],
    "a transaction names a terminal that exists, with its merchant and store": [
        "UPDATE transaction SET terminal_id = 999",
        "UPDATE transaction SET store_id = 999 WHERE kind = 'redeem'",
        "UPDATE transaction SET merchant_id = merchant_id + 1 WHERE kind = 'hold'",
        *(
            f"UPDATE transaction SET terminal_id = 0 WHERE kind = '{kind}'"
            for kind in ("redeem", "hold", "capture", "refund")
        ),
    ],
    "a transaction is booked on a day that was open": [
        "UPDATE transaction SET business_date = '2001-01-01'",
        "UPDATE transaction SET posted_at = posted_at - interval '2 minutes' WHERE kind = 'redeem'",
        "UPDATE business_day SET closed_at = opened_at - interval '2 minutes' WHERE status = 'closed'",
    ],
    "a batch is in balance exactly when all its totals are equal": [
        "UPDATE terminal_batch SET code = 1401 WHERE code = 0",
        "UPDATE terminal_batch SET code = 0 WHERE code = 1401",
        "UPDATE terminal_batch_total SET server_points = server_points + 1 WHERE server_count > 0",
        "UPDATE terminal_batch_total SET terminal_count = terminal_count + 1 WHERE server_count > 0",
    ],
    "a terminal knows the last batch that it closed": [
        "UPDATE terminal SET last_batch = 7 WHERE last_batch = 8",
        "UPDATE terminal SET last_batch = NULL WHERE last_batch = 8",
    ],
    "a budget has borne what its orders say that it bears": [
        "UPDATE budget SET used = used + 1",
        "UPDATE point_order SET budget_points = 0 WHERE kind = 'grant'",
    ],
    "an order of points counts its lines, and its budget bears what they granted": [
        "UPDATE point_order SET budget_points = budget_points + 1 WHERE kind = 'grant'",
        "UPDATE point_order SET approved_points = approved_points - 1",
        "UPDATE point_order SET state = 'waiting', decided_at = NULL",
        "UPDATE point_order_line SET code = NULL, transaction_id = NULL",
        "UPDATE point_order_line SET points = points + 1",
        "DELETE FROM point_order_line",
    ],
    "a line of an order that was approved is a transaction of its points": [
        "UPDATE point_order_line SET transaction_id = NULL",
        "UPDATE point_order_line SET transaction_id = transaction_id - 1",
        "UPDATE transaction SET points = points + 1 WHERE kind IN ('grant', 'adjustment')",
    ],
}
ISOLATED = (
    "account", "budget", "card", "card_event", "entry", "hold", "hold_lot", "lot", "misuse", "organisation",
    "point_order", "point_order_line", "terminal", "terminal_batch", "terminal_batch_total", "transaction",
)  # fmt: skip
PLANTED = [(invariant, sql) for invariant, planted in BREACHES.items() for sql in planted]


@pytest.fixture(scope="module")
def furnished(module_database_urls: TestDatabase) -> str:
    """The name of a database with sound books, which nobody is connected to."""
    opened = Database(module_database_urls.site)
    with opened.transaction(Scope.everything()) as connection:
        house = create_house(connection, today=TODAY - timedelta(days=1))
        late = create_holder(connection, house, points=50, expires_on=TODAY - timedelta(days=1))
        businessday.advance(connection, TODAY, NOW)
        holder = create_holder(connection, house, points=3_000)
        grant_points(connection, house, holder.account, 3_000)
        undone, sold = create_redeem(house, holder), create_redeem(house, holder, quantity=3)
        batched = replace(create_redeem(house, holder), batch=7)
        captured, released, lapsed = (create_hold(house, holder, seconds=60) for _ in range(3))
        requests: list[Request] = [batched, undone, create_reversal(undone), sold]
        requests += [create_refund(sold, 100), captured, released, lapsed, create_hold(house, holder)]
        requests += [create_capture(captured, 120), create_release(released)]
        assert {outcome.code for outcome in post(connection, requests, NOW)} == {0}
        assert post(connection, [create_expire(late)], NOW)[0].points == 50
        post(connection, [create_inquiry(house, holder)], NOW + timedelta(minutes=2))
        reused = post(connection, [replace(batched, quantity=2)], NOW)
        assert reused[0].code is Code.TXID_REUSED
        order_points(connection, house, late)
    end_batches(module_database_urls.server, house.terminal)
    with opened.transaction(Scope.everything()) as connection:
        assert breaches(connection) == []
    opened.close()
    return module_database_urls.name


@pytest.fixture
def urls(postgres: EmbeddedPostgres, furnished: str) -> Iterator[TestDatabase]:
    """Those books, to be spoilt."""
    with copied(postgres, furnished) as database:
        yield database


def order_points(connection: Connection, house: House, holder: Holder) -> None:
    """A grant that a budget bears, and an adjustment."""
    create_budget(connection, enterprise=house.enterprise, since=None, last=None, points=1_000)
    maker = create_staff_row(connection, house.enterprise)
    for fields in ({}, {"kind": "adjust", "lot_kind": None}):
        order = create_order(connection, house, maker, [(holder, 70)], **fields)
        done = point_steps.confirm(connection, order, by=maker, now=NOW)
        assert isinstance(done, PointOrder)
        assert (done.state, done.approved) == ("done", 1)


def end_batches(url: str, terminal: int) -> None:
    """One in balance, one not: only the server may."""
    server = Database(url)
    with server.transaction(Scope.everything()) as connection:
        assert breaches(connection) == []  # the server's role, too, may ask
    with server.transaction(Scope.everything()) as connection:
        for batch, points, code in ((7, 120, 0), (8, 100, 1401)):
            totals = [BatchTotal("redeem", 1, points)]
            told = reconcile(connection, terminal, batch, totals, txid=new_txid(), now=NOW)
            assert told.code == code
    server.close()


def test_every_invariant_has_a_breach() -> None:
    assert list(BREACHES) == list(INVARIANTS)


@pytest.mark.parametrize(("invariant", "sql"), PLANTED)
def test_a_breach_is_found_and_named(urls: TestDatabase, invariant: str, sql: str) -> None:
    with psycopg.connect(urls.owner) as owner:
        for table in ISOLATED:
            owner.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        owner.execute("ALTER TABLE entry DROP CONSTRAINT entry_merchant_check")
        assert owner.execute(sql).rowcount > 0
    database = Database(urls.site)
    with database.transaction(Scope.everything()) as connection:
        found = {breach.invariant: breach.rows for breach in breaches(connection)}
    database.close()
    assert found[invariant]
