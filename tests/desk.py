"""A database with a small house in it, and one desk at which to post: what tests of the books share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from ledger.audit import breaches
from ledger.books import post
from ledger.database import Database, Scope
from ledger.postings import Outcome, Request
from tests.conftest import TestDatabase
from tests.factories import NOW, Holder, House, create_holder, create_house


class Books:
    """A database with a house in it; every post is a transaction of its own."""

    def __init__(self, urls: TestDatabase) -> None:
        self.database = Database(urls.site, pool_size=8)
        with self.database.transaction(Scope.everything()) as connection:
            self.house: House = create_house(connection)

    def holder(self, **fields: Any) -> Holder:
        with self.database.transaction(Scope.everything()) as connection:
            return create_holder(connection, self.house, **fields)

    def post(self, *requests: Request) -> list[Outcome]:
        with self.database.transaction(Scope.everything()) as connection:
            return post(connection, requests, NOW)

    def one(self, request: Request) -> Outcome:
        return self.post(request)[0]

    def ask(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        with self.database.transaction(Scope.everything()) as connection:
            return [tuple(row) for row in connection.execute(text(sql), params)]

    def posted(self, holder: Holder) -> int:
        ((posted,),) = self.ask("SELECT posted FROM account WHERE id = :id", id=holder.account.id)
        assert isinstance(posted, int)
        return posted


WAITING = """
SELECT pg_stat_clear_snapshot(), EXISTS (
    SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())
"""
PATIENCE_S = 20  # of a test that waits for something that must happen


def until_somebody_waits(connection: Connection) -> None:
    """Return when another session waits for a lock; `connection` may be the one that holds it."""
    give_up = time.monotonic() + PATIENCE_S
    while not connection.execute(text(WAITING)).one()[1]:
        assert time.monotonic() < give_up, "nobody waits for a lock"


@contextmanager
def opened_books(urls: TestDatabase) -> Iterator[Books]:
    """Books that must be right when the block ends: every invariant is asked."""
    books = Books(urls)
    try:
        yield books
        with books.database.transaction(Scope.everything()) as connection:
            assert breaches(connection) == []
    finally:
        books.database.close()
