"""What the database itself guards: rights, constraints, isolation of tenants."""

from collections.abc import Iterable
from datetime import time
from typing import Any, LiteralString

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import NoResultFound, ProgrammingError

from ledger.budgets import create_budget, set_approval_points
from ledger.businessday import Calendar, read_calendar, set_calendar
from ledger.database import Scope
from tests.conftest import TestDatabase
from tests.desk import Books
from tests.factories import (
    House,
    create_hold,
    create_holder,
    create_house,
    create_redeem,
    create_reversal,
    grant_points,
)
from tests.member_factories import create_known_member
from tests.ordering import create_order, create_staff_row

# ---- what the database itself guards ------------------------------------------------------------


FORBIDDEN = (
    "UPDATE transaction SET points = 1",
    "DELETE FROM transaction",
    "UPDATE entry SET points = 1",
    "DELETE FROM entry",
    "TRUNCATE misuse",
    "UPDATE hold SET points = 1",
    "DELETE FROM hold_lot",
    "UPDATE card_event SET reason = 'none'",
    "DELETE FROM terminal_batch",
    "UPDATE terminal_batch_total SET server_points = 1",
    "DELETE FROM account",
    "DELETE FROM lot",
    "ALTER TABLE account DROP CONSTRAINT account_balance_check",
)
NEVER_WRITTEN = (
    "UPDATE account SET posted = -1",
    "UPDATE account SET held = posted + 1",
    "UPDATE lot SET remaining = granted + 1",
    "UPDATE lot SET remaining = -1",
    "UPDATE card SET pin_tries = 4",
)


def not_refused(
    connection: psycopg.Connection[Any], statements: Iterable[LiteralString], error: type[psycopg.Error]
) -> list[str]:
    """The statements that the database executed, which it should have refused with this error."""
    executed: list[str] = []
    for sql in statements:
        try:
            connection.execute(sql)
        except error:
            continue
        executed.append(sql)
    return executed


@pytest.mark.parametrize("role", ["server", "site"])
def test_the_programs_may_not_rewrite_the_books(books: Books, database_urls: TestDatabase, role: str) -> None:
    with psycopg.connect(getattr(database_urls, role), autocommit=True) as connection:
        assert not_refused(connection, FORBIDDEN, psycopg.errors.InsufficientPrivilege) == []


def test_the_server_writes_no_history_of_cards(books: Books, database_urls: TestDatabase) -> None:
    with (
        psycopg.connect(database_urls.server) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("INSERT INTO card_event SELECT * FROM card_event")


def test_constraints_refuse_what_the_code_would_never_write(
    books: Books, database_urls: TestDatabase
) -> None:
    books.holder()
    with psycopg.connect(database_urls.server, autocommit=True) as connection:
        assert not_refused(connection, NEVER_WRITTEN, psycopg.errors.CheckViolation) == []


def test_the_same_reversal_cannot_be_written_twice(books: Books, database_urls: TestDatabase) -> None:
    holder = books.holder()
    redeem = create_redeem(books.house, holder)
    books.one(redeem)
    books.one(create_reversal(redeem))
    with psycopg.connect(database_urls.server) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            "INSERT INTO transaction SELECT slot, account_id, id + 1000, terminal_id, gen_random_uuid(),"
            " kind, code, posted_at, business_date, enterprise_id, merchant_id, store_id, card_id, card_tail,"
            " service_id, price_id, quantity, points, settlement_minor, currency, balance, meaning, reverses"
            " FROM transaction WHERE kind = 'reversal'"
        )


# ---- one tenant sees its own --------------------------------------------------------------------

TENANT_TABLES = {
    "staff": "tenant_id",
    "invitation": "tenant_id",
    "staff_session": "tenant_id",
    "login_event": "tenant_id",
    "recovery_code": "tenant_id",
    "price": "merchant_id",
    "terminal": "tenant_id",
    "enrolment": "tenant_id",
    "member": "enterprise_id",
    "person": "enterprise_id",
    "member_word": "enterprise_id",
    "member_plate": "enterprise_id",
    "member_note": "enterprise_id",
    "import_file": "tenant_id",
    "import_line": "tenant_id",
    "account": "enterprise_id",
    "card": "enterprise_id",
    "lot": "enterprise_id",
    "misuse": "enterprise_id",
    "point_order": "tenant_id",
    "point_order_line": "tenant_id",
    "budget": "enterprise_id",
    "approval_terms": "enterprise_id",
}


def create_two_worlds(books: Books) -> tuple[House, House]:
    """Two enterprises and two merchants that do not know each other, each with every kind of row."""
    houses = []
    for _ in range(2):
        with books.database.transaction(Scope.everything()) as connection:
            house = create_house(connection)
            holder = create_holder(connection, house)
            create_known_member(connection, house)
            for organisation in (house.enterprise, house.merchant):
                connection.execute(
                    text(
                        "INSERT INTO staff (tenant_id, organisation_id, login, name, password_hash)"
                        " VALUES (:id, :id, :login, 'Staff', '-')"
                    ),
                    {"id": organisation, "login": f"staff-{organisation}"},
                )
            create_order(connection, house, create_staff_row(connection, house.enterprise), [(holder, 5)])
            set_approval_points(connection, house.enterprise, 5)
            create_budget(connection, enterprise=house.enterprise, since=None, last=None, points=5)
        redeem = create_redeem(house, holder)
        books.post(redeem, replace(redeem, quantity=2))
        houses.append(house)
    return houses[0], houses[1]


def test_a_tenant_sees_no_foreign_row_even_on_a_reused_connection(books: Books) -> None:
    ours, theirs = create_two_worlds(books)
    for house in (ours, theirs, ours):
        for tenant in (house.enterprise, house.merchant):
            with books.database.transaction(Scope.tenant(tenant)) as connection:
                for table, column in TENANT_TABLES.items():
                    seen = connection.execute(text(f"SELECT DISTINCT {column} FROM {table}")).scalars().all()
                    assert set(seen) <= {tenant}, table
                for table in ("transaction", "entry"):
                    sql = f"SELECT DISTINCT enterprise_id, merchant_id FROM {table}"
                    pairs = connection.execute(text(sql)).all()
                    assert pairs, table
                    assert all(tenant in pair for pair in pairs), table
                foreign = connection.execute(
                    text("SELECT DISTINCT kind FROM organisation WHERE tenant_id <> :tenant"),
                    {"tenant": tenant},
                )
                assert set(foreign.scalars()) <= {"merchant", "store"}


def test_every_table_with_a_tenant_is_isolated(books: Books) -> None:
    unguarded = books.ask(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1"
    )
    # These four belong to nobody: the schema's version, the days, and what kinds of service there are.
    assert [name for (name,) in unguarded] == [
        "alembic_version", "business_day", "catalogue_version", "service",
    ]  # fmt: skip


def test_without_a_scope_nothing_is_seen(books: Books, database_urls: TestDatabase) -> None:
    create_two_worlds(books)
    with psycopg.connect(database_urls.site) as connection:
        for table in (*TENANT_TABLES, "transaction", "entry"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_a_tenant_cannot_write_for_another(books: Books) -> None:
    ours, theirs = create_two_worlds(books)
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        books.database.transaction(Scope.tenant(ours.enterprise)) as connection,
    ):
        create_holder(connection, theirs)


# One more row like each that is there, under a key of its own.
COPIES = {
    "transaction": """
        INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at,
                                 business_date, enterprise_id, merchant_id, meaning)
        SELECT slot, account_id, id + 1000, terminal_id, gen_random_uuid(), 'tombstone', 3007, posted_at,
               business_date, enterprise_id, merchant_id, meaning
        FROM transaction WHERE kind = 'redeem'""",
    "entry": """
        INSERT INTO entry SELECT slot, account_id, transaction_id + 1000, lot_id, from_side, to_side, points,
                                 enterprise_id, funder_id, merchant_id, business_date FROM entry
        WHERE merchant_id IS NOT NULL""",
    "hold": """
        INSERT INTO hold SELECT slot, account_id, transaction_id + 1000, enterprise_id, merchant_id, points,
                                expires_at FROM hold""",
}


@pytest.mark.parametrize("table", COPIES)
def test_a_merchant_writes_in_no_enterprises_books(books: Books, table: str) -> None:
    holder = books.holder()
    books.post(create_redeem(books.house, holder), create_hold(books.house, holder))
    with books.database.transaction(Scope.tenant(books.house.merchant)) as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0
    with (
        pytest.raises(ProgrammingError, match="row-level security"),
        books.database.transaction(Scope.tenant(books.house.merchant)) as connection,
    ):
        connection.execute(text(COPIES[table]))


def test_an_enterprise_posts_in_its_own_books(books: Books) -> None:
    """The same rows that a merchant may not write."""
    holder = books.holder()
    with books.database.transaction(Scope.tenant(books.house.enterprise)) as connection:
        grant_points(connection, books.house, holder.account, 70)
    assert books.posted(holder) == 1_070


def test_the_calendar_is_set_for_everybody_or_not_at_all(books: Books, database_urls: TestDatabase) -> None:
    other = Calendar("UTC", time(3))
    for tenant in (books.house.operator, books.house.enterprise, books.house.merchant):
        with (
            pytest.raises(NoResultFound),
            books.database.transaction(Scope.tenant(tenant)) as connection,
        ):
            set_calendar(connection, other)
        with books.database.transaction(Scope.tenant(tenant)) as connection:
            assert read_calendar(connection) != other
    with (
        psycopg.connect(database_urls.server) as server,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        server.execute("UPDATE calendar SET cut_off = '03:00'")
    books.change(lambda connection: set_calendar(connection, other))
    assert books.change(read_calendar) == other
