"""The business days as a page shows them."""

from datetime import timedelta

from ledger.database import Database, Scope
from ledger.days import Day, latest_days
from tests.conftest import TestDatabase
from tests.desk import opened_books
from tests.factories import NOW, TODAY


def test_the_open_day_comes_first_and_the_others_say_when_they_were_closed(
    database_urls: TestDatabase,
) -> None:
    first, second = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
    with opened_books(database_urls, today=first) as books:
        later, last = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
        books.open_day(second, now=later)
        books.open_day(TODAY, now=last)
        days = books.change(latest_days)
        newest = books.change(lambda connection: latest_days(connection, most=1))
    opened = NOW - timedelta(hours=9)
    assert days == [Day(TODAY, last, None), Day(second, later, last), Day(first, opened, later)]
    assert newest == days[:1]


def test_before_the_first_day_there_is_none(database_urls: TestDatabase) -> None:
    database = Database(database_urls.site, pool_size=1)
    with database.transaction(Scope.everything()) as connection:
        assert latest_days(connection) == []
    database.close()
