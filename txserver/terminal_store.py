"""The terminal's purchases on its disk: written before the first byte is sent, read after a restart.

SQLite from the standard library, in a folder of mode 0700: with a write-ahead log and synchronous=FULL
a commit is on the disk when it returns (https://sqlite.org/pragma.html#pragma_synchronous). A PIN is never
in it; card tokens are, for as long as a status, a reversal or the end of a hold may need them.
"""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from protocol.limits import HOLD_SECONDS
from protocol.messages import Hold, Reconciliation, ReversalAdvice
from txserver.terminal_identity import sync_folder
from txserver.terminal_operations import OPERATIONS, Answer, Purchase, State

__all__ = ["PurchaseStore", "StoreError"]

KEEP_FINISHED_MS = 48 * 3600 * 1000
"""A clerk takes back what was sold today or yesterday; older card tokens have no reason to lie about."""

FIRST_BATCH = 1

S = TypeVar("S", bound=msgspec.Struct)

_TABLE = """
CREATE TABLE IF NOT EXISTS purchase (
    txid BLOB PRIMARY KEY,
    made_at INTEGER NOT NULL,
    final INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID
"""
# Batches of the request and of the last message about it. Before there were any every batch was the first.
_COLUMNS = {
    "batch": "INTEGER NOT NULL DEFAULT 1",
    "last_batch": "INTEGER NOT NULL DEFAULT 1",
    "keep_until": "INTEGER NOT NULL DEFAULT 0",
    "place": "INTEGER NOT NULL DEFAULT 0",  # in the order of writing: the device's clock may be set back
}
_PLACES = "CREATE INDEX IF NOT EXISTS purchase_place ON purchase (place)"
_NUMBERS = "CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
_CLOSING = "CREATE TABLE IF NOT EXISTS closing (batch INTEGER PRIMARY KEY, body BLOB NOT NULL)"
_WRITE = """
INSERT INTO purchase (txid, made_at, final, body, batch, last_batch, keep_until, place)
VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(place), 0) + 1 FROM purchase))
ON CONFLICT (txid) DO UPDATE
SET final = excluded.final, body = excluded.body, last_batch = excluded.last_batch
"""
_WRITE_NUMBER = "INSERT INTO number VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_READ_NUMBER = "SELECT value FROM number WHERE name = ?"
_READ = "SELECT body FROM purchase WHERE txid = ?"
_READ_UNFINISHED = "SELECT body FROM purchase WHERE NOT final ORDER BY txid"
_READ_RECENT = "SELECT body FROM purchase ORDER BY place DESC, made_at DESC, txid DESC LIMIT ?"
_READ_BATCH = "SELECT body FROM purchase WHERE ? IN (batch, last_batch) ORDER BY txid"
_FORGET = "DELETE FROM purchase WHERE final AND max(made_at + ?, keep_until) < ? AND last_batch < ?"
_WRITE_CLOSING = "INSERT INTO closing VALUES (?, ?)"
_READ_CLOSING = "SELECT body FROM closing ORDER BY batch LIMIT 1"
_FORGET_CLOSING = "DELETE FROM closing"


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
        for table in (_TABLE, _NUMBERS, _CLOSING):
            self._connection.execute(table)
        # A store of before these columns existed.
        present = {row[1] for row in self._connection.execute("PRAGMA table_info(purchase)")}
        for name, definition in _COLUMNS.items():
            if name not in present:
                self._connection.execute(f"ALTER TABLE purchase ADD COLUMN {name} {definition}")
        self._connection.execute(_PLACES)
        # Takes the lock now, and not at the first purchase.
        self._connection.execute("INSERT OR IGNORE INTO number VALUES ('stan', 0)")

    def write(self, purchase: Purchase, last_stan: int) -> None:
        """Add or replace a purchase, durable on return. StoreError when it is not."""
        request, advice = purchase.request, purchase.advice
        row = (
            purchase.txid,
            request.at,
            purchase.state.final,
            _body(purchase),
            request.batch,
            request.batch if advice is None else advice.batch,
            request.at + _needed_ms(purchase),
        )
        with self._transaction():
            self._connection.execute(_WRITE, row)
            self._connection.execute(_WRITE_NUMBER, ("stan", last_stan))

    def find(self, txid: bytes) -> Purchase | None:
        """The purchase with this txid."""
        return next(iter(self._read(_READ, (txid,))), None)

    def unfinished(self) -> list[Purchase]:
        """Those about which something remains to be said, oldest first."""
        return self._read(_READ_UNFINISHED)

    def recent(self, count: int) -> list[Purchase]:
        """The latest `count`, newest first."""
        return self._read(_READ_RECENT, (count,))

    def of_batch(self, batch: int) -> list[Purchase]:
        """Those of which the request or the reversal went out in a batch, by txid."""
        return self._read(_READ_BATCH, (batch,))

    def last_stan(self) -> int:
        """The trace number that was written last; 0 in a new store."""
        return self._number("stan", 0)

    def open_batch(self) -> int:
        """The number of the batch that new requests belong to."""
        return self._number("batch", FIRST_BATCH)

    def open_a_batch(self, batch: int) -> None:
        """From now on new requests belong to this batch."""
        with self._transaction():
            self._connection.execute(_WRITE_NUMBER, ("batch", batch))

    def close_batch(self, closing: Reconciliation) -> None:
        """Keep the message that closes a batch until `forget_closing`, and open the next one."""
        body = msgspec.msgpack.encode(closing)
        with self._transaction():
            self._connection.execute(_WRITE_CLOSING, (closing.batch, body))
            self._connection.execute(_WRITE_NUMBER, ("batch", closing.batch + 1))
            self._connection.execute(_WRITE_NUMBER, ("stan", closing.stan))

    def closing(self) -> Reconciliation | None:
        """The message of a batch whose end was begun and is not over."""
        with _faults(self._path):
            row = self._connection.execute(_READ_CLOSING).fetchone()
        return None if row is None else self._decode(row[0], Reconciliation)

    def forget_closing(self) -> None:
        """The batch's end is over."""
        with self._transaction():
            self._connection.execute(_FORGET_CLOSING)

    def forget_before(self, now_ms: int) -> None:
        """Delete finished purchases too old to be taken back here, of batches whose end is over."""
        closing = self.closing()
        batch = self.open_batch() if closing is None else closing.batch
        with _faults(self._path):
            self._connection.execute(_FORGET, (KEEP_FINISHED_MS, now_ms, batch))

    def close(self) -> None:
        """Give the files back. Harmless when repeated."""
        self._give_back()

    def _number(self, name: str, default: int) -> int:
        with _faults(self._path):
            row = self._connection.execute(_READ_NUMBER, (name,)).fetchone()
        return default if row is None else int(row[0])

    def _read(self, query: str, parameters: tuple[object, ...] = ()) -> list[Purchase]:
        with _faults(self._path):
            rows = self._connection.execute(query, parameters).fetchall()
        return [self._purchase(body) for (body,) in rows]

    def _purchase(self, body: bytes) -> Purchase:
        stored = self._decode(body, _Stored)
        operation = OPERATIONS.get(stored.kind)
        if operation is None:
            raise StoreError(f"{self._path}: a purchase cannot be read: a {stored.kind} is not known here")
        return Purchase(
            request=self._decode(stored.request, operation),
            state=stored.state,
            advice=stored.advice,
            answer=stored.answer,
            booked=stored.booked,
            returned=stored.returned,
        )

    def _decode(self, body: bytes | msgspec.Raw, kind: type[S]) -> S:
        try:
            return msgspec.msgpack.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._path}: a purchase cannot be read: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _faults(self._path), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield


class _Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A purchase's body. A Redeem is stored as it was when there was nothing else: without its kind."""

    kind: str = "redeem"
    request: msgspec.Raw
    state: State = State.OPEN
    advice: ReversalAdvice | None = None
    answer: Answer | None = None
    booked: int | None = None
    returned: int = 0


def _body(purchase: Purchase) -> bytes:
    return msgspec.msgpack.encode(
        _Stored(
            kind=purchase.kind,
            request=msgspec.Raw(msgspec.msgpack.encode(purchase.request)),
            state=purchase.state,
            advice=purchase.advice,
            answer=purchase.answer,
            booked=purchase.booked,
            returned=purchase.returned,
        )
    )


def _needed_ms(purchase: Purchase) -> int:
    """How long after it was made a finished purchase is kept: a hold until it can no longer be captured."""
    if not isinstance(purchase.request, Hold):
        return KEEP_FINISHED_MS
    return KEEP_FINISHED_MS + 1000 * (purchase.request.hold_s or HOLD_SECONDS)


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
