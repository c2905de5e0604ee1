"""The demonstration data: right books, and something of everything to look at."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from ledger import businessday, merchants, reports
from ledger.audit import breaches
from ledger.database import Database, Scope
from scripts import demonstration
from scripts.demonstration_terminal import NAME
from tests.conftest import TestDatabase
from tests.factories import create_keyring


def test_the_demonstration_has_something_of_everything(database_urls: TestDatabase) -> None:
    shown = demonstration.load(database_urls.site, create_keyring())
    assert [login.name for login in shown.logins] == ["operator", "merchant", "enterprise"]
    assert len(shown.cards) == 2
    database = Database(database_urls.site, pool_size=1)
    with database.transaction(Scope.everything()) as connection:
        assert breaches(connection) == []
        today = businessday.business_date(connection)
        assert today is not None
        lines = reports.latest_transactions(connection, limit=200)
        terminal = connection.execute(
            text("SELECT id FROM terminal WHERE name = :name"), {"name": NAME}
        ).scalar_one()
        offers = {offer.code: offer for offer in merchants.catalogue(connection, terminal, most=50)}
        assert reports.expiring(connection)
        statuses = Counter(connection.execute(text("SELECT status FROM card")).scalars())
        kinds = connection.execute(text("SELECT count(DISTINCT product_id) FROM card")).scalar_one()
    database.close()
    now = datetime.now(UTC)
    assert Counter(line.hold_state(now) for line in lines if line.kind == "hold" and line.code == 0) == {
        "captured": 2,
        "released": 1,
        "open": 1,
    }
    assert [(line.points, line.change) for line in lines if line.kind == "refund"] == [(200, 200)]
    assert any(line.code for line in lines), "some of the business is refused"
    assert [line.posted_at for line in lines if line.kind != "grant"] == sorted(
        (line.posted_at for line in lines if line.kind != "grant"), reverse=True
    )
    assert offers["annual-inspection"].next_since == today + timedelta(days=1)
    assert offers["roadside-rescue"].open
    assert (statuses["issued"], kinds) == (2, 2)
