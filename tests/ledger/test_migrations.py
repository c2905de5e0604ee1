"""A database of an earlier version, with rows in it, goes on with this one."""

from typing import Any
from uuid import UUID

from alembic import command
from sqlalchemy import create_engine, text

from ledger.audit import breaches
from ledger.books import post
from ledger.database import Database, Scope, _config, migrate, psycopg_url
from ledger.postings import Code, Inquiry, Redeem, Refund
from tests.conftest import TestDatabase
from tests.factories import NOW, new_txid

# What version 0001 wrote: a grant of 500 points, and a car wash for 120 of them.
ROWS_OF_0001 = """
INSERT INTO organisation (id, tenant_id, parent_id, kind, code, name) VALUES
    (1, 1, NULL, 'operator', 'OP', 'Operator'), (2, 2, NULL, 'enterprise', 'E', 'Enterprise'),
    (3, 3, NULL, 'merchant', 'M', 'Merchant'), (4, 3, 3, 'store', 'S', 'Store');
INSERT INTO terminal (id, tenant_id, store_id, kind, name, status, public_key) VALUES
    (0, 1, 1, 'office', 'Office', 'active', NULL),
    (7, 3, 4, 'pos', 'POS', 'active', decode(repeat('07', 32), 'hex'));
INSERT INTO business_day (date, status, opened_at) VALUES ('2026-11-22', 'open', '2026-11-21 16:00Z');
INSERT INTO service (id, code, name, name_zh, unit) VALUES (1, 'wash', 'Car wash', '洗车', 'wash');
INSERT INTO price (id, merchant_id, service_id, during, points, settlement_minor, currency)
    VALUES (1, 3, 1, '[2026-01-01,)', 120, 2000, 'CNY');
INSERT INTO member (id, enterprise_id, code, name) VALUES (1, 2, 'C1', 'Member');
INSERT INTO account (slot, id, member_id, enterprise_id, posted) VALUES (1, 1, 1, 2, 380);
INSERT INTO card (slot, account_id, id, enterprise_id, number, pin_verifier, limit_points)
    VALUES (1, 1, 1, 2, '8600100000000018', decode(repeat('08', 32), 'hex'), 1000);
INSERT INTO lot (slot, account_id, id, enterprise_id, funder_id, kind, granted, remaining)
    VALUES (1, 1, 1, 2, 2, 'granted', 500, 380);
INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
        enterprise_id, points, balance, meaning)
    VALUES (1, 1, nextval('transaction_id_seq'), 0, '00000000-0000-0000-0000-0000000000aa', 'grant', 0,
        '2026-11-22 09:00Z', '2026-11-22', 2, 500, 500, decode(repeat('01', 16), 'hex'));
INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
        enterprise_id, merchant_id, store_id, card_id, card_tail, service_id, price_id, quantity, points,
        settlement_minor, currency, balance, meaning, batch)
    VALUES (1, 1, nextval('transaction_id_seq'), 7, '00000000-0000-0000-0000-0000000000bb', 'redeem', 0,
        '2026-11-22 09:10Z', '2026-11-22', 2, 3, 4, 1, '0018', 1, 1, 1, 120, 2000, 'CNY', 380,
        decode(repeat('02', 16), 'hex'), 1);
INSERT INTO entry (slot, account_id, transaction_id, lot_id, from_side, to_side, points, enterprise_id,
        funder_id, merchant_id, business_date)
    VALUES (1, 1, 1, 1, 'funder', 'member', 500, 2, 2, NULL, '2026-11-22'),
           (1, 1, 2, 1, 'member', 'merchant', 120, 2, 2, 3, '2026-11-22');
"""

ISOLATED = (
    "organisation", "terminal", "price", "member", "account", "card", "lot", "transaction", "entry",
)  # fmt: skip


def test_the_books_of_the_first_version_go_on(empty_database_urls: TestDatabase) -> None:
    owner = create_engine(psycopg_url(empty_database_urls.owner))
    with owner.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table in ISOLATED:
            connection.execute(text(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"))
        connection.exec_driver_sql(ROWS_OF_0001)
        for table in ISOLATED:
            connection.execute(text(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
    migrate(empty_database_urls.owner)
    owner.dispose()
    key: dict[str, Any] = {"slot": 1, "account": 1, "terminal": 7}
    database = Database(empty_database_urls.server)
    database.check()
    with database.transaction(Scope.everything()) as connection:
        requests = [
            Inquiry(**key, txid=new_txid(), card=1, issue=1),
            Refund(**key, txid=new_txid(), original=UUID(int=0xBB), seller=7, points=50),
            Redeem(**key, txid=new_txid(), card=1, issue=1, service="wash", pin_proof=bytes([8] * 32)),
        ]
        inquiry, refund, redeem = post(connection, requests, NOW)
        assert inquiry.balance == 380
        assert (refund.code, refund.rest, refund.balance) == (Code.APPROVED, 70, 430)
        assert (redeem.code, redeem.balance) == (Code.APPROVED, 310)
        assert breaches(connection) == []
    database.close()
