"""The site on a real database, with a small world in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar

import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Connection, text

from admin import Settings, create_app
from ledger.database import Database, Scope
from ledger.keyring import Keyring
from tests.admin.browsing import Browser
from tests.admin.people import create_person
from tests.conftest import TestDatabase
from tests.factories import NOW, House, create_house

Answer = TypeVar("Answer")


class CompiledTemplates(BytecodeCache):
    """What the applications of all tests share: to compile the templates anew for each takes longest."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._kept[bucket.key, bucket.checksum] = bucket.code


COMPILED = CompiledTemplates()


@dataclass
class Clock:
    """The time that the site is told; tests move it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class Site:
    """The application with its database, and two houses: ours, and one that is none of our business."""

    app: Flask
    database: Database
    clock: Clock
    house: House
    other: House

    def browser(self, *, language: str = "en") -> Browser:
        return Browser(self.app, language)

    def signed_in(self, login: str, *, language: str = "en") -> Browser:
        browser = self.browser(language=language)
        assert browser.log_in(login).status_code == 303
        return browser

    def change(self, act: Callable[[Connection], Answer]) -> Answer:
        """Do something behind the site's back, in a transaction that sees everything."""
        with self.database.transaction(Scope.everything()) as connection:
            return act(connection)

    def ask(self, sql: str, **params: object) -> list[tuple[Any, ...]]:
        """The rows of a question to the database."""
        return self.change(lambda connection: [tuple(row) for row in connection.execute(text(sql), params)])


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    Keyring.create(folder, lambda size: bytes(range(size)))
    return folder


@pytest.fixture
def settings(database_urls: TestDatabase, secrets: Path) -> Settings:
    return Settings(database_url=database_urls.site, secrets=secrets)


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    """Staff `operator`, `enterprise` and `merchant` of our house, all with people.PASSWORD."""
    with opened_site(settings) as made:
        yield made


@pytest.fixture(scope="module")
def shared_site(module_database_urls: TestDatabase, secrets: Path) -> Iterator[Site]:
    """The same for all tests of a module, which do not mind each other's rows: much cheaper."""
    with opened_site(Settings(database_url=module_database_urls.site, secrets=secrets)) as made:
        yield made


@contextmanager
def opened_site(settings: Settings) -> Iterator[Site]:
    """A site whose database closes when the block ends."""
    database = Database(settings.database_url, pool_size=3)
    clock = Clock()
    app = create_app(settings, database, clock=clock)
    app.jinja_env.bytecode_cache = COMPILED
    app.testing = False  # errors become pages, as they do for people
    with database.transaction(Scope.everything()) as connection:
        house, other = create_house(connection), create_house(connection)
        for login in ("operator", "enterprise", "merchant"):
            create_person(connection, getattr(house, login), login=login)
    try:
        yield Site(app, database, clock, house, other)
    finally:
        database.close()
