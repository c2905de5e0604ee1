"""A running site, and a real browser to look at it with."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy import Connection, text

from ledger import books
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from tests.admin.people import PASSWORD, create_person
from tests.admin.program import serving
from tests.conftest import TestDatabase
from tests.factories import NOW, Holder, House, create_holder, create_house, create_redeem

Answer = TypeVar("Answer")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"]

# Where Chromium is installed on purpose, as in CI, a missing browser is a failure and no skip.
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("TESSERA_BROWSER_TESTS") != "must",
    reason="there is no Chromium here: install it (Debian: chromium) to look with a browser",
)


@dataclass
class Shop:
    """A running site, and a shop that sells car washes."""

    address: str
    database: Database
    house: House
    holder: Holder
    secrets: Path

    def wash(self, pin: str | None = "314159") -> None:
        with self.database.transaction(Scope.everything()) as connection:
            books.post(connection, [create_redeem(self.house, self.holder, pin=pin)], NOW)


@dataclass
class Site:
    """A site that runs as a program of its own."""

    address: str
    database: Database
    secrets: Path

    def change(self, act: Callable[[Connection], Answer]) -> Answer:
        """Do something behind the site's back, in a transaction that sees everything."""
        with self.database.transaction(Scope.everything()) as connection:
            return act(connection)


@pytest.fixture(scope="module")
def running_site(
    module_database_urls: TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One for all tests of a module: each has a house of its own in it."""
    secrets = tmp_path_factory.mktemp("site") / "secrets"
    Keyring.create(secrets, os.urandom)
    database = Database(module_database_urls.site, pool_size=2)
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": module_database_urls.site,
        "TESSERA_SECRETS": str(secrets),
        "TESSERA_SITE_PORT": "0",
    }
    with serving(environment) as (_program, address):
        yield Site(address, database, secrets)
    database.close()


@pytest.fixture
def shop(running_site: Site) -> Shop:
    """A house of this test's own; the people of the test before have given their logins up."""
    site = running_site

    def make(connection: Connection) -> tuple[House, Holder]:
        connection.execute(text("UPDATE staff SET login = login || id WHERE login IN ('bo', 'en', 'op')"))
        house = create_house(connection)
        holder = create_holder(connection, house, points=1_000)
        for login, organisation in (("bo", house.merchant), ("en", house.enterprise), ("op", house.operator)):
            create_person(connection, organisation, login=login, name=login.title())
        return house, holder

    return Shop(site.address, site.database, *site.change(make), site.secrets)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all tests of a module: each has a profile of its own in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def quiet_page(chromium: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page in a profile of its own, whose console must be empty at the end."""
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        said.append(message.text)

    context = chromium.new_context(
        base_url=address, **{"locale": "en-GB", "color_scheme": "light", **options}
    )
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    # A policy that blocks something of ours, a missing file, a fault in a script: all would be here.
    # So would a step that cannot be taken now, which is no fault.
    assert [line for line in said if "status of 409" not in line] == []


@pytest.fixture
def page(shop: Shop, chromium: Browser) -> Iterator[Page]:
    """A page of a browser whose owner reads English and likes it light."""
    with quiet_page(chromium, shop.address) as page:
        yield page


def log_in(page: Page, login: str = "bo", password: str = PASSWORD) -> None:
    """Log in, in the language of the page, and go to the transactions."""
    page.goto("/login")
    page.locator("[name=login]").fill(login)
    page.locator("[name=password]").fill(password)
    page.keyboard.press("Enter")
    expect(page.locator(".you")).to_be_visible()
    page.goto("/transactions")
