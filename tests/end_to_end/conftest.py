"""A running site, and a real browser to look at it with."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright

from ledger import books
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from tests.admin.people import PASSWORD, create_person
from tests.admin.program import serving
from tests.conftest import TestDatabase
from tests.factories import NOW, Holder, House, create_holder, create_house, create_redeem

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


@pytest.fixture
def shop(database_urls: TestDatabase, tmp_path: Path) -> Iterator[Shop]:
    Keyring.create(tmp_path / "secrets", os.urandom)
    database = Database(database_urls.site, pool_size=1)
    with database.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        holder = create_holder(connection, house, points=1_000)
        for login, organisation in (("bo", house.merchant), ("en", house.enterprise), ("op", house.operator)):
            create_person(connection, organisation, login=login, name=login.title())
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_urls.site,
        "TESSERA_SECRETS": str(tmp_path / "secrets"),
        "TESSERA_SITE_PORT": "0",
    }
    with serving(environment) as (_program, address):
        yield Shop(address, database, house, holder, tmp_path / "secrets")
    database.close()


@pytest.fixture
def page(shop: Shop) -> Iterator[Page]:
    """A page of a browser whose owner reads English and likes it light. Ends with an empty console."""
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        said.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(base_url=shop.address, locale="en-GB", color_scheme="light")
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        browser.close()
    # A policy that blocks something of ours, a missing file, a fault in a script: all would be here.
    assert said == []


def log_in(page: Page, login: str = "bo") -> None:
    page.goto("/")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Transactions", exact=True)).to_be_visible()
