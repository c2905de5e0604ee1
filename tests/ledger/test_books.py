"""The books on a real PostgreSQL: what is written, how often the database is asked, what is never doubled."""

import pytest
from sqlalchemy import text

from ledger import cards, organisations, terminals
from ledger.audit import breaches
from ledger.books import post
from ledger.database import Database, Scope
from ledger.postings import Code
from tests.conftest import TestDatabase
from tests.factories import (
    NOW,
    create_grant,
    create_holder,
    create_house,
    create_inquiry,
    create_redeem,
    create_reversal,
    create_status,
)


def test_a_debit_moves_points_once_however_often_it_comes(database_urls: TestDatabase) -> None:
    database = Database(database_urls.site)
    with database.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        holder = create_holder(connection, house, points=1_000)
    redeem = create_redeem(house, holder)
    for turn in range(3):
        with database.transaction(Scope.everything()) as connection:
            (outcome,) = post(connection, [redeem], NOW)
        assert (outcome.code, outcome.points, outcome.balance) == (Code.APPROVED, 120, 880)
        assert outcome.recorded == (turn > 0)
    with database.transaction(Scope.everything()) as connection:
        assert connection.execute(text("SELECT posted FROM account")).scalar_one() == 880
        assert breaches(connection) == []
    database.close()
