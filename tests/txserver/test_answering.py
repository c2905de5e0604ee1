"""The date that answers carry: the newest one that the books have named."""

from datetime import timedelta

from protocol.messages import Echo
from tests.conftest import TestDatabase
from tests.factories import NOW, TODAY
from tests.txserver.scenes import create_scene
from tests.txserver.server_house import envelope, open_house, redeem

TOMORROW = TODAY + timedelta(days=1)


async def test_the_date_rises_with_an_outcome_and_never_goes_back(database_urls: TestDatabase) -> None:
    async with open_house(database_urls, look_s=3_600) as house:
        scene = await create_scene(house)
        early = redeem(scene.holder)
        assert (await scene.terminal.ask(early)).business_date == TODAY.isoformat()
        # Opened by somebody who tells nobody.
        scene.sql(f"UPDATE business_day SET status = 'closed', closed_at = '{NOW}'")
        scene.sql(
            "INSERT INTO business_day (date, opened_at, first_transaction)"
            f" VALUES ('{TOMORROW}', '{NOW}', nextval('transaction_id_seq'))"
        )
        assert (await scene.terminal.ask(Echo(**envelope()))).business_date == TODAY.isoformat()
        assert (await scene.redeem()).business_date == TOMORROW.isoformat()
        assert (await scene.terminal.ask(early)).business_date == TODAY.isoformat()
        assert (await scene.terminal.ask(Echo(**envelope()))).business_date == TOMORROW.isoformat()
        assert scene.terminal.notices == []
