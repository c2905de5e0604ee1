"""What handlers and conversations of one process share, and the fields that every reply has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import trio

from ledger.database import Database, Scope
from ledger.keyring import Keyring
from ledger.logins import LoggedIn, Login
from ledger.postings import Outcome
from ledger.postings import Request as BooksRequest
from protocol.codes import code_info
from protocol.messages import Request
from txserver.batcher import Batcher
from txserver.turns import Turns

__all__ = ["Context", "envelope", "millis", "moment"]

Answer = TypeVar("Answer")

PATIENCE_SECONDS = 10  # for one statement of a login or a read: what takes longer is in the way of others

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Context:
    """What handlers need. `business_date` is the newest one that this process has seen.

    `turns` has as many places as `database` has connections, so that nobody waits inside the pool.
    `books_now` None: the database's clock dates what is booked.
    """

    batcher: Batcher[BooksRequest, Outcome]
    logins: Batcher[Login, LoggedIn]
    database: Database
    turns: Turns
    keyring: Keyring
    now: Callable[[], datetime]
    books_now: Callable[[], datetime] | None
    business_date: date

    async def enrol(self, ask: Callable[[Any], Answer]) -> Answer:
        """Run `ask(connection)` for who is not known yet, as `read` does."""
        return await self.turns.enrol(self._transaction(ask))

    def booking_time(self) -> datetime | None:
        """What the ledger is told the time is; None: it asks the database."""
        return None if self.books_now is None else self.books_now()

    async def read(self, terminal: int, ask: Callable[[Any], Answer]) -> Answer:
        """Run `ask(connection)` for a terminal on a thread, in a transaction of its own. Raises DatabaseAway.

        Nothing is written for who has stopped waiting before it was done.
        """
        return await self.turns.read(terminal, self._transaction(ask))

    def _transaction(self, ask: Callable[[Any], Answer]) -> Callable[[], Answer]:
        def work() -> Answer:
            scope = Scope.everything()
            with self.database.transaction(scope, patience_s=PATIENCE_SECONDS) as connection:
                answer = ask(connection)
                trio.from_thread.check_cancelled()
                return answer

        return work


def millis(at: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def moment(at_ms: int) -> datetime:
    """The moment of a number of milliseconds since 1970 UTC."""
    return _EPOCH + timedelta(milliseconds=at_ms)


def envelope(context: Context, message: Request, code: int = 0) -> dict[str, Any]:
    """The fields that every reply has, for an answer given now."""
    return {
        "id": message.id,
        "code": int(code),
        "text": code_info(code).text,
        "server_at": millis(context.now()),
        "business_date": context.business_date.isoformat(),
    }
