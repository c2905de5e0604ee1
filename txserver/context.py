"""What handlers and conversations of one process share, and the fields that every reply has."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import trio

from ledger.database import Database, Scope
from ledger.keyring import Keyring
from protocol.codes import code_info
from protocol.messages import Request
from txserver.batcher import Batcher

__all__ = ["Context", "envelope", "millis", "moment"]

Answer = TypeVar("Answer")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Context:
    """What handlers need. `business_date` is the newest one that this process has seen.

    `threads` has as many places as `database` has connections, so that nobody waits inside the pool.
    """

    batcher: Batcher
    database: Database
    threads: trio.CapacityLimiter
    keyring: Keyring
    now: Callable[[], datetime]
    business_date: date

    async def read(self, ask: Callable[[Any], Answer]) -> Answer:
        """Run `ask(connection)` on a thread, in a transaction of its own. Raises DatabaseAway."""

        def work() -> Answer:
            with self.database.transaction(Scope.everything()) as connection:
                return ask(connection)

        # Whoever stops waiting leaves the thread to end its transaction; its place is free only then.
        return await trio.to_thread.run_sync(work, limiter=self.threads, abandon_on_cancel=True)

    async def rest(self) -> None:
        """Return when no read is under way, also none that nobody waits for any more."""
        for place in range(int(self.threads.total_tokens)):
            await self.threads.acquire_on_behalf_of(place)


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
