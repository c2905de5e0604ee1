"""Opening the house: the database, the transaction server and the site, in order, and closing it again."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ledger.database import Database, Scope, is_empty, migrate
from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres
from ledger.keyring import Keyring
from scripts.children import Child, HouseFailed, await_page, free_ports, require_free
from scripts.demonstration_record import Demonstration, read_demonstration, write_demonstration

__all__ = ["House", "Plan", "opened", "reachable", "say"]


@dataclass(frozen=True)
class Plan:
    """Where everything lies and listens. The three URLs are None for the embedded database."""

    folder: Path
    host: str
    port: int
    health_port: int
    site_host: str
    site_port: int
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
            health_port=_port(environment, "TESSERA_HEALTH_PORT", 7172),
            site_host=environment.get("TESSERA_SITE_HOST") or "127.0.0.1",
            site_port=_port(environment, "TESSERA_SITE_PORT", 7170),
            server_url=server_url,
            site_url=environment.get("DATABASE_SITE_URL") or server_url,
            owner_url=environment.get("DATABASE_OWNER_URL") or None,
        )

    @classmethod
    def throw_away(cls, folder: Path) -> "Plan":
        """The plan of `scripts/run --check`: free ports, and a database that need not survive."""
        port, health_port, site_port = free_ports(3)
        return cls(folder, "127.0.0.1", port, health_port, "127.0.0.1", site_port, durable=False)


@dataclass(frozen=True)
class House:
    """A house that is open: everything answers."""

    plan: Plan
    keyring: Keyring = field(repr=False)
    demonstration: Demonstration | None = field(repr=False)
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
    require_free(plan.host, plan.port, "the transaction server", "TESSERA_PORT")
    require_free("127.0.0.1", plan.health_port, "the transaction server's health page", "TESSERA_HEALTH_PORT")
    require_free(plan.site_host, plan.site_port, "the site", "TESSERA_SITE_PORT")
    _make_folders(plan.folder)
    keyring = Keyring.create(plan.folder / "secrets", os.urandom)
    with ExitStack() as stack:
        database, server_url, site_url = _open_database(plan, stack)
        demonstration = _demonstrate(plan, keyring, site_url) if database is not None else None
        common = {
            **environment,
            "TESSERA_SECRETS": str(plan.folder / "secrets"),
            "TESSERA_HOST": plan.host,
            "TESSERA_PORT": str(plan.port),
            "TESSERA_HEALTH_PORT": str(plan.health_port),
            "TESSERA_SITE_HOST": plan.site_host,
            "TESSERA_SITE_PORT": str(plan.site_port),
        }
        for name in ("DATABASE_OWNER_URL", "DATABASE_SITE_URL"):
            common.pop(name, None)  # the programs have no use for the owner's password
        server, site = (
            Child("the transaction server", "txserver", "serve"),
            Child("the site", "admin", "serve"),
        )
        house = House(plan, keyring, demonstration, database, (server, site))
        for child, url, log in ((server, server_url, "txserver.log"), (site, site_url, "admin.log")):
            say(f"Starting {child.name} …")
            stack.callback(_stop, child)
            child.start({**common, "DATABASE_URL": url}, plan.folder / "log" / log)
        for host, port, path in (
            ("127.0.0.1", plan.health_port, "/health"),
            (reachable(plan.site_host), plan.site_port, "/login"),
        ):
            status = await_page(host, port, path, house.require_running)
            if status != 200:
                raise HouseFailed(f"http://{host}:{port}{path} answered {status}; see {plan.folder / 'log'}")
        yield house


def _open_database(plan: Plan, stack: ExitStack) -> tuple[EmbeddedPostgres | None, str, str]:
    """The embedded server, or None; the programs' URLs. The schema is the newest afterwards."""
    if plan.server_url is not None:
        if plan.owner_url is None:
            say("DATABASE_OWNER_URL is not set: the database is taken as it is, without migrating.")
        else:
            say("Migrating the database …")
            migrate(plan.owner_url)
        return None, plan.server_url, plan.site_url or plan.server_url
    say("Starting the database …")
    database = EmbeddedPostgres(plan.folder / "postgresql", durable=plan.durable)
    stack.enter_context(database)
    stack.callback(say, "Stopping the database …")
    say("Migrating the database …")
    migrate(database.url(OWNER))
    return database, database.url(SERVER), database.url(SITE)


def _demonstrate(plan: Plan, keyring: Keyring, site_url: str) -> Demonstration | None:
    """Load the demonstration data when the database is empty; what to show of it, now or from then."""
    path = plan.folder / "demonstration.json"
    database = Database(site_url)
    try:
        with database.transaction(Scope.everything()) as connection:
            empty = is_empty(connection)
    finally:
        database.close()
    if empty:
        from scripts import demonstration

        say("Loading demonstration data …")
        write_demonstration(path, demonstration.load(site_url, keyring))
    return read_demonstration(path)


def _stop(child: Child) -> None:
    say(f"Stopping {child.name} …")
    child.stop()


def _make_folders(folder: Path) -> None:
    try:
        for each in (folder, folder / "log"):
            each.mkdir(parents=True, exist_ok=True)
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
    """Progress, for people: on stderr, so that stdout holds only what was asked for."""
    print(text, file=sys.stderr, flush=True)
