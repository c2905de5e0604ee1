"""The embedded PostgreSQL: what it makes, what it survives, and what it says when it cannot start."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.embedded import OWNER, SERVER, SITE, EmbeddedPostgres, FolderError, InUseError, StartError
from ledger.embedded_seat import Seat, choose_seat, find_binaries
from tests.conftest import TestDatabase

ROOT = Path(__file__).resolve().parents[2]

ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole
FROM pg_roles WHERE rolname LIKE 'tessera%' ORDER BY rolname
"""
FACTS = """
SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale, pg_get_userbyid(datdba),
       current_setting('data_checksums'), current_setting('listen_addresses'),
       current_setting('password_encryption')
FROM pg_database WHERE datname = current_database()
"""
# Starts a server in argv[1], commits a row, says that it did, and then waits to be killed.
PARENT = """
import signal, sys
from pathlib import Path
import psycopg
from ledger.embedded import OWNER, EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
with psycopg.connect(server.url(OWNER)) as connection:
    connection.execute("CREATE TABLE kept AS SELECT 42 AS row")
print(server.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of one's own that root's server can reach too, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="tessera-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        yield path / "postgresql"


def create_server(folder: Path, **settings: str) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, durable=False, settings=settings)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def has_ended(pid: int) -> bool:
    """True also for a zombie, which its new parent may never bury."""
    try:
        status = Path("/proc", str(pid), "stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def answer(url: str, query: str) -> object:
    """The first column of the first row."""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def test_the_three_roles_log_in_and_are_nothing_more(empty_database_urls: TestDatabase) -> None:
    with psycopg.connect(empty_database_urls.server) as connection:
        assert connection.execute(ROLES).fetchall() == [
            (role, True, False, False, False, False) for role in (OWNER, SERVER, SITE)
        ]


def test_the_database_is_utf8_checksummed_and_not_on_the_network(empty_database_urls: TestDatabase) -> None:
    with psycopg.connect(empty_database_urls.site) as connection:
        assert connection.execute(FACTS).fetchone() == (
            "UTF8", "b", "C.UTF-8", OWNER, "on", "", "scram-sha-256",
        )  # fmt: skip


def test_the_owner_may_create_tables_and_trusted_extensions(empty_database_urls: TestDatabase) -> None:
    with psycopg.connect(empty_database_urls.owner) as connection:
        connection.execute("CREATE EXTENSION btree_gist")
        connection.execute("CREATE TABLE made (id bigint)")
        assert connection.execute("SELECT count(*) FROM made").fetchone() == (0,)


@pytest.mark.parametrize("role", [SERVER, SITE])
def test_the_programs_may_not_create_tables(
    postgres: EmbeddedPostgres, empty_database_urls: TestDatabase, role: str
) -> None:
    with (
        psycopg.connect(postgres.url(role, empty_database_urls.name)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE made (id bigint)")


def test_a_wrong_password_is_refused(postgres: EmbeddedPostgres) -> None:
    host = postgres.url(SERVER).partition("?")[2]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://{SERVER}:guess@/tessera?{host}")


def test_a_database_copied_from_a_template_has_its_rows(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("original")
    with psycopg.connect(postgres.url(OWNER, "original")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS row")
    postgres.create_database("copy", "original")
    assert answer(postgres.url(OWNER, "copy"), "SELECT row FROM kept") == 42
    postgres.drop_database("copy")
    postgres.drop_database("original")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(postgres.url(OWNER, "copy"))


def test_only_the_owner_of_the_folder_can_read_it(folder: Path) -> None:
    with create_server(folder):
        assert mode_of(folder / "data") == 0o700
        assert mode_of(folder / "socket") == 0o700
        assert mode_of(folder / "passwords.json") == 0o600
        assert mode_of(folder / "postgresql.log") == 0o600
    assert not (folder / "first-password").exists()


def test_the_server_runs_from_a_folder_that_only_its_owner_can_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        with create_server(closed / "postgresql") as server:
            assert answer(server.url(SITE), "SELECT current_user") == SITE


@pytest.mark.parametrize(
    "name",
    ["a folder with 'quotes' \"and\" 空格", "one,two", "long-" * 30],
    ids=["spaces and quotes", "comma", "too long for a socket"],
)
def test_any_name_of_a_folder_will_do(folder: Path, name: str) -> None:
    with create_server(folder / name) as server:
        assert answer(server.url(SERVER), "SELECT current_user") == SERVER
        assert mode_of(server.socket) == 0o700
    assert (server.socket.parent == server.folder) == server.socket.exists()


def test_committed_rows_survive_the_killing_of_the_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    with psycopg.connect(server.url(OWNER)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS row")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert not server.running
    with EmbeddedPostgres(folder) as again:
        assert answer(again.url(OWNER), "SELECT row FROM kept") == 42


def test_the_server_goes_down_with_its_parent_and_can_be_started_again(folder: Path) -> None:
    """The second start waits for the first one's server, which the kernel has told to shut down."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        said = parent.stdout.readline()
        parent.kill()
    orphan = int(said)
    with EmbeddedPostgres(folder) as again:
        assert answer(again.url(OWNER), "SELECT row FROM kept") == 42
        assert again.pid != orphan
        assert has_ended(orphan)


def test_a_stale_pid_file_that_names_a_living_process_is_no_hindrance(folder: Path) -> None:
    with create_server(folder):
        stale = (folder / "data" / "postmaster.pid").read_text().splitlines()
    (folder / "data" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *stale[1:]]) + "\n")
    with create_server(folder) as server:
        assert answer(server.url(SITE), "SELECT 1") == 1


def test_a_first_start_that_was_cut_is_begun_anew(folder: Path) -> None:
    """Killed within initdb: data.partial is left. Killed before the roles were made: they are missing."""
    (folder / "data.partial").mkdir(parents=True)
    (folder / "data.partial" / "PG_VERSION").write_text("18\n")
    folder.chmod(0o711)
    with create_server(folder) as server, psycopg.connect(server.url("postgres", "postgres")) as connection:
        connection.autocommit = True
        connection.execute("DROP DATABASE tessera")
        connection.execute("DROP ROLE tessera_site")
    with create_server(folder) as server:
        assert answer(server.url(SITE), "SELECT current_database()") == "tessera"


def test_a_second_start_in_the_same_folder_is_refused(folder: Path) -> None:
    with create_server(folder) as server:
        with pytest.raises(InUseError, match=f"running in {folder} already .*process {os.getpid()}"):
            create_server(folder).start()
        assert answer(server.url(SITE), "SELECT 1") == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"cannot use the folder .*/file/postgresql: Not a directory"):
        create_server(tmp_path / "file" / "postgresql").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match="Permission denied"):
        create_server(tmp_path / "postgresql").start()


def test_data_of_another_major_version_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(FolderError, match="made by PostgreSQL 15, and this is PostgreSQL 18"):
        create_server(folder).start()
    assert [path.name for path in (folder / "data").iterdir()] == ["PG_VERSION"]


def test_a_data_folder_of_something_else_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "letter").write_text("dear")
    with pytest.raises(FolderError, match="holds no database"):
        create_server(folder).start()
    assert (folder / "data" / "letter").read_text() == "dear"


def test_lost_passwords_are_named(folder: Path) -> None:
    with create_server(folder):
        pass
    (folder / "passwords.json").unlink()
    with pytest.raises(FolderError, match=r"passwords\.json is missing"):
        create_server(folder).start()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"postgres": 5}', '{"postgres": "only this one"}', "\xff"])
def test_damaged_passwords_are_named(folder: Path, text: str) -> None:
    (folder / "data").mkdir(parents=True)
    folder.chmod(0o711)
    (folder / "data" / "PG_VERSION").write_text("18\n")
    (folder / "passwords.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FolderError, match=r"passwords\.json is damaged: .*restore it from its backup"):
        create_server(folder).start()
    assert (folder / "passwords.json").read_bytes() == text.encode("latin-1")


def test_lost_data_are_not_replaced_by_an_empty_database(folder: Path) -> None:
    """The folder of the data is a volume that was not mounted: gone, or empty."""
    with create_server(folder):
        pass
    kept = (folder / "passwords.json").read_bytes()
    shutil.rmtree(folder / "data")
    for _ in range(2):
        with pytest.raises(
            FolderError, match=r"data is missing, but .*mount its volume or restore its backup"
        ):
            create_server(folder).start()
        (folder / "data").mkdir(exist_ok=True)
    assert list((folder / "data").iterdir()) == []
    assert (folder / "passwords.json").read_bytes() == kept


def test_a_first_start_that_was_cut_after_its_passwords_is_begun_anew(folder: Path) -> None:
    (folder / "data.partial").mkdir(parents=True)
    folder.chmod(0o711)
    (folder / "passwords.json").write_text("{}")
    with create_server(folder) as server:
        assert answer(server.url(SITE), "SELECT 1") == 1


def test_a_damaged_catalogue_is_one_sentence(folder: Path) -> None:
    with create_server(folder) as server:
        path = answer(server.url("postgres", "postgres"), "SELECT pg_relation_filepath('pg_class')")
    catalogue = folder / "data" / str(path)
    catalogue.write_bytes(b"\xff" * catalogue.stat().st_size)
    with pytest.raises(StartError, match=r"cannot be used: .* \(its log: .*restore it from its backup"):
        create_server(folder).start()


def test_what_a_killed_server_left_beside_its_socket_is_no_hindrance(folder: Path) -> None:
    """Its process id may be a zombie's, or that of another program of the same account."""
    with create_server(folder) as server:
        account = (folder / "data").stat().st_uid
        socket = server.socket
    with subprocess.Popen(["sleep", "60"], user=account if os.geteuid() == 0 else None) as other:
        lock = socket / ".s.PGSQL.5432.lock"
        lock.write_text(f"{other.pid}\n{folder / 'data'}\n0\n5432\n{socket}\n")
        os.chown(lock, account, -1)
        try:
            with create_server(folder) as server:
                assert answer(server.url(SITE), "SELECT 1") == 1
        finally:
            other.kill()


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "postgresql").symlink_to(tmp_path / "gone")
    with pytest.raises(FolderError, match=r"is a link to .*gone, which does not exist"):
        create_server(tmp_path / "postgresql").start()


def test_a_server_that_does_not_start_gives_its_reason(folder: Path) -> None:
    with pytest.raises(StartError, match="max_connections"):
        create_server(folder, max_connections="many").start()
    with create_server(folder) as server:
        assert server.running


def test_stopping_twice_is_allowed_and_starting_twice_is_not(folder: Path) -> None:
    server = create_server(folder)
    with pytest.raises(RuntimeError, match="start the server first"):
        server.url(SITE)
    with server, pytest.raises(RuntimeError, match="started already"):
        server.start()
    server.stop()
    assert not server.running


def test_missing_binaries_are_said_in_one_sentence() -> None:
    """In an interpreter without any installed package."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from ledger.embedded_seat import LocateError, find_binaries\n"
        "try: find_binaries()\n"
        "except LocateError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("the embedded PostgreSQL is not installed: install the package")
    assert done.stdout.count("\n") == 1


def test_an_ordinary_user_or_root_gets_a_seat_that_was_tried(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o711)
    seat = choose_seat(folder, find_binaries())
    assert int(seat.major) >= 18
    assert (seat.account is None and seat.namespace is None) == (os.geteuid() != 0)


def test_a_seat_whose_programs_are_missing_says_why(folder: Path) -> None:
    folder.mkdir()
    reason = Seat(folder, folder).tried()
    assert isinstance(reason, str)
    assert "No such file" in reason
