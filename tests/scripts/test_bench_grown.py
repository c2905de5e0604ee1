"""The grown database: as if it had been posted row by row, in the schema of the migrations."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.audit import breaches
from ledger.cards import Card, card_number
from ledger.embedded import SUPERUSER, EmbeddedPostgres
from ledger.members import Account
from scripts.bench_grown import CannotGrow, give_pins, grow, sample_cards
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books_of_today
from tests.factories import PIN, Holder, create_keyring, create_redeem

ACCOUNTS, TRANSACTIONS = 601, 3_000  # no multiple: some accounts have a sale more than others

SCHEMA = """
SELECT c.oid::regclass::text, c.relkind::text, c.relrowsecurity::text, c.relpersistence::text, NULL
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'S')
UNION ALL
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text, indisready::text,
       indislive::text
FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
UNION ALL
SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid), convalidated::text, NULL
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT tgname, tgrelid::regclass::text, tgenabled::text, NULL, NULL FROM pg_trigger
ORDER BY 1, 2
"""
FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""
COUNTS = """
SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM transaction), (SELECT count(*) FROM entry),
       (SELECT count(*) FROM business_day), (SELECT count(*) FROM organisation)
"""
GROWN = """
SELECT count(DISTINCT t.account_id), count(*), count(*) FILTER (WHERE t.kind = 'redeem'),
       count(DISTINCT t.slot), count(DISTINCT t.terminal_id) FILTER (WHERE t.kind = 'redeem'),
       count(DISTINCT t.business_date)
FROM transaction t JOIN organisation e ON e.id = t.enterprise_id AND e.code LIKE 'GROWN-%'
JOIN business_day d ON d.date = t.business_date AND d.status = 'closed'
JOIN account a ON a.slot = t.slot AND a.id = t.account_id
"""

Connection = psycopg.Connection[Any]
Schema = list[tuple[Any, ...]]


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def books(module_database_urls: TestDatabase) -> Iterator[Books]:
    """Every invariant is asked when the module ends."""
    with opened_books_of_today(module_database_urls) as opened:
        yield opened


@pytest.fixture(scope="module")
def superuser(postgres: EmbeddedPostgres, module_database_urls: TestDatabase) -> Iterator[Connection]:
    with psycopg.connect(postgres.url(SUPERUSER, module_database_urls.name), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def grown(
    books: Books, superuser: Connection, postgres: EmbeddedPostgres, module_database_urls: TestDatabase
) -> Schema:
    """The schema of the migrations; the database has grown since it was asked."""
    books.holder()
    schema = superuser.execute(SCHEMA).fetchall()
    grow(
        postgres,
        accounts=ACCOUNTS,
        transactions=TRANSACTIONS,
        say=silent,
        database=module_database_urls.name,
    )
    return schema


def test_the_schema_stays_that_of_the_migrations(grown: Schema, superuser: Connection) -> None:
    assert superuser.execute(SCHEMA).fetchall() == grown


@pytest.mark.usefixtures("grown")
def test_every_foreign_key_holds(superuser: Connection) -> None:
    """Nobody asked for them while the rows were written."""
    keys = superuser.execute(FOREIGN_KEYS).fetchall()
    assert len(keys) > 10
    with superuser.transaction(force_rollback=True):
        for table, name, definition in keys:
            superuser.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            superuser.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


@pytest.mark.usefixtures("grown")
def test_every_invariant_holds(books: Books) -> None:
    assert books.change(breaches) == []


@pytest.mark.usefixtures("grown")
def test_as_many_rows_were_added_as_were_asked_for(books: Books) -> None:
    assert books.ask(GROWN) == [(ACCOUNTS, TRANSACTIONS, TRANSACTIONS - ACCOUNTS, 256, 40, 365)]
    assert books.ask("SELECT count(*) FROM business_day WHERE status = 'closed'") == [(366,)]


@pytest.mark.usefixtures("grown")
def test_history_is_as_it_would_have_been_posted(books: Books) -> None:
    numbers = books.ask("SELECT slot, id, number FROM card")
    assert all(number == card_number(slot, card) for slot, card, number in numbers)
    # What the last reply of an account said is what it has.
    wrong = """SELECT a.id FROM account a JOIN LATERAL (
                   SELECT balance FROM transaction t WHERE t.slot = a.slot AND t.account_id = a.id
                   ORDER BY id DESC LIMIT 1) last ON last.balance <> a.posted"""
    assert books.ask(wrong) == []
    early = """SELECT t.id FROM transaction t JOIN business_day d ON d.date = t.business_date
               JOIN organisation m ON m.id = t.merchant_id WHERE t.id < d.first_transaction"""
    assert books.ask(early) == []
    assert books.ask("SELECT count(*) FROM transaction t, business_day d WHERE t.id >= d.first_transaction"
                     " AND d.status = 'open'") == [(0,)]  # fmt: skip


@pytest.mark.usefixtures("grown")
def test_a_sampled_card_is_debited_and_new_members_come(
    books: Books, module_database_urls: TestDatabase
) -> None:
    with psycopg.connect(module_database_urls.server) as connection:
        sampled = sample_cards(connection, 5, seed=7)
        assert sample_cards(connection, 5, seed=7) == sampled
        assert sample_cards(connection, 5, seed=8) != sampled
        give_pins(connection, create_keyring(), sampled, PIN)
    for each in sampled:
        card = Card(each.slot, each.account, each.card, each.issue, card_number(each.slot, each.card))
        grown = Holder(Account(each.slot, each.account, 0), card)
        assert books.one(create_redeem(books.house, grown)).code == 0
    holder = books.holder()
    assert holder.account.id > ACCOUNTS
    assert books.one(create_redeem(books.house, holder)).code == 0


@pytest.mark.usefixtures("grown")
def test_only_what_was_grown_is_sampled(books: Books, module_database_urls: TestDatabase) -> None:
    with psycopg.connect(module_database_urls.server) as connection:
        everybody = sample_cards(connection, ACCOUNTS, seed=1)
        assert len({each.account for each in everybody}) == ACCOUNTS
        with pytest.raises(CannotGrow):
            sample_cards(connection, ACCOUNTS + 1, seed=1)


def test_one_that_is_cut_off_leaves_nothing_behind(
    grown: Schema,
    books: Books,
    superuser: Connection,
    postgres: EmbeddedPostgres,
    module_database_urls: TestDatabase,
) -> None:
    before = books.ask(COUNTS)

    def stumble(line: str) -> None:
        if line.startswith("building transaction_pkey"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grow(postgres, accounts=20, transactions=90, say=stumble, database=module_database_urls.name)
    assert books.ask(COUNTS) == before
    assert superuser.execute(SCHEMA).fetchall() == grown
    assert superuser.execute("SHOW max_wal_size").fetchone() == ("1GB",)


def test_too_little_room_is_told_before_anything_is_written(
    books: Books, postgres: EmbeddedPostgres, module_database_urls: TestDatabase
) -> None:
    before = books.ask(COUNTS)
    with pytest.raises(
        CannotGrow, match=r"need some \d+\.\d GB in .*, and 0\.0 GB can be had: ask for fewer"
    ):
        grow(
            postgres,
            accounts=40,
            transactions=100,
            say=silent,
            database=module_database_urls.name,
            spare_bytes=2**60,
        )
    assert books.ask(COUNTS) == before


def test_what_cannot_be_grown_is_refused(postgres: EmbeddedPostgres, database_urls: TestDatabase) -> None:
    for accounts, transactions in ((0, 5), (6, 5)):
        with pytest.raises(CannotGrow, match="for each account a transaction"):
            grow(
                postgres,
                accounts=accounts,
                transactions=transactions,
                say=silent,
                database=database_urls.name,
            )
    with pytest.raises(CannotGrow, match="make the bench's small world first"):
        grow(postgres, accounts=5, transactions=9, say=silent, database=database_urls.name)
