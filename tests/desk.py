"""A database with a small house in it, and one desk at which to post: what tests of the books share."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from ledger import businessday
from ledger.audit import breaches
from ledger.books import post
from ledger.businessday import Calendar, date_at
from ledger.database import Database, Scope
from ledger.postings import Outcome, Request
from tests.conftest import TestDatabase
from tests.factories import NOW, TODAY, Holder, House, create_holder, create_house

Answer = TypeVar("Answer")

SHANGHAI = Calendar("Asia/Shanghai", time_of_day())  # that of a new database


class Books:
    """A database with a house in it; every post is a transaction of its own."""

    def __init__(self, urls: TestDatabase, *, today: date = TODAY, now: datetime = NOW) -> None:
        self.database = Database(urls.site, pool_size=8)
        self.now = now
        with self.database.transaction(Scope.everything()) as connection:
            self.house: House = create_house(connection, today=today, now=now)

    def change(self, act: Callable[[Connection], Answer]) -> Answer:
        """Do something in a transaction of its own."""
        with self.database.transaction(Scope.everything()) as connection:
            return act(connection)

    def open_day(self, day: date, *, now: datetime = NOW) -> None:
        self.change(lambda connection: businessday.advance(connection, day, now))

    def holder(self, **fields: Any) -> Holder:
        with self.database.transaction(Scope.everything()) as connection:
            return create_holder(connection, self.house, now=self.now, **fields)

    def post(self, *requests: Request, now: datetime | None = None) -> list[Outcome]:
        with self.database.transaction(Scope.everything()) as connection:
            return post(connection, requests, now or self.now)

    def one(self, request: Request, *, now: datetime | None = None) -> Outcome:
        return self.post(request, now=now)[0]

    def ask(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        with self.database.transaction(Scope.everything()) as connection:
            return [tuple(row) for row in connection.execute(text(sql), params)]

    def held(self, holder: Holder) -> int:
        ((held,),) = self.ask("SELECT held FROM account WHERE id = :id", id=holder.account.id)
        assert isinstance(held, int)
        return held

    def posted(self, holder: Holder) -> int:
        ((posted,),) = self.ask("SELECT posted FROM account WHERE id = :id", id=holder.account.id)
        assert isinstance(posted, int)
        return posted


WAITING = """
SELECT pg_stat_clear_snapshot(), (
    SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())
"""
PATIENCE_S = 20  # of a test that waits for something that must happen


def until_somebody_waits(connection: Connection, *, sessions: int = 1) -> None:
    """Return when that many others wait for a lock; `connection` may be the one that holds it."""
    give_up = time.monotonic() + PATIENCE_S
    while connection.execute(text(WAITING)).one()[1] < sessions:
        assert time.monotonic() < give_up, "nobody waits for a lock"


@contextmanager
def opened_books_of_today(urls: TestDatabase) -> Iterator[Books]:
    """Books by the real clock: for servers that are programs of their own, which know no other."""
    now = datetime.now(UTC)
    with opened_books(urls, today=date_at(now, SHANGHAI), now=now) as books:
        yield books


Act = Callable[[Connection], Any]


def interleaved(books: Books, first: Act, *others: Act) -> list[Any]:
    """What each act returns, when all that follow the first begin while it has acted but not committed.

    Each is a transaction of its own. The others queue behind the first's locks, in their order.
    """
    returned: dict[int, Any] = {}
    failures: list[BaseException] = []

    def work(place: int, act: Act) -> None:
        try:
            returned[place] = books.change(act)
        except BaseException as error:  # noqa: BLE001 - raised again below, where the test can see it
            failures.append(error)

    threads = []
    with books.database.transaction(Scope.everything()) as connection:
        returned[0] = first(connection)
        for place, act in enumerate(others, 1):
            threads.append(threading.Thread(target=work, args=(place, act)))
            threads[-1].start()
            until_somebody_waits(connection, sessions=place)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [returned[place] for place in range(len(others) + 1)]


@contextmanager
def opened_books(urls: TestDatabase, *, today: date = TODAY, now: datetime = NOW) -> Iterator[Books]:
    """Books that must be right when the block ends: every invariant is asked."""
    books = Books(urls, today=today, now=now)
    try:
        yield books
        with books.database.transaction(Scope.everything()) as connection:
            assert breaches(connection) == []
    finally:
        books.database.close()
