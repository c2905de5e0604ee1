"""Row level security of every table: each tenant, and each unit, sees its own rows and nothing else.

The tables are those of the model, so a new one cannot be forgotten: it fails here until its rows can be
told apart. Its constraints are taken off first, for only the policies are looked at: then one row can be
made for everybody, with the same way in any table, all ids of one world being one number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import BigInteger, Integer, SmallInteger, Table, text
from sqlalchemy.exc import DBAPIError

from ledger.database import Database, Scope
from ledger.model import Base
from ledger.organisations import create_child
from tests.conftest import TestDatabase
from tests.factories import House, create_house

TABLES: dict[str, Table] = dict(sorted(Base.metadata.tables.items()))

READ_BY_ALL = {
    "business_day": "the accounting day is everybody's",
    "calendar": "when it turns, too",
    "catalogue_version": "how often services and prices were edited tells nothing",
    "service": "what kinds of service there are is no secret",
    "service_category": "nor how they are sorted",
}
# Of these a scope that names units sees its whole tenant's rows.
WHOLE_TENANT = {
    "approval_terms": "from where on a second person approves",
    "budget": "what the enterprise may grant in all",
    "card_product": "kinds of card, of the whole enterprise",
    "enterprise_terms": "limits of the whole enterprise",
    "import_file": "sealed; the site shows a narrow importer the files that they sent themselves",
    "import_line": "the same",
    "job": "work under way, and how far it is",
    "price": "a price holds in all stores of its merchant",
    "role": "sets of permissions, without who holds them",
    "store_detail": "where a store is and when it is open is on its door",
    "store_hours": "the same",
    "submission": "marks of forms, which tell nothing",
    "trail_head": "a number and a hash",
}
# Of these a scope that names units below the tenant's top sees nothing.
TOP_ONLY = {"merchant_detail": "contracts and banks", "merchant_contact": "the people behind them"}
# Of these a unit of a merchant has none: they hang on accounts, which are an enterprise's.
OF_ACCOUNTS = {"point_order_line"}
OWNERS = ("tenant_id", "enterprise_id", "merchant_id")
# What the policies of a few tables read beside ids.
VALUES = {("day_total", "part"): "store"}
UNITS = {("day_total", "part_id")}  # columns that name a unit under another name


@dataclass(frozen=True)
class World:
    """One tenant's rows of one unit, all under one number."""

    house: House
    side: str  # operator, enterprise or merchant
    unit: int
    number: int

    @property
    def tenant(self) -> int:
        tenant: int = getattr(self.house, self.side)
        return tenant

    def owners(self, table: Table) -> dict[str, int]:
        """The tenants that a row of this world belongs to, by column."""
        named = {
            "tenant_id": self.tenant,
            "enterprise_id": self.house.enterprise,
            "merchant_id": self.house.merchant,
        }
        if "tenant_id" in table.columns:
            return {"tenant_id": self.tenant}
        return {column: named[column] for column in OWNERS if column in table.columns}


@dataclass(frozen=True)
class Everyone:
    urls: TestDatabase
    database: Database  # with one connection, which all scopes use in turn
    worlds: list[World]

    def seen(self, scope: Scope) -> dict[str, set[int]]:
        """By table the numbers of the worlds whose rows a scope sees."""
        with self.database.transaction(scope) as connection:
            return {
                name: set(connection.execute(text(f'SELECT world FROM "{name}" WHERE world > 0')).scalars())
                for name in TABLES
            }


@pytest.fixture(scope="module")
def everyone(module_database_urls: TestDatabase) -> Iterator[Everyone]:
    """Two houses and the operator, each tenant with two units, each unit with one row in every table."""
    urls = module_database_urls
    database = Database(urls.site, pool_size=1)
    worlds: list[World] = []
    with database.transaction(Scope.everything()) as connection:
        houses = [create_house(connection) for _ in range(2)]
        for place, house in enumerate(houses):
            for side in ("enterprise", "merchant") + (("operator",) if place == 0 else ()):
                for code in ("U1", "U2"):
                    kind = "store" if side == "merchant" else "branch"
                    parent = getattr(house, side)
                    unit = create_child(connection, parent=parent, kind=kind, code=code, name=code)
                    worlds.append(World(house, side, unit, 10_000 + len(worlds)))
    database.close()
    with psycopg.connect(urls.owner) as owner:
        _bare(owner)
        for name, table in TABLES.items():
            if name == "organisation":
                for world in worlds:
                    owner.execute(
                        "UPDATE organisation SET world = %s WHERE id = %s", [world.number, world.unit]
                    )
                continue
            for world in worlds:
                _insert(owner, table, _row(table, world))
        for name in TABLES:
            owner.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(sql.Identifier(name)))
        for name in ("business_day", "catalogue_version", "service"):
            owner.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(sql.Identifier(name)))
    database = Database(urls.site, pool_size=1)
    yield Everyone(urls, database, worlds)
    database.close()


def _bare(owner: "psycopg.Connection[Any]") -> None:
    """Every table without its constraints and unique indexes, with one more column that names the world."""
    unique = owner.execute(
        "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND NOT EXISTS"
        " (SELECT FROM pg_constraint p WHERE p.conindid = i.indexrelid)"
    ).fetchall()
    for (index,) in unique:
        owner.execute(f"DROP INDEX {index}")
    constraints = owner.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')"
        " ORDER BY contype = 'f' DESC"
    ).fetchall()
    for table, name in constraints:
        owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name} CASCADE")
    columns = owner.execute(
        "SELECT quote_ident(table_name), quote_ident(column_name) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND is_nullable = 'NO' AND is_identity = 'NO'"
    ).fetchall()
    for table, column in columns:
        owner.execute(f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
    for name in TABLES:
        table = sql.Identifier(name)
        owner.execute(sql.SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(table))
        owner.execute(sql.SQL("ALTER TABLE {} ADD COLUMN world bigint").format(table))


def _row(table: Table, world: World) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.computed is not None:
            continue
        if column.name in {"organisation_id", "store_id"} or (table.name, column.name) in UNITS:
            row[column.name] = world.unit
        elif column.name == "units":
            row[column.name] = [world.unit]
        elif (table.name, column.name) in VALUES:
            row[column.name] = VALUES[table.name, column.name]
        elif column.name == "slot" or isinstance(column.type, SmallInteger):
            row[column.name] = 0
        elif isinstance(column.type, BigInteger | Integer):
            row[column.name] = world.number
    return row | world.owners(table) | {"world": world.number}


def _insert(connection: "psycopg.Connection[Any]", table: Table, row: dict[str, Any]) -> None:
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table.name),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        ),
        list(row.values()),
    )


def _scopes(worlds: list[World]) -> list[tuple[Scope, World | None]]:
    """Every tenant's scope, and that of each of its units, in an order in which they take turns."""
    whole = [(Scope.tenant(world.tenant), world) for world in worlds[::2]]
    narrow = [(Scope.tenant(world.tenant, frozenset({world.unit})), world) for world in worlds]
    mixed = [each for pair in zip(narrow, [*whole, *whole], strict=False) for each in pair]
    return [*whole, (Scope.everything(), None), *mixed, *narrow]


def _expected(table: Table, scope: Scope, who: World | None, worlds: list[World]) -> set[int]:
    if table.name in READ_BY_ALL or who is None:
        return {world.number for world in worlds}
    if table.name == "organisation":
        # Names of shops are public; units narrow nothing of the tree, for names stand beside everything.
        return {world.number for world in worlds if world.side == "merchant" or world.tenant == who.tenant}
    owned = {world.number for world in worlds if who.tenant in world.owners(table).values()}
    if scope.units is None or table.name in WHOLE_TENANT:
        return owned
    if table.name in TOP_ONLY or (table.name in OF_ACCOUNTS and who.side != "enterprise"):
        return set()
    return owned & {world.number for world in worlds if world.unit in scope.units}


def test_every_table_says_whose_its_rows_are(everyone: Everyone) -> None:
    assert {*READ_BY_ALL, *WHOLE_TENANT, *TOP_ONLY} <= {*TABLES}
    for name, table in TABLES.items():
        owned = any(column in table.columns for column in OWNERS)
        assert owned != (name in READ_BY_ALL), f"{name}: whose rows are these?"


def test_no_scope_sees_a_foreign_row_on_one_connection_that_all_use_in_turn(everyone: Everyone) -> None:
    own: set[str] = set()
    for scope, who in _scopes(everyone.worlds):
        for name, seen in everyone.seen(scope).items():
            expected = _expected(TABLES[name], scope, who, everyone.worlds)
            assert seen == expected, (name, scope, who and who.side)
            if who is not None and expected:
                own.add(name)
    assert own == {*TABLES}  # no table is hidden from everybody


def test_without_a_scope_and_with_no_units_nothing_of_a_tenant_is_seen(everyone: Everyone) -> None:
    with psycopg.connect(everyone.urls.site) as connection:
        for name in TABLES:
            if name not in {*READ_BY_ALL, "organisation"}:
                assert connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() == (0,), name
    for world in everyone.worlds:
        for name, seen in everyone.seen(Scope.tenant(world.tenant, frozenset())).items():
            if name not in {*READ_BY_ALL, *WHOLE_TENANT, "organisation"}:
                assert seen == set(), name


@pytest.mark.parametrize("side", ["enterprise", "merchant"])
def test_nobody_writes_a_row_that_is_anothers(everyone: Everyone, side: str) -> None:
    ours, theirs = (next(w for w in everyone.worlds[at:] if w.side == side) for at in (0, 6))
    assert ours.tenant != theirs.tenant
    refused = 0
    for name, table in TABLES.items():
        if name in READ_BY_ALL:
            continue
        foreign = _row(table, theirs)
        columns = ", ".join(f'"{column}"' for column in foreign)
        given = ", ".join(f":{column}" for column in foreign)
        taken = ", ".join(f'"{column}" = {value}' for column, value in theirs.owners(table).items())
        for statement, params in (
            (f'INSERT INTO "{name}" ({columns}) VALUES ({given})', foreign),
            (f'UPDATE "{name}" SET {taken} WHERE world = {ours.number}', {}),
            (f'UPDATE "{name}" SET world = world WHERE world = {theirs.number}', {}),
            (f'DELETE FROM "{name}" WHERE world = {theirs.number}', {}),
        ):
            assert _changes(everyone.database, ours, statement, params) == 0, statement
            refused += 1
    assert refused == 4 * (len(TABLES) - len(READ_BY_ALL))


def _changes(database: Database, who: World, statement: str, params: dict[str, Any]) -> int:
    """How many rows a statement changes; none when it is refused by a policy or for want of a right."""
    try:
        with database.transaction(Scope.tenant(who.tenant)) as connection:
            return connection.execute(text(statement), params).rowcount
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        return 0
