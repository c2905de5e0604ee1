"""Runs the stages of ledger.books on libpq in pipeline mode, awaited by trio: no thread in between.

The one file outside the ledger that knows psycopg, and only its `pq` module. A stage is one round
trip: its statements and a sync go out together, the results come back together. The first stage
opens the transaction, the final one commits it.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import trio
from psycopg import Error, OperationalError, pq

from ledger import logins
from ledger.database import Rows, Stage, Statement
from ledger.statements import STATEMENTS
from txserver.binary import decoder, encoder

__all__ = ["DatabaseGone", "Pipeline", "StatementFailed"]

Result = TypeVar("Result")

_BEGIN = Statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED")
_COMMIT = Statement("commit", "COMMIT")
_ROLLBACK = Statement("rollback", "ROLLBACK")

# Behind another's lock we wait half a second and then post the rest without the one that is stuck.
# A server process that hangs inside a transaction loses its locks after ten.
_SESSION = (
    b"SET lock_timeout = '500ms'; SET idle_in_transaction_session_timeout = '10s'; SET timezone = 'UTC'"
)

ANSWER_SECONDS = 20  # a stage takes milliseconds; after this the connection is taken for dead

# A firewall that forgets a quiet connection must not cost the next debit those seconds.
_LINK = "connect_timeout=5&keepalives_idle=30&keepalives_interval=10&keepalives_count=3"

_OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class DatabaseGone(Exception):
    """The connection is lost. Whether a commit under way took place is unknown until someone asks again."""


class StatementFailed(Exception):
    """The database refused a statement; the transaction was rolled back. `sqlstate` says why."""

    def __init__(self, statement: str, sqlstate: str, message: str) -> None:
        super().__init__(f"{statement}: {sqlstate}: {message}")
        self.statement = statement
        self.sqlstate = sqlstate


class Pipeline:
    """One connection to the database. One batch at a time; after DatabaseGone make a new one."""

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection
        self._encoders: dict[str, list[Callable[[Any], bytes]]] = {
            statement.name: [encoder(kind) for kind in statement.types]
            for statement in (*STATEMENTS, *logins.STATEMENTS, _BEGIN, _COMMIT, _ROLLBACK)
        }
        self._decoders: dict[str, list[Callable[[bytes], Any]]] = {}
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
        return self._connection.status == pq.ConnStatus.OK

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
        encoded = [
            [
                None if param is None else encode(param)
                for encode, param in zip(self._encoders[statement.name], params, strict=True)
            ]
            for statement, params in calls
        ]
        try:
            for (statement, _), data in zip(calls, encoded, strict=True):
                connection.send_query_prepared(
                    statement.name.encode(), data, param_formats=[1] * len(data), result_format=1
                )
            connection.pipeline_sync()
            self.round_trips += 1
            with trio.fail_after(ANSWER_SECONDS):
                results = await self._results([statement.name for statement, _ in calls])
        except (OperationalError, trio.TooSlowError) as error:
            raise DatabaseGone(str(error).strip() or "no answer") from error
        return [
            self._rows(statement.name, result) for (statement, _), result in zip(calls, results, strict=True)
        ]

    async def _results(self, names: list[str]) -> list[pq.abc.PGresult]:
        """The results of the named statements, up to the sync; StatementFailed for the first error."""
        connection = self._connection
        found: list[pq.abc.PGresult] = []
        failed: StatementFailed | None = None
        while True:
            while connection.flush():
                await trio.lowlevel.wait_writable(connection.socket)
            if connection.is_busy():
                await trio.lowlevel.wait_readable(connection.socket)
                connection.consume_input()
                continue
            result = connection.get_result()
            if result is None:
                if connection.status != pq.ConnStatus.OK:
                    raise DatabaseGone("the connection was closed")
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                if failed is not None:
                    raise failed
                if names[-1] == _COMMIT.name and found[-1].command_status != b"COMMIT":
                    # What a failed transaction answers to COMMIT. It must never pass as one.
                    raise StatementFailed(_COMMIT.name, "25P02", "the database rolled back instead")
                return found
            if result.status not in _OK and result.status != pq.ExecStatus.PIPELINE_ABORTED:
                failed = failed or _failure(names[len(found)], result)
            found.append(result)

    def _rows(self, name: str, result: pq.abc.PGresult) -> Rows:
        width = result.nfields
        if not width:
            return []
        decoders = self._decoders.get(name)
        if decoders is None:
            decoders = self._decoders[name] = [decoder(result.ftype(column)) for column in range(width)]
        rows: Rows = []
        for row in range(result.ntuples):
            values = []
            for column in range(width):
                data = result.get_value(row, column)
                values.append(None if data is None else decoders[column](data))
            rows.append(tuple(values))
        return rows


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
        for statement in (*STATEMENTS, *logins.STATEMENTS, _BEGIN, _COMMIT, _ROLLBACK):
            _must(connection.prepare(statement.name.encode(), statement.sql.encode()), connection)
    except BaseException:
        connection.finish()
        raise
    return connection


def _must(result: pq.abc.PGresult, connection: pq.abc.PGconn) -> None:
    if result.status not in _OK:
        raise OperationalError(connection.get_error_message())
