"""Fixtures that every test may ask for. The database is always a real PostgreSQL.

Each worker process starts one embedded server of its own, when the first test asks for it: two servers
starting at once are no slower than one that both wait for. The schema is migrated once, into a
template; a test's database is a copy of its files (some 15 ms in memory, 150 ms on a disk).
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres

TEMPLATE = "template_of_tests"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 3 * 1024**3  # what a run takes there at most, and as much again
_numbers = itertools.count(1)

# Two workers on two cores: how long an example took says nothing about the code.
settings.register_profile("tessera", deadline=None)
settings.load_profile("tessera")


def pytest_configure() -> None:
    """Temporary files are kept in memory where it has the room: some thousand databases are copied here."""
    if "TMPDIR" not in os.environ and _memory_has_room():
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None  # ask again


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests first: the longest of all, started last, would be waited for alone."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


def _memory_has_room() -> bool:
    try:
        place = os.statvfs(MEMORY)
        # A small machine shares its memory among the tests and their files.
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return False
    runs = not place.f_flag & os.ST_NOEXEC  # environments for Python are made there too
    return runs and os.access(MEMORY, os.W_OK) and min(place.f_bavail * place.f_frsize, pages) > ROOM_BYTES


@dataclass(frozen=True)
class TestDatabase:
    """The addresses of one database, for each of the three roles."""

    __test__ = False

    name: str
    owner: str
    server: str
    site: str


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Tests log in a thousand times: Argon2id at its least. One test of ledger.staff checks the real cost."""
    from ledger import staff

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staff, "COST", staff.Cost(passes=1, memory=8_192))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server for this worker. It forgets everything when the machine does: fsync is off.

    Its passwords are hashed once, not 4,096 times: a connection costs 3 ms instead of 12.
    """
    # Not pytest's own temporary folder: that is closed to the account that root's server runs as.
    folder = Path(tempfile.mkdtemp(prefix="tessera-test-"))
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(
            folder / "postgresql", durable=False, settings={"scram_iterations": "1"}
        ) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the schema and no rows, which nobody is connected to."""
    from ledger.database import migrate

    postgres.create_database(TEMPLATE)
    migrate(postgres.url(OWNER, TEMPLATE))
    return TEMPLATE


@contextmanager
def copied(server: EmbeddedPostgres, template: str) -> Iterator[TestDatabase]:
    """A copy of a database that nobody is connected to, until the block ends."""
    name = f"test_{next(_numbers)}"
    server.create_database(name, template)
    try:
        yield TestDatabase(name, server.url(OWNER, name), server.url(SERVER, name), server.url(SITE, name))
    finally:
        server.drop_database(name)


@pytest.fixture
def database_urls(postgres: EmbeddedPostgres, template: str) -> Iterator[TestDatabase]:
    """A database for this test alone: the schema, no rows."""
    with copied(postgres, template) as database:
        yield database


@pytest.fixture(scope="module")
def module_database_urls(postgres: EmbeddedPostgres, template: str) -> Iterator[TestDatabase]:
    """A database that the tests of one module share: for those that do not mind each other's rows."""
    with copied(postgres, template) as database:
        yield database


@pytest.fixture
def empty_database_urls(postgres: EmbeddedPostgres) -> Iterator[TestDatabase]:
    """A database without a schema: for the tests of migrating."""
    with copied(postgres, "template1") as database:
        yield database
