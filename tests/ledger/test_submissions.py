"""A form that was sent twice finds its mark taken."""

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection

from ledger.database import Scope
from ledger.submissions import claim
from tests.conftest import TestDatabase
from tests.desk import Books, interleaved
from tests.factories import NOW, new_txid


def test_a_mark_is_taken_once_also_by_two_clicks_at_once(books: Books) -> None:
    mark, tenant = new_txid(), books.house.enterprise

    def click(connection: Connection) -> bool:
        return claim(connection, mark, tenant=tenant, now=NOW)

    assert interleaved(books, click, click, click) == [True, False, False]
    assert not books.change(click)


def test_a_mark_whose_work_failed_can_be_sent_again(books: Books) -> None:
    mark, tenant = new_txid(), books.house.enterprise

    def fail() -> None:
        with books.database.transaction(Scope.tenant(tenant)) as connection:
            assert claim(connection, mark, tenant=tenant, now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with books.database.transaction(Scope.tenant(tenant)) as connection:
        assert claim(connection, mark, tenant=tenant, now=NOW)


def test_a_mark_that_another_tenant_took_is_taken(books: Books) -> None:
    """Nobody can guess one; who tries learns no more than that."""
    mark = UUID(int=1)
    with books.database.transaction(Scope.tenant(books.house.merchant)) as connection:
        assert claim(connection, mark, tenant=books.house.merchant, now=NOW)
    with books.database.transaction(Scope.tenant(books.house.enterprise)) as connection:
        assert not claim(connection, mark, tenant=books.house.enterprise, now=NOW)


def test_no_mark_is_ever_given_back(books: Books, database_urls: TestDatabase) -> None:
    with (
        psycopg.connect(database_urls.site) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM submission")
