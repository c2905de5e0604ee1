"""The terminal's purchases on its disk: written before the first byte is sent, read after a restart.

SQLite from the standard library, in a folder of mode 0700: with a write-ahead log and synchronous=FULL
a commit is on the disk when it returns (https://sqlite.org/pragma.html#pragma_synchronous). A PIN is never
in it; card tokens are, for as long as a status or a reversal may need them.
"""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from txserver.terminal_identity import sync_folder
from txserver.terminal_rules import Purchase

__all__ = ["PurchaseStore", "StoreError"]

KEEP_FINISHED_MS = 48 * 3600 * 1000
"""A clerk takes back what was sold today or yesterday; older card tokens have no reason to lie about."""

_TABLE = """
CREATE TABLE IF NOT EXISTS purchase (
    txid BLOB PRIMARY KEY,
    made_at INTEGER NOT NULL,
    final INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID
"""
_NUMBERS = "CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
_WRITE = """
INSERT INTO purchase (txid, made_at, final, body) VALUES (?, ?, ?, ?)
ON CONFLICT (txid) DO UPDATE SET final = excluded.final, body = excluded.body
"""
_WRITE_STAN = "INSERT INTO number VALUES ('stan', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_READ_STAN = "SELECT value FROM number WHERE name = 'stan'"
_READ = "SELECT body FROM purchase WHERE txid = ?"
_READ_UNFINISHED = "SELECT body FROM purchase WHERE NOT final ORDER BY txid"
_READ_RECENT = "SELECT body FROM purchase ORDER BY made_at DESC, txid DESC LIMIT ?"
_FORGET = "DELETE FROM purchase WHERE final AND made_at < ?"


class StoreError(Exception):
    """The purchases cannot be read or written; the text says which file and why."""


class PurchaseStore:
    """One terminal's purchases. One program at a time may hold a store open; a second gets StoreError.

    `folder` None keeps them in memory: for a bench, which measures the server and not this disk.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / "purchases.sqlite3"
        with _faults(self._path):
            if folder is not None and self._path is not None:
                _make_private(folder, self._path)
            # autocommit: every statement is a transaction of its own unless one is begun. Any thread, because
            # a store that was dropped is closed by whichever collects it; it is used in one.
            self._connection = sqlite3.connect(
                self._path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False
            )
            self._give_back = weakref.finalize(self, self._connection.close)
            try:
                self._prepare()
            except BaseException:
                self._give_back()
                raise

    def _prepare(self) -> None:
        """Take the files for this program alone, with their tables in them."""
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA secure_delete = ON")
        self._connection.execute(_TABLE)
        self._connection.execute(_NUMBERS)
        # Takes the lock now, and not at the first purchase.
        self._connection.execute("INSERT OR IGNORE INTO number VALUES ('stan', 0)")

    def write(self, purchase: Purchase, last_stan: int) -> None:
        """Add or replace a purchase, durable on return. StoreError when it is not."""
        body = msgspec.msgpack.encode(replace(purchase, started=None, sent=False))
        row = (purchase.txid, purchase.request.at, purchase.state.final, body)
        with _faults(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(_WRITE, row)
            self._connection.execute(_WRITE_STAN, (last_stan,))

    def find(self, txid: bytes) -> Purchase | None:
        """The purchase with this txid."""
        return next(iter(self._read(_READ, (txid,))), None)

    def unfinished(self) -> list[Purchase]:
        """Those about which something remains to be said, oldest first."""
        return self._read(_READ_UNFINISHED)

    def recent(self, count: int) -> list[Purchase]:
        """The latest `count`, newest first, by the time at which they were made."""
        return self._read(_READ_RECENT, (count,))

    def last_stan(self) -> int:
        """The trace number that was written last; 0 in a new store."""
        with _faults(self._path):
            row = self._connection.execute(_READ_STAN).fetchone()
        return int(row[0])

    def forget_before(self, now_ms: int) -> None:
        """Delete finished purchases that are too old to be taken back here."""
        with _faults(self._path):
            self._connection.execute(_FORGET, (now_ms - KEEP_FINISHED_MS,))

    def close(self) -> None:
        """Give the files back. Harmless when repeated."""
        self._give_back()

    def _read(self, query: str, parameters: tuple[object, ...] = ()) -> list[Purchase]:
        with _faults(self._path):
            rows = self._connection.execute(query, parameters).fetchall()
        try:
            return [msgspec.msgpack.decode(body, type=Purchase) for (body,) in rows]
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._path}: a purchase cannot be read: {error}") from error


@contextmanager
def _faults(path: Path | None) -> Iterator[None]:
    """Every fault of the disk or of SQLite as one StoreError that names the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreError(f"{path} is in use: another POS is open on this device folder") from None
        raise StoreError(f"{path}: {error}") from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: {error}") from error


def _make_private(folder: Path, path: Path) -> None:
    """The folder with mode 0700 and an empty file of mode 0600 in it, both known to the disk."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    sync_folder(folder)
