"""Runs the stages of ledger.books on libpq in pipeline mode, awaited by trio: no thread in between.

The one file outside the ledger that knows psycopg, and only its `pq` module and what reads binary results.
A stage is one round trip: its statements and a sync go out together, the results come back together.
The first stage opens the transaction, the final one commits it.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import psycopg
import trio
from psycopg import Error, OperationalError, pq
from psycopg.adapt import AdaptersMap, Transformer

from ledger import logins
from ledger.database import Rows, Stage, Statement
from ledger.statements import PREPARED
from txserver.binary import encoder

__all__ = ["DatabaseGone", "Pipeline", "Reader", "StatementFailed"]

Result = TypeVar("Result")

_BEGIN = Statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED")
_COMMIT = Statement("commit", "COMMIT")
_ROLLBACK = Statement("rollback", "ROLLBACK")
_ALL = (*PREPARED, *logins.STATEMENTS, _BEGIN, _COMMIT, _ROLLBACK)

# Behind another's lock we wait half a second and then post the rest without the one that is stuck.
# A server process that hangs inside a transaction loses its locks after ten.
_SESSION = b"""
SET lock_timeout = '500ms'; SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC';
SET plan_cache_mode = force_generic_plan; SET jit = off;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_material = off;
SET enable_hashjoin = off; SET enable_mergejoin = off
"""

ANSWER_SECONDS = 20  # a stage takes milliseconds; after this the connection is taken for dead

# A firewall that forgets a quiet connection must not cost the next debit those seconds.
_LINK = "connect_timeout=5&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"

_OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)
_SYNC, _ABORTED, _STANDS = pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED, pq.ConnStatus.OK

# bool, bytea, int8, int2, int4, text, int8[], date, timestamptz, uuid
_READ = (16, 17, 20, 21, 23, 25, 1016, 1082, 1184, 2950)


class DatabaseGone(Exception):
    """The connection is lost. Whether a commit under way took place is unknown until someone asks again."""


class StatementFailed(Exception):
    """The database refused a statement; the transaction was rolled back. `sqlstate` says why."""

    def __init__(self, statement: str, sqlstate: str, message: str) -> None:
        super().__init__(f"{statement}: {sqlstate}: {message}")
        self.statement = statement
        self.sqlstate = sqlstate


def _adapters() -> AdaptersMap:
    """psycopg's loaders of the types that we read, and of no other; times are in UTC."""
    ours = AdaptersMap()
    for oid in _READ:
        loader = psycopg.adapters.get_loader(oid, pq.Format.BINARY)
        assert loader is not None
        ours.register_loader(oid, loader)
    return ours


class Reader:
    """Makes rows of the binary results of one statement, whose columns stay what they are.

    InterfaceError for a column of a type that we do not use.
    """

    _ADAPTERS = _adapters()

    def __init__(self) -> None:
        self._transformer = Transformer(self._ADAPTERS)
        self._knows = False

    def rows(self, result: pq.abc.PGresult) -> Rows:
        if not result.nfields:
            return []
        self._transformer.set_pgresult(result, set_loaders=not self._knows, format=pq.Format.BINARY)
        self._knows = True
        rows = self._transformer.load_rows(0, result.ntuples, tuple)
        self._transformer.set_pgresult(None, set_loaders=False)
        return rows


class _Prepared:
    """A statement as libpq wants it, again and again."""

    def __init__(self, statement: Statement) -> None:
        self.name = statement.name.encode()
        self.formats = [pq.Format.BINARY] * len(statement.types)
        self._encoders: list[Callable[[Any], bytes]] = [encoder(kind) for kind in statement.types]
        self.rows = Reader().rows

    def encode(self, params: Sequence[Any]) -> list[bytes | None]:
        return [
            None if param is None else encode(param)
            for encode, param in zip(self._encoders, params, strict=True)
        ]


class Pipeline:
    """One connection to the database. One batch at a time; after DatabaseGone make a new one."""

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection
        self._prepared = {statement.name: _Prepared(statement) for statement in _ALL}
        self.round_trips = 0

    @classmethod
    async def connect(cls, url: str) -> "Pipeline":
        """A connection with every statement of the books prepared. Raises DatabaseGone."""
        try:
            connection = await trio.to_thread.run_sync(_connect, url)
        except Error as error:
            raise DatabaseGone(str(error).strip()) from error
        connection.nonblocking = 1
        connection.enter_pipeline_mode()
        return cls(connection)

    def close(self) -> None:
        self._connection.finish()

    def alive(self) -> bool:
        """Whether the connection, between two batches, still stands as far as can be seen from here."""
        try:
            self._connection.consume_input()  # the server's farewell
            self._connection.consume_input()  # the end behind it
        except OperationalError:
            return False
        return bool(self._connection.status == _STANDS)

    async def run(self, stages: Generator[Stage, list[Rows], Result]) -> Result:
        """Run a batch to its commit and return what the generator returns.

        Raises StatementFailed, and whatever the generator raises, after a rollback; DatabaseGone when
        the connection is lost. A cancellation closes it: nobody knows what is under way.
        """
        try:
            stage = next(stages)
            calls = [(_BEGIN, ()), *stage.calls]
            while True:
                if stage.final:
                    calls = [*calls, (_COMMIT, ())]
                rows = await self._round_trip(calls)
                stage = stages.send(rows[1:] if calls[0][0] is _BEGIN else rows)
                calls = stage.calls
        except StopIteration as done:
            result: Result = done.value
            return result
        except DatabaseGone:
            self.close()
            raise
        except Exception:
            # A refused statement, no open day, a bug in the rules: the connection is good, the batch is not.
            await self._roll_back()
            raise
        except BaseException:
            self.close()
            raise

    async def _roll_back(self) -> None:
        try:
            await self._round_trip([(_ROLLBACK, ())])
        except StatementFailed as error:
            self.close()
            raise DatabaseGone("rollback failed") from error
        except BaseException:
            self.close()
            raise

    async def _round_trip(self, calls: list[tuple[Statement, tuple[Any, ...]]]) -> list[Rows]:
        connection = self._connection
        prepared = [self._prepared[statement.name] for statement, _ in calls]
        encoded = [one.encode(params) for one, (_, params) in zip(prepared, calls, strict=True)]
        try:
            for one, data in zip(prepared, encoded, strict=True):
                connection.send_query_prepared(one.name, data, one.formats, pq.Format.BINARY)
            connection.pipeline_sync()
            self.round_trips += 1
            with trio.fail_after(ANSWER_SECONDS):
                results = await self._results([statement.name for statement, _ in calls])
        except (OperationalError, trio.TooSlowError) as error:
            raise DatabaseGone(str(error).strip() or "no answer") from error
        return [one.rows(result) for one, result in zip(prepared, results, strict=True)]

    async def _results(self, names: list[str]) -> list[pq.abc.PGresult]:
        """The results of the named statements, up to the sync; StatementFailed for the first error."""
        connection = self._connection
        found: list[pq.abc.PGresult] = []
        failed: StatementFailed | None = None
        while True:
            if connection.is_busy():
                await self._hear()
                continue
            result = connection.get_result()
            if result is None:  # after each statement's result; and when there is nobody any more
                if connection.status != _STANDS:
                    raise DatabaseGone("the connection was closed")
                continue
            status = result.status
            if status == _SYNC:
                if failed is not None:
                    raise failed
                if names[-1] == _COMMIT.name and found[-1].command_status != b"COMMIT":
                    # What a failed transaction answers to COMMIT. It must never pass as one.
                    raise StatementFailed(_COMMIT.name, "25P02", "the database rolled back instead")
                return found
            if status not in _OK and status != _ABORTED:
                failed = failed or _failure(names[len(found)], result)
            found.append(result)

    async def _hear(self) -> None:
        """Send what is not yet sent, and take in what comes."""
        connection = self._connection
        while connection.flush():
            await trio.lowlevel.wait_writable(connection.socket)
        await trio.lowlevel.wait_readable(connection.socket)
        connection.consume_input()


def _failure(name: str, result: pq.abc.PGresult) -> StatementFailed:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
    return StatementFailed(name, (state or b"?").decode(), (text or b"").decode(errors="replace"))


def _connect(url: str) -> pq.abc.PGconn:
    """Blocking: connect and prepare. Raises OperationalError."""
    connection = pq.PGconn.connect(f"{url}{'&' if '?' in url else '?'}{_LINK}".encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise OperationalError(connection.get_error_message())
        _must(connection.exec_(_SESSION), connection)
        for statement in _ALL:
            _must(connection.prepare(statement.name.encode(), statement.sql.encode()), connection)
    except BaseException:
        connection.finish()
        raise
    return connection


def _must(result: pq.abc.PGresult, connection: pq.abc.PGconn) -> None:
    if result.status not in _OK:
        raise OperationalError(connection.get_error_message())
