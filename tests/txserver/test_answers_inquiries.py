"""Balance, history and PIN, as a terminal sees them; and cursors that only the server can make."""

from datetime import timedelta

import pytest

from ledger import cards
from ledger.postings import Code
from tests.conftest import TestDatabase
from tests.factories import NOW, create_keyring
from tests.txserver.scenes import Scene, create_scene
from tests.txserver.server_house import open_house

NEW_PIN = "271828"
RESET_CODE = "482911"


def offer_code(scene: Scene) -> None:
    """The card's issuer gives the member a one-time code."""
    card = scene.holder.card
    verifier = create_keyring().code_verifier(card.slot, card.account_id, card.id, RESET_CODE)
    scene.change(
        lambda connection: cards.offer_pin_code(
            connection, card, verifier=verifier, until=NOW + timedelta(hours=1), now=NOW
        )
    )


# ---- the PIN ------------------------------------------------------------------------------------


async def test_a_new_pin_counts_from_the_next_message_on(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        reply = await scene.pin_change(NEW_PIN)
        assert (reply.code, reply.recorded) == (0, False)
        assert (await scene.redeem()).code == Code.PIN_WRONG
        assert (await scene.redeem(pin=NEW_PIN)).code == 0


async def test_a_pin_is_changed_on_the_word_of_the_present_one_or_of_a_code(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        assert (await scene.pin_change(NEW_PIN, pin=None)).code == Code.PIN_REQUIRED
        assert (await scene.pin_change(NEW_PIN, pin="000000")).code == Code.PIN_WRONG
        assert (
            await scene.pin_change(NEW_PIN, pin=None, reset_code=RESET_CODE)
        ).code == Code.RESET_CODE_WRONG
        offer_code(scene)
        assert (await scene.pin_change(NEW_PIN, pin=None, reset_code="000000")).code == Code.RESET_CODE_WRONG
        assert (await scene.pin_change(NEW_PIN, pin=None, reset_code=RESET_CODE)).code == 0
        assert (
            await scene.pin_change(NEW_PIN, pin=None, reset_code=RESET_CODE)
        ).code == Code.RESET_CODE_WRONG
        assert (await scene.redeem(pin=NEW_PIN)).code == 0


async def test_a_code_unblocks_a_pin(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        scene.sql(f"UPDATE card SET pin_tries = 3 WHERE id = {scene.holder.card.id}")
        assert (await scene.pin_change(NEW_PIN)).code == Code.PIN_BLOCKED
        offer_code(scene)
        assert (await scene.pin_change(NEW_PIN, reset_code=RESET_CODE)).code == 0
        assert (await scene.redeem(pin=NEW_PIN)).code == 0


@pytest.mark.parametrize(
    "new_pin", ["111111", "123456", "654321", "31415", "3141592", "", "31415x", "١٢٣٤٥٧"]
)
async def test_a_pin_that_is_easy_to_guess_is_refused_and_the_old_one_stays(
    database_urls: TestDatabase, new_pin: str
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        assert (await scene.pin_change(new_pin)).code == Code.PIN_UNFIT
        assert (await scene.redeem()).code == 0


async def test_no_pin_and_no_code_reaches_the_log_or_the_database(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        offer_code(scene)
        await scene.pin_change(NEW_PIN, reset_code=RESET_CODE)
        await scene.pin_change("161803", pin=NEW_PIN)
        (row,) = house.books.ask("SELECT card::text FROM card")
        (rows,) = house.books.ask("SELECT string_agg(transaction::text, '') FROM transaction")
        for secret in (NEW_PIN, RESET_CODE, "161803"):
            assert secret not in house.log.getvalue()
            assert secret not in row[0]
            assert secret not in rows[0]


# ---- pages --------------------------------------------------------------------------------------


async def test_a_cursor_made_up_by_the_caller_is_refused(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for cursor in ("x", "-1", "9" * 30, "١٢", "5", "5.", "5.0000000000000000"):
            assert (await scene.consumption(cursor=cursor)).code == 3011


async def test_a_cursor_of_another_question_is_refused(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        other = Scene(house, house.books.holder(), scene.terminal)
        for each in (scene, other):
            for _ in range(13):
                assert (await each.redeem(service="cinema", amount=10)).code == 0
        cursor = (await scene.consumption()).cursor
        foreign = (await other.consumption()).cursor
        dated = (await scene.consumption(since="2026-01-01")).cursor
        assert len({cursor, foreign, dated}) == 3
        assert (await scene.consumption(cursor=foreign)).code == 3011
        assert (await scene.consumption(cursor=dated)).code == 3011
        assert (await scene.consumption(cursor=cursor, until="2026-12-31")).code == 3011
        page = await scene.consumption(cursor=cursor)
        assert (page.code, len(page.items), page.cursor) == (0, 2, None)
        page = await scene.consumption(cursor=dated, since="2026-01-01")
        assert (page.code, len(page.items)) == (0, 2)
