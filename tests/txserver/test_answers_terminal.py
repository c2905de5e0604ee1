"""What a terminal asks about itself: its shop's catalogue with what comes next, and a key of its own."""

import os
from datetime import timedelta
from typing import Any

import pytest

from ledger import merchants
from protocol.messages import Catalogue, Echo, KeyChange
from protocol.noise import KeyPair
from tests.conftest import TestDatabase
from tests.factories import TODAY, create_price
from tests.protocol.factories import LOW_ORDER_POINTS
from tests.txserver.scenes import create_scene
from tests.txserver.server_house import envelope, open_house

TOMORROW = (TODAY + timedelta(days=1)).isoformat()


# ---- the catalogue ------------------------------------------------------------------------------


async def test_a_price_that_changes_tomorrow_is_told_with_its_date(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        shop, tomorrow = house.books.house, TODAY + timedelta(days=1)

        def change(connection: Any) -> None:
            merchants.change_price(
                connection,
                merchant=shop.merchant,
                service=shop.services["wash"],
                since=tomorrow,
                points=130,
                settlement_minor=2_200,
            )
            create_price(connection, shop, "tow", settlement_minor=9, since=tomorrow, open_range=(50, 900))

        scene.change(change)
        page = await scene.terminal.ask(Catalogue(**envelope()))
        offers = {item.code: item for item in page.services}
        wash, tow, cinema = offers["wash"], offers["tow"], offers["cinema"]
        assert (wash.points, wash.since, wash.until) == (120, None, TODAY.isoformat())
        assert (wash.next_since, wash.next_points, wash.next_open) == (TOMORROW, 130, False)
        assert (tow.since, tow.open, tow.min_points, tow.max_points) == (TOMORROW, True, 50, 900)
        assert (cinema.since, cinema.until, cinema.next_since) == (None, None, None)
        assert (await scene.redeem(service="tow", amount=60)).code == 1030


# ---- keys ---------------------------------------------------------------------------------------


def new_pair() -> KeyPair:
    return KeyPair.from_private(os.urandom(32))


async def test_a_new_key_is_taken_over_by_its_first_handshake(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        old, new = house.new_key(), new_pair()
        terminal = await house.terminal(old)
        assert (await terminal.ask(KeyChange(**envelope(), key=new.public))).code == 0
        terminal = await house.terminal(old)  # nothing has changed until the new one is used
        assert (await terminal.ask(KeyChange(**envelope(), key=new.public))).code == 0
        terminal = await house.terminal(new)
        assert (await terminal.ask(Echo(**envelope()))).code == 0
        with pytest.raises(EOFError):
            await house.terminal(old)


async def test_a_key_that_cannot_be_used_is_refused(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key, other = house.new_key(), house.new_key()
        terminal, theirs = await house.terminal(key), new_pair()
        assert (await (await house.terminal(other)).ask(KeyChange(**envelope(), key=theirs.public))).code == 0
        for unusable in (*LOW_ORDER_POINTS, other.public, theirs.public):
            assert (await terminal.ask(KeyChange(**envelope(), key=unusable))).code == 3020
        assert (await (await house.terminal(key)).ask(Echo(**envelope()))).code == 0
