"""Everything that moves or reserves points, as a terminal sees it: outcomes, repeats, receipts."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ledger.postings import Code
from protocol.limits import HOLD_SECONDS
from protocol.messages import Request, ReversalAdvice
from tests.conftest import TestDatabase
from tests.factories import NOW
from tests.txserver.scenes import Scene, create_scene
from tests.txserver.server_house import (
    capture,
    envelope,
    hold,
    open_house,
    payload,
    pin_change,
    redeem,
    refund,
    release,
)
from txserver.context import millis

# ---- holds --------------------------------------------------------------------------------------


async def test_a_hold_reserves_and_a_capture_takes_what_it_came_to(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold(quantity=3)
        assert (held.code, held.points, held.balance, held.recorded) == (0, 360, 640, False)
        assert held.expires_at == millis(NOW + timedelta(seconds=HOLD_SECONDS))
        assert held.receipt[1:] == [
            "wash × 3", "360 points held", "until 2026-11-23 09:30 UTC", "Balance 640",
            f"No. {held.approval}",
        ]  # fmt: skip
        balance = await scene.balance()
        assert (balance.balance, balance.held) == (640, 360)
        assert (await scene.redeem(quantity=6)).code == Code.POINTS_INSUFFICIENT
        taken = await scene.capture(held.id, 240)
        assert (taken.code, taken.points, taken.released, taken.balance) == (0, 240, 120, 760)
        assert taken.receipt[1:] == [
            "wash × 2", "-240 points", "120 points released", "Balance 760", f"No. {taken.approval}",
        ]  # fmt: skip
        assert (house.books.posted(scene.holder), house.books.held(scene.holder)) == (760, 0)


async def test_all_of_a_hold_can_be_captured(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold(service="cinema", amount=500)
        taken = await scene.capture(held.id, 500)
        assert (taken.points, taken.released, taken.balance) == (500, 0, 500)
        assert not any("released" in line for line in taken.receipt)


async def test_a_release_gives_everything_back(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold()
        given_back = await scene.release(held.id)
        assert (given_back.code, given_back.points, given_back.balance) == (0, 120, 1_000)
        assert (await scene.capture(held.id, 120)).code == Code.HOLD_ENDED
        assert (await scene.release(held.id)).code == Code.HOLD_ENDED


async def test_a_hold_lives_as_long_as_the_terminal_asked(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold(hold_s=60)
        assert held.expires_at == millis(NOW + timedelta(seconds=60))
        house.edge.at = NOW + timedelta(seconds=61)
        assert (await scene.capture(held.id, 120)).code == Code.HOLD_EXPIRED
        assert (await scene.status(held.id)).ended == "expired"
        assert (await scene.balance()).balance == 1_000


async def test_a_hold_is_ended_by_the_terminal_that_made_it(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold()
        elsewhere = Scene(house, scene.holder, await house.terminal())
        assert (await elsewhere.capture(held.id, 120)).code == Code.HOLD_UNKNOWN
        assert (await elsewhere.release(held.id)).code == Code.HOLD_UNKNOWN
        assert (await scene.capture(held.id, 240)).code == Code.AMOUNT_ABOVE_HOLD
        assert (await scene.capture(held.id, 100)).code == Code.AMOUNT_INVALID
        assert (await scene.capture(held.id, 120)).code == 0


# ---- refunds ------------------------------------------------------------------------------------


async def test_a_refund_gives_back_in_parts_until_nothing_remains(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent = await scene.redeem(quantity=2)
        part = await scene.refund(spent.id, 100)
        assert (part.code, part.points, part.remaining, part.balance) == (0, 100, 140, 860)
        assert part.receipt[1:] == [
            "Refund of wash", "+100 points", "Balance 860", f"No. {part.approval}",
        ]  # fmt: skip
        assert (await scene.refund(spent.id, 141)).code == Code.AMOUNT_ABOVE_REST
        rest = await scene.refund(spent.id)
        assert (rest.points, rest.remaining, rest.balance) == (140, 0, 1_000)
        assert (await scene.refund(spent.id)).code == Code.AMOUNT_ABOVE_REST


async def test_another_terminal_of_the_merchant_names_the_one_that_sold(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent = await scene.redeem()
        elsewhere = Scene(house, scene.holder, await house.terminal())
        assert (await elsewhere.refund(spent.id)).code == Code.ORIGINAL_UNKNOWN
        given_back = await elsewhere.refund(spent.id, terminal=scene.number)
        assert (given_back.code, given_back.points) == (0, 120)


async def test_what_was_reversed_cannot_be_refunded_nor_the_other_way(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        undone, refunded = await scene.redeem(), await scene.redeem()
        await scene.reversal(undone.id)
        assert (await scene.refund(undone.id)).code == Code.ORIGINAL_UNDONE
        await scene.refund(refunded.id, 20)
        advice = await scene.reversal(refunded.id)
        assert (advice.code, advice.outcome, advice.points) == (0, "refunded", 0)


# ---- status -------------------------------------------------------------------------------------


async def test_a_status_tells_what_it_was_and_what_became_of_it(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        captured, released, undone = await scene.hold(), await scene.hold(), await scene.hold()
        taken, given_back = await scene.capture(captured.id, 120), await scene.release(released.id)
        advice = await scene.reversal(undone.id)
        refunded = await scene.refund(taken.id, 50)
        changed = await scene.pin_change("271828")
        told = {}
        for name, message in (
            ("captured", captured), ("released", released), ("undone", undone), ("taken", taken),
            ("given_back", given_back), ("advice", advice), ("refunded", refunded), ("changed", changed),
        ):  # fmt: skip
            status = await scene.status(message.id)
            assert (status.code, status.original_code) == (0, 0), name
            assert status.approval == getattr(message, "approval", None), name
            assert status.points == getattr(message, "points", 0), name
            told[name] = (status.kind, status.ended, status.refunded, status.reversed)
        assert told == {
            "captured": ("hold", "captured", 0, False),
            "released": ("hold", "released", 0, False),
            "undone": ("hold", "reversed", 0, True),
            "taken": ("capture", None, 50, False),
            "given_back": ("release", None, 0, False),
            "advice": ("reversal", None, 0, False),
            "refunded": ("refund", None, 0, False),
            "changed": ("pin_change", None, 0, False),
        }


async def test_a_captured_hold_is_not_undone_and_its_capture_can_be(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        held = await scene.hold()
        taken = await scene.capture(held.id, 120)
        advice = await scene.reversal(held.id)
        assert (advice.outcome, advice.points, advice.balance) == ("captured", 0, None)
        advice = await scene.reversal(taken.id)
        assert (advice.outcome, advice.points, advice.balance) == ("reversed", 120, 1_000)
        assert (await scene.status(taken.id)).reversed


# ---- repeats ------------------------------------------------------------------------------------

Make = Callable[[Scene], Awaitable[Request]]


async def _redeem(scene: Scene) -> Request:
    return redeem(scene.holder)


async def _hold(scene: Scene) -> Request:
    return hold(scene.holder)


async def _capture(scene: Scene) -> Request:
    return capture(scene.holder, (await scene.hold(quantity=2)).id, 120)


async def _release(scene: Scene) -> Request:
    return release(scene.holder, (await scene.hold()).id)


async def _refund(scene: Scene) -> Request:
    return refund(scene.holder, (await scene.redeem()).id, 20)


async def _reversal(scene: Scene) -> Request:
    original = (await scene.redeem()).id
    return ReversalAdvice(
        **envelope(), original=original, credential=payload(scene.holder), reason="cancelled"
    )


async def _pin_change(scene: Scene) -> Request:
    return pin_change(scene.holder, "271828")


async def _refused_hold(scene: Scene) -> Request:
    return hold(scene.holder, quantity=9)


async def _refused_capture(scene: Scene) -> Request:
    return capture(scene.holder, bytes(16), 120)


async def _refused_release(scene: Scene) -> Request:
    return release(scene.holder, bytes(16))


async def _refused_refund(scene: Scene) -> Request:
    return refund(scene.holder, bytes(16))


async def _refused_pin_change(scene: Scene) -> Request:
    return pin_change(scene.holder, "111111")


REPEATED: dict[str, tuple[Make, int]] = {
    "a redemption": (_redeem, 0),
    "a hold": (_hold, 0),
    "a capture": (_capture, 0),
    "a release": (_release, 0),
    "a refund": (_refund, 0),
    "a reversal": (_reversal, 0),
    "a new PIN": (_pin_change, 0),
    "a refused hold": (_refused_hold, Code.POINTS_INSUFFICIENT),
    "a refused capture": (_refused_capture, Code.HOLD_UNKNOWN),
    "a refused release": (_refused_release, Code.HOLD_UNKNOWN),
    "a refused refund": (_refused_refund, Code.ORIGINAL_UNKNOWN),
    "a refused new PIN": (_refused_pin_change, Code.PIN_UNFIT),
}


@pytest.mark.parametrize(("make", "code"), REPEATED.values(), ids=list(REPEATED))
async def test_a_repeat_gets_the_same_reply_as_recorded(
    database_urls: TestDatabase, make: Make, code: int
) -> None:
    """On whatever session, whatever happened meanwhile, also to the card and to the clock."""
    async with open_house(database_urls) as house:
        key = house.new_key()
        scene = Scene(house, house.books.holder(), await house.terminal(key))
        message = await make(scene)
        first = await scene.terminal.ask(message)
        assert (first.code, first.recorded) == (code, False)
        posted, held = house.books.posted(scene.holder), house.books.held(scene.holder)
        house.edge.at += timedelta(minutes=5)
        scene.sql(f"UPDATE card SET status = 'lost' WHERE id = {scene.holder.card.id}")
        later = await house.terminal(key)
        again = await later.ask(msgspec.structs.replace(message, repeat=True, stan=2))
        assert again == msgspec.structs.replace(first, recorded=True)
        assert (house.books.posted(scene.holder), house.books.held(scene.holder)) == (posted, held)


async def test_the_same_id_for_something_else_is_told_so(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for make, _ in REPEATED.values():
            first = await scene.terminal.ask(await make(scene))
            other = await scene.redeem(id=first.id, quantity=8, pin="000000")
            assert (other.code, other.recorded) == (Code.TXID_REUSED, False), make
            scene.holder = house.books.holder()


# ---- what the server itself refuses -------------------------------------------------------------


async def test_a_card_that_cannot_be_read_is_refused_by_all(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for fields in ({"credential": "P1NONSENSE"}, {"credential": ""}, {"chip": b"1234"}):
            asked: dict[str, Callable[[], Awaitable[Any]]] = {
                "hold": lambda fields=fields: scene.hold(**fields),  # type: ignore[misc]
                "capture": lambda fields=fields: scene.capture(bytes(16), 1, **fields),  # type: ignore[misc]
                "release": lambda fields=fields: scene.release(bytes(16), **fields),  # type: ignore[misc]
                "refund": lambda fields=fields: scene.refund(bytes(16), **fields),  # type: ignore[misc]
                "pin_change": lambda fields=fields: scene.pin_change("271828", **fields),  # type: ignore[misc]
            }
            for name, ask in asked.items():
                reply = await ask()
                assert (reply.code, reply.recorded) == (Code.CARD_UNKNOWN, False), (name, fields)
        assert house.books.ask("SELECT count(*) FROM transaction WHERE kind <> 'grant'") == [(0,)]
