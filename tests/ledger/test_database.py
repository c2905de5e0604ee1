"""What the database must be, what a role may not be, and migrations that match the model."""

import itertools
from typing import LiteralString

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from ledger.database import (
    Database,
    DatabaseAway,
    DatabaseUnfit,
    Scope,
    _check,
    is_empty,
    migrate,
    psycopg_url,
)
from ledger.model import Base
from tests.conftest import TestDatabase
from tests.factories import create_house

BOOKS: tuple[LiteralString, ...] = (
    "transaction", "entry", "misuse", "hold", "hold_lot", "card_event", "terminal_batch",
    "terminal_batch_total",
)  # fmt: skip


def check(url: str) -> None:
    database = Database(url)
    try:
        database.check()
    finally:
        database.close()


def test_the_programs_roles_are_fit(database_urls: TestDatabase) -> None:
    check(database_urls.server)
    check(database_urls.site)


def test_the_owner_is_too_strong(database_urls: TestDatabase) -> None:
    with pytest.raises(DatabaseUnfit, match=r"tessera_owner.*too strong.*tessera_server or tessera_site"):
        check(database_urls.owner)


def test_a_role_that_may_rewrite_the_books_is_refused(database_urls: TestDatabase) -> None:
    with psycopg.connect(database_urls.owner, autocommit=True) as owner:
        for table, right in itertools.product(BOOKS, ("UPDATE", "DELETE", "TRUNCATE")):
            owner.execute(f"GRANT {right} ON {table} TO tessera_site")
            with pytest.raises(DatabaseUnfit, match=rf"Revoke UPDATE, DELETE and TRUNCATE on .*\b{table}\b"):
                check(database_urls.site)
            owner.execute(f"REVOKE {right} ON {table} FROM tessera_site")
    check(database_urls.site)


def test_a_role_that_owns_a_table_is_too_strong(database_urls: TestDatabase) -> None:
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("GRANT CREATE ON SCHEMA public TO tessera_site")
    with psycopg.connect(database_urls.site) as site:
        site.execute("CREATE TABLE ours ()")
    with pytest.raises(DatabaseUnfit, match="too strong"):
        check(database_urls.site)


def test_a_database_that_may_forget_is_refused(database_urls: TestDatabase) -> None:
    """The tests' own server forgets, and says so; without that word it is refused."""
    database = Database(database_urls.server)
    with database.engine.connect() as connection:
        _check(connection)
        connection.execute(text("SET tessera.throw_away = 'no'"))
        with pytest.raises(DatabaseUnfit, match="fsync, full_page_writes, synchronous_commit must be on"):
            _check(connection)
    database.close()


def test_columns_of_the_books_may_not_be_granted_either(database_urls: TestDatabase) -> None:
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("GRANT UPDATE (points) ON transaction TO tessera_server")
    with pytest.raises(DatabaseUnfit, match="Revoke UPDATE"):
        check(database_urls.server)


def test_an_empty_database_says_how_to_migrate(empty_database_urls: TestDatabase) -> None:
    with pytest.raises(DatabaseUnfit, match="python -m ledger migrate"):
        check(empty_database_urls.site)


def test_a_newer_schema_is_refused_by_all_and_left_alone(database_urls: TestDatabase) -> None:
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnfit, match=r"9999.*newer than this program"):
        check(database_urls.server)
    with pytest.raises(DatabaseUnfit, match=r"9999.*newer than this program"):
        migrate(database_urls.owner)
    with psycopg.connect(database_urls.owner) as owner:
        assert owner.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_database_that_is_not_there_is_one_sentence() -> None:
    nowhere = "postgresql://tessera_site:x@127.0.0.1:1/tessera"
    with pytest.raises(DatabaseUnfit, match="cannot be reached"):
        check(nowhere)
    with pytest.raises(DatabaseUnfit, match="cannot be reached"):
        migrate(nowhere)
    database = Database(nowhere)
    with pytest.raises(DatabaseAway), database.transaction(Scope.everything()):
        pass
    database.close()


def test_each_program_logs_in_as_its_own_role(database_urls: TestDatabase) -> None:
    for url, right, wrong in (
        (database_urls.server, "tessera_server", "tessera_site"),
        (database_urls.site, "tessera_site", "tessera_server"),
    ):
        database = Database(url)
        database.check(right)
        with pytest.raises(DatabaseUnfit, match=f"logs in as {wrong}"):
            database.check(wrong)
        database.close()


def test_a_role_without_rights_and_a_url_without_sense_are_one_sentence(
    database_urls: TestDatabase,
) -> None:
    with psycopg.connect(database_urls.owner) as owner:
        owner.execute("REVOKE SELECT ON alembic_version FROM tessera_site")
    for url in (database_urls.site, f"{database_urls.server}&colour=green"):
        with pytest.raises(DatabaseUnfit, match="cannot be used"):
            check(url)


def test_migrating_twice_is_harmless(database_urls: TestDatabase) -> None:
    migrate(database_urls.owner)
    check(database_urls.server)


# A constraint's text as PostgreSQL writes it back, so that only its meaning is compared.
CHECKS = """
SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
WHERE c.contype IN ('c', 'x') AND c.connamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def test_the_migrations_make_what_the_model_says(
    database_urls: TestDatabase, empty_database_urls: TestDatabase
) -> None:
    """Autogenerate finds nothing to do; the constraints that it does not compare are the same."""
    migrated = create_engine(psycopg_url(database_urls.owner))
    modelled = create_engine(psycopg_url(empty_database_urls.owner))
    with migrated.connect() as one, modelled.begin() as other:
        assert (
            compare_metadata(MigrationContext.configure(one, opts={"compare_type": True}), Base.metadata)
            == []
        )
        other.execute(text("CREATE EXTENSION btree_gist"))
        Base.metadata.create_all(other)
        assert one.execute(text(CHECKS)).all() == other.execute(text(CHECKS)).all()
    migrated.dispose()
    modelled.dispose()


def test_a_scope_names_a_tenant() -> None:
    assert Scope.everything().tenant_id == 0
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="positive"):
            Scope.tenant(wrong)


def test_empty_until_an_organisation_exists(database_urls: TestDatabase) -> None:
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as connection:
        assert is_empty(connection)
        create_house(connection)
        assert not is_empty(connection)
    database.close()


def test_a_connection_in_use_while_the_database_is_closed_is_closed_after_it(
    database_urls: TestDatabase,
) -> None:
    """As by a thread that nobody waits for any more."""
    database = Database(database_urls.server)
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        database.close()
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    assert isinstance(driver, psycopg.Connection)
    assert driver.closed
    database.close()


def dawdle(database: Database) -> None:
    """A statement that takes longer than its transaction has patience."""
    with database.transaction(Scope.everything(), patience_s=1) as connection:
        connection.execute(text("SET LOCAL statement_timeout = '1ms'"))
        connection.execute(text("SELECT pg_sleep(60)"))


def test_patience_ends_with_its_transaction_and_then_the_database_is_away(
    database_urls: TestDatabase,
) -> None:
    database, patience = Database(database_urls.server, pool_size=1), text("SHOW statement_timeout")
    try:
        with database.transaction(Scope.everything(), patience_s=10) as connection:
            assert connection.execute(patience).scalar_one() == "10s"
        with database.transaction(Scope.everything()) as connection:
            assert connection.execute(patience).scalar_one() == "0"
        with pytest.raises(DatabaseAway):
            dawdle(database)
    finally:
        database.close()
