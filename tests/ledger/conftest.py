"""What several tests of the ledger ask for."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from ledger.database import Database, Scope
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books


@pytest.fixture
def books(database_urls: TestDatabase) -> Iterator[Books]:
    """A furnished house with an open day; the books must be right at the end."""
    with opened_books(database_urls) as opened:
        yield opened


@pytest.fixture
def connection(database_urls: TestDatabase) -> Iterator[Connection]:
    """One transaction that sees everything, as the site."""
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as opened:
        yield opened
    database.close()


@pytest.fixture
def server(database_urls: TestDatabase) -> Iterator[Database]:
    """Whoever lets terminals in logs in as tessera_server."""
    database = Database(database_urls.server)
    yield database
    database.close()
