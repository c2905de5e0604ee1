"""The engine, transaction(scope), the schema's version, and what the server and its role must be."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

__all__ = [
    "Connection", "Database", "DatabaseAway", "DatabaseUnfit", "Scope", "Stage", "Statement", "is_empty",
    "migrate", "psycopg_url", "run_stages",
]  # fmt: skip

OLDEST_SERVER = 150000  # PostgreSQL 15
EVERYTHING = 0  # the tenant id that the policies read as "all tenants"

# A program that hangs inside a transaction must not hold an account's lock for ever, and one that finds
# a lock held says so instead of queueing inside the database.
SESSION = "-c idle_in_transaction_session_timeout=15s -c lock_timeout=5s"
SET_TENANT = text("SELECT set_config('tessera.tenant', :tenant, true)")
SET_UNITS = text("SELECT set_config('tessera.units', :units, true)")
SET_PATIENCE = text("SELECT set_config('statement_timeout', :patience, true)")
ROLE_FACTS = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls, current_setting('server_version_num')::int,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'public' AND pg_has_role(r.oid, c.relowner, 'MEMBER')),
       to_regclass('public.alembic_version') IS NOT NULL
FROM pg_roles r WHERE r.rolname = current_user
"""
SUPER_MEMBERS = """
SELECT EXISTS (SELECT FROM pg_roles r
               WHERE (r.rolsuper OR r.rolbypassrls) AND pg_has_role(current_user, r.oid, 'MEMBER'))
"""
PLAYS_ROLE = "SELECT pg_has_role(current_user, CAST(:role AS name), 'MEMBER')"
# What stands in these is history: nobody changes or deletes a row.
INSERT_ONLY = (
    "transaction", "entry", "misuse", "hold", "hold_lot", "card_event", "terminal_batch",
    "terminal_batch_total", "trail_line", "submission", "login_event", "day_total",
)  # fmt: skip
MAY_REWRITE = """
SELECT EXISTS (SELECT FROM unnest(CAST(:tables AS text[])) AS t(name)
               WHERE has_any_column_privilege(current_user, quote_ident(name), 'UPDATE')
                  OR has_table_privilege(current_user, quote_ident(name), 'DELETE')
                  OR has_table_privilege(current_user, quote_ident(name), 'TRUNCATE'))
"""
# What is acknowledged must be on the disk. A database of tests says of itself that it may be thrown away.
FORGETFUL = """
SELECT string_agg(name, ', ' ORDER BY name) FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
  AND coalesce(current_setting('tessera.throw_away', true), '') <> 'yes'
"""


class DatabaseUnfit(Exception):
    """The database or the role is not what the program needs; the text says how to mend it."""


class DatabaseAway(Exception):
    """The database could not be reached or gave up; a write under way may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a transaction of the site may see: one tenant's, or everyone's.

    Where `units` is not None, of what belongs to a unit (members and all that is theirs, terminals,
    staff) or was sold in one, only what is of these.
    """

    tenant_id: int
    units: frozenset[int] | None = None

    @classmethod
    def everything(cls) -> "Scope":
        return cls(EVERYTHING)

    @classmethod
    def tenant(cls, tenant_id: int, units: frozenset[int] | None = None) -> "Scope":
        if tenant_id <= 0:
            raise ValueError("a tenant's id is positive")
        return cls(tenant_id, units)


@dataclass(frozen=True, slots=True)
class Statement:
    """One prepared statement: its name, its text with $1, $2 …, and the PostgreSQL type of each parameter."""

    name: str
    sql: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """Statements that travel together in one round trip, with their parameters. `final`: commit follows."""

    calls: list[tuple[Statement, tuple[Any, ...]]]
    final: bool = False


Rows = list[tuple[Any, ...]]


def psycopg_url(url: str) -> URL:
    """The same address with the driver that SQLAlchemy is to use. DatabaseUnfit when it is none.

    The address is not repeated in the error: it holds a password.
    """
    try:
        address = make_url(url)
        if address.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ArgumentError("not PostgreSQL")
    except (ArgumentError, ValueError) as error:
        raise DatabaseUnfit(
            "The address of the database is not one of PostgreSQL, such as "
            "postgresql://tessera_server:password@host/tessera. Correct DATABASE_URL (for migrating: "
            "DATABASE_OWNER_URL)."
        ) from error
    return address.set(drivername="postgresql+psycopg")


class Database:
    """A pool of connections as one role. Made by the program's edge, passed to whoever needs it."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine = create_engine(
            psycopg_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=5,
            hide_parameters=True,  # they hold PIN verifiers, and errors are logged
            isolation_level="READ COMMITTED",  # the books lock first and read in later statements
            connect_args={"connect_timeout": 5, "options": SESSION},
        )
        self._closed = False
        event.listen(self.engine, "checkin", self._returned)

    def close(self) -> None:
        """Close all connections; those that a thread still uses, when it is done."""
        self._closed = True
        self.engine.dispose()

    def _returned(self, _: object, record: ConnectionPoolEntry) -> None:
        if self._closed:
            record.invalidate()

    @contextmanager
    def transaction(self, scope: Scope, *, patience_s: int | None = None) -> Iterator[Connection]:
        """One transaction that sees `scope`'s rows only; commits at its end, rolls back on any exception.

        No statement in it takes longer than `patience_s`. Raises DatabaseAway when the database does not
        answer in time.
        """
        try:
            with self.engine.begin() as connection:
                connection.execute(SET_TENANT, {"tenant": str(scope.tenant_id)})
                if scope.units is not None:
                    connection.execute(SET_UNITS, {"units": f"{{{','.join(map(str, sorted(scope.units)))}}}"})
                if patience_s is not None:
                    connection.execute(SET_PATIENCE, {"patience": f"{patience_s}s"})
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise DatabaseAway(str(error).splitlines()[0]) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # The books talk to the driver itself.
            raise DatabaseAway((str(error).splitlines() or [type(error).__name__])[0]) from error

    def check(self, role: str | None = None) -> None:
        """Raise DatabaseUnfit unless server, role and schema are what the programs need.

        `role` is the one that the program is to log in as, itself or by membership.
        """
        try:
            with self.engine.connect() as connection:
                _check(connection)
                if role and not connection.execute(text(PLAYS_ROLE), {"role": role}).scalar_one():
                    raise DatabaseUnfit(f"This program logs in as {role}; DATABASE_URL names another role.")
        except OperationalError as error:
            raise DatabaseUnfit(
                f"The database cannot be reached: {_said(error)}. "
                "Check DATABASE_URL and that PostgreSQL is running."
            ) from error
        except ProgrammingError as error:
            raise DatabaseUnfit(
                f"The database cannot be used: {_said(error)}. DATABASE_URL "
                "should name the role tessera_server or tessera_site of a migrated database."
            ) from error


def _check(connection: Connection) -> None:
    name, is_super, bypasses, version, owns, migrated = connection.execute(text(ROLE_FACTS)).one()
    if version < OLDEST_SERVER:
        raise DatabaseUnfit(f"PostgreSQL 15 or newer is needed; this server is {version // 10000}.")
    if is_super or bypasses or owns or connection.execute(text(SUPER_MEMBERS)).scalar_one():
        raise DatabaseUnfit(
            f"The role {name!r} is too strong: it could walk around row level security or rewrite the books. "
            "Log in as tessera_server or tessera_site instead, roles that own nothing "
            "and have neither SUPERUSER nor BYPASSRLS."
        )
    if not migrated:
        raise DatabaseUnfit(
            "The database has no tables yet. Run `python -m ledger migrate` with DATABASE_OWNER_URL set."
        )
    here, newest = _revisions(connection)
    if here != newest:
        _refuse_newer(here, newest)
        raise DatabaseUnfit(
            f"The database's schema ({here}) is older than this program ({newest}). "
            "Run `python -m ledger migrate` with DATABASE_OWNER_URL set."
        )
    forgetful = connection.execute(text(FORGETFUL)).scalar_one()
    if forgetful:
        raise DatabaseUnfit(
            f"The database may forget what it has committed: {forgetful} must be on. An acknowledged debit "
            "would be lost in a crash."
        )
    if connection.execute(text(MAY_REWRITE), {"tables": list(INSERT_ONLY)}).scalar_one():
        raise DatabaseUnfit(
            f"The role {name!r} may change or delete rows of the books. Revoke UPDATE, DELETE and TRUNCATE "
            f"on {', '.join(INSERT_ONLY)} from it."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


@cache  # health checks ask every few seconds; the scripts do not change while a program runs
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _revisions(connection: Connection) -> tuple[str | None, str | None]:
    here = MigrationContext.configure(connection).get_current_revision()
    return here, _scripts().get_current_head()


def _refuse_newer(here: str | None, newest: str | None) -> None:
    """Raise DatabaseUnfit for a revision that this program's scripts do not have."""
    if here is not None and here not in {script.revision for script in _scripts().walk_revisions()}:
        raise DatabaseUnfit(
            f"The database's schema ({here}) is newer than this program knows ({newest}). "
            "Install the newer program; nothing was changed."
        )


def _said(error: DBAPIError) -> str:
    """The first line of what the server or the driver said."""
    return str(error.orig).strip().splitlines()[0]


def migrate(owner_url: str) -> None:
    """Bring the schema to this program's version, as the role that owns the tables.

    Raises DatabaseUnfit when the database is newer than the code, or cannot be reached.
    """
    engine = create_engine(psycopg_url(owner_url), connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            # Two programs that start at once must not both migrate.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tessera.migrate'))"))
            here, newest = _revisions(connection)
            _refuse_newer(here, newest)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise DatabaseUnfit(f"The database cannot be reached: {_said(error)}.") from error
    finally:
        engine.dispose()


def is_empty(connection: Connection) -> bool:
    """True when no organisation exists yet: the moment to load demonstration data."""
    return not connection.execute(text("SELECT EXISTS (SELECT FROM organisation)")).scalar_one()


def run_stages(connection: Connection, stages: Generator[Stage, list[Rows], Any]) -> Any:
    """The synchronous driver of ledger.books: one psycopg pipeline a stage, in `connection`'s transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    results: list[Rows] = []
    try:
        stage = next(stages)
        while True:
            results = _run_stage(driver, stage.calls)
            stage = stages.send(results)
    except StopIteration as done:
        return done.value


def _run_stage(
    driver: "psycopg.Connection[Any]", calls: Sequence[tuple[Statement, tuple[Any, ...]]]
) -> list[Rows]:
    with driver.pipeline():
        cursors = []
        for statement, params in calls:
            cursor = psycopg.RawCursor(driver)
            cursor.execute(statement.sql, params)
            cursors.append(cursor)
    return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
