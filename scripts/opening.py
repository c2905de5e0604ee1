"""Opening the house: database, transaction server, site and worker, in order, and closing it again."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from ledger.database import Database, DatabaseAway, DatabaseUnfit, Scope, is_empty, migrate
from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres
from ledger.keyring import Keyring
from scripts import shop_world
from scripts.children import Child, HouseFailed, await_page, free_ports, require_different, require_free
from scripts.demonstration_record import Demonstration, read_demonstration, write_demonstration
from scripts.demonstration_terminal import Device, device_state, renewed

__all__ = ["House", "Plan", "opened", "reachable", "say"]


@dataclass(frozen=True)
class Plan:
    """Where everything lies and listens. The three URLs are None for the embedded database."""

    folder: Path
    host: str
    port: int
    health_host: str
    health_port: int
    site_host: str
    site_port: int
    secrets: Path = field(repr=False)
    durable: bool = True
    server_url: str | None = field(default=None, repr=False)
    site_url: str | None = field(default=None, repr=False)
    owner_url: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], folder: Path) -> "Plan":
        """The plan of `scripts/run`. HouseFailed when a port is not a number."""
        server_url = environment.get("DATABASE_URL") or None
        return cls(
            folder=folder,
            host=environment.get("TESSERA_HOST") or "127.0.0.1",
            port=_port(environment, "TESSERA_PORT", 7171),
            health_host=environment.get("TESSERA_HEALTH_HOST") or "127.0.0.1",
            health_port=_port(environment, "TESSERA_HEALTH_PORT", 7172),
            site_host=environment.get("TESSERA_SITE_HOST") or "127.0.0.1",
            site_port=_port(environment, "TESSERA_SITE_PORT", 7170),
            secrets=Path(environment.get("TESSERA_SECRETS") or folder / "secrets").absolute(),
            server_url=server_url,
            site_url=environment.get("DATABASE_SITE_URL") or server_url,
            owner_url=environment.get("DATABASE_OWNER_URL") or None,
        )

    @classmethod
    def throw_away(cls, folder: Path) -> "Plan":
        """The plan of `scripts/run --check`: free ports, and a database that need not survive."""
        port, health_port, site_port = free_ports(3)
        host = "127.0.0.1"
        secrets = folder / "secrets"
        return cls(folder, host, port, host, health_port, host, site_port, secrets, durable=False)


@dataclass(frozen=True)
class House:
    """A house that is open: everything answers."""

    plan: Plan
    keyring: Keyring = field(repr=False)
    demonstration: Demonstration | None = field(repr=False)
    device: Device
    database: EmbeddedPostgres | None
    children: tuple[Child, ...]

    def require_running(self) -> None:
        """Raise HouseFailed when a part of the house has ended."""
        for child in self.children:
            child.require_running()
        if self.database is not None and not self.database.running:
            raise HouseFailed(f"the database ended (log: {self.database.log})")


@contextmanager
def opened(plan: Plan, environment: Mapping[str, str]) -> Iterator[House]:
    """Start everything, in order; stop everything in the opposite order: programs, then database."""
    _require_ports(plan)
    for folder in (plan.folder, plan.folder / "log"):
        _make_folder(folder)
    _require_folder(plan.secrets)
    with ExitStack() as stack:
        database, server_url, site_url = _open_database(plan, stack)
        with _one_sentence(None if database is None else database.log):
            keyring, demonstration, device = _open_books(plan, site_url, demonstrate=database is not None)
        common = {
            **environment,
            "TESSERA_SECRETS": str(plan.secrets),
            "TESSERA_HOST": plan.host,
            "TESSERA_PORT": str(plan.port),
            "TESSERA_HEALTH_HOST": plan.health_host,
            "TESSERA_HEALTH_PORT": str(plan.health_port),
            "TESSERA_SITE_HOST": plan.site_host,
            "TESSERA_SITE_PORT": str(plan.site_port),
        }
        for name in ("DATABASE_OWNER_URL", "DATABASE_SITE_URL"):
            common.pop(name, None)  # the programs have no use for the owner's password
        server, site, worker = (
            Child("the transaction server", "txserver", "serve"),
            Child("the site", "admin", "serve"),
            Child("the worker", "admin", "jobs"),
        )
        house = House(plan, keyring, demonstration, device, database, (server, site, worker))
        for child, url, log in (
            (server, server_url, "txserver.log"),
            (site, site_url, "admin.log"),
            (worker, site_url, "jobs.log"),
        ):
            say(f"Starting {child.name} …")
            stack.callback(_stop, child)
            child.start({**common, "DATABASE_URL": url}, plan.folder / "log" / log)
        for host, port, path in (
            (reachable(plan.health_host), plan.health_port, "/health"),
            (reachable(plan.site_host), plan.site_port, "/login"),
        ):
            status = await_page(host, port, path, house.require_running)
            if status != 200:
                raise HouseFailed(f"http://{host}:{port}{path} answered {status}; see {plan.folder / 'log'}")
        yield house


def _require_ports(plan: Plan) -> None:
    places = (
        (plan.site_host, plan.site_port, "TESSERA_SITE_PORT", "the site"),
        (plan.host, plan.port, "TESSERA_PORT", "the transaction server"),
        (plan.health_host, plan.health_port, "TESSERA_HEALTH_PORT", "the transaction server's health page"),
    )
    require_different([(host, port, variable) for host, port, variable, _ in places])
    for host, port, variable, what in places:
        require_free(host, port, what, variable)


def _open_database(plan: Plan, stack: ExitStack) -> tuple[EmbeddedPostgres | None, str, str]:
    """The embedded server, or None; the programs' URLs. The schema is the newest afterwards."""
    if plan.server_url is not None:
        site_url = plan.site_url or plan.server_url
        with _one_sentence(None):
            if plan.owner_url is None:
                say("DATABASE_OWNER_URL is not set: the database is taken as it is, without migrating.")
            else:
                say("Migrating the database …")
                with _naming("DATABASE_OWNER_URL"):
                    migrate(plan.owner_url)
            for name, url, role in (
                ("DATABASE_URL", plan.server_url, SERVER),
                ("DATABASE_SITE_URL", site_url, SITE),
            ):
                with _naming(name), _database(url) as database:
                    database.check(role)
        return None, plan.server_url, site_url
    say("Starting the database …")
    embedded = EmbeddedPostgres(plan.folder / "postgresql", durable=plan.durable)
    stack.enter_context(embedded)
    stack.callback(say, "Stopping the database …")
    say("Migrating the database …")
    with _one_sentence(embedded.log):
        migrate(embedded.url(OWNER))
    return embedded, embedded.url(SERVER), embedded.url(SITE)


def _open_books(
    plan: Plan, site_url: str, *, demonstrate: bool
) -> tuple[Keyring, Demonstration | None, Device]:
    """The keys, made only while there is nothing that old ones would open; and what to show of the data."""
    with _database(site_url) as database:
        with database.transaction(Scope.everything()) as connection:
            empty = is_empty(connection)
        keyring = Keyring.create(plan.secrets, os.urandom) if empty else Keyring.load(plan.secrets)
        if not demonstrate:
            return keyring, None, Device.NEW
        path = plan.folder / "demonstration.json"
        if empty:
            from scripts import demonstration

            say("Loading demonstration data …")
            write_demonstration(path, demonstration.load(site_url, keyring))
        shown = read_demonstration(path)
        with database.transaction(Scope.everything()) as connection:
            current = None if shown is None else renewed(connection, shown, datetime.now(UTC))
            device = device_state(connection, plan.folder / "pos")
        if current is not None and current != shown:
            write_demonstration(path, current)
        shop_world.keep(database, keyring, plan.folder, (reachable(plan.host), plan.port), new=empty)
    return keyring, current, device


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url, pool_size=1)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _naming(variable: str) -> Iterator[None]:
    """The ledger knows no settings of ours: say which of them named the database that is unfit."""
    try:
        yield
    except DatabaseUnfit as error:
        raise DatabaseUnfit(f"{variable}: {error}") from error


@contextmanager
def _one_sentence(log: Path | None) -> Iterator[None]:
    """What PostgreSQL itself finds wrong, as HouseFailed: a damaged catalogue, a right that is missing."""
    try:
        yield
    except (DatabaseAway, SQLAlchemyError, psycopg.Error) as error:
        said = getattr(error, "orig", None) or error
        line = next(iter(str(said).strip().splitlines()), type(said).__name__)
        where = "" if log is None else f" (its log: {log})"
        raise HouseFailed(f"the database cannot be used: {line}{where}") from error


def _stop(child: Child) -> None:
    say(f"Stopping {child.name} …")
    child.stop()


def _require_folder(folder: Path) -> None:
    """Raise HouseFailed when something else is where a folder is to be; nothing there is well."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise HouseFailed(
                f"{folder} is a link to {folder.readlink()}, which does not exist:"
                " make that folder, or remove the link"
            )
        if folder.exists() and not folder.is_dir():
            raise HouseFailed(f"{folder} is not a folder: move it away")
    except OSError as error:
        raise HouseFailed(f"cannot look at the folder {folder}: {error.strerror or error}") from error


def _make_folder(folder: Path) -> None:
    _require_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HouseFailed(f"cannot write to the folder {folder}: {error.strerror or error}") from error


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise HouseFailed(f"{name} is {text!r}: give a port number from 1 to 65535")
    return int(text)


def reachable(host: str) -> str:
    """An address to reach a program at that listens on `host`, which may mean all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def say(text: str) -> None:
    """Progress, for people: on stderr, so that stdout holds only what was asked for. Lost when closed."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)
