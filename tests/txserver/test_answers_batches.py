"""Day's end, as a terminal sees it: totals that agree, totals that do not, and the differences by name."""

import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from protocol.limits import MAX_UPLOAD
from protocol.messages import BatchItem, BatchTotal, BatchUpload, Reconciliation
from protocol.messages.base import Amount
from tests.conftest import TestDatabase
from tests.factories import TODAY
from tests.txserver.scenes import Scene, create_scene
from tests.txserver.server_house import envelope, open_house
from txserver.answers_batches import MOST_POINTS


def total(kind: str, count: int, points: int) -> BatchTotal:
    return BatchTotal(kind=kind, count=count, points=points)


def item(txid: bytes, kind: str = "redeem", points: int = 120, state: str = "approved") -> BatchItem:
    return BatchItem(id=txid, kind=kind, points=points, state=state)


async def upload(scene: Scene, items: list[BatchItem], **fields: Any) -> Any:
    given = envelope(**({"items": sorted(items, key=lambda each: each.id), "last": True} | fields))
    return await scene.terminal.ask(BatchUpload(**given))


async def test_totals_that_agree_close_the_batch(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        key = house.new_key()
        scene = Scene(house, house.books.holder(), await house.terminal(key))
        assert scene.terminal.welcome.last_batch is None  # type: ignore[attr-defined]
        spent, held = await scene.redeem(), await scene.hold()
        await scene.capture(held.id, 120)
        await scene.refund(spent.id, 20)
        await scene.redeem(quantity=9)
        own = [
            total("redeem", 1, 120),
            total("hold", 1, 120),
            total("capture", 1, 120),
            total("refund", 1, 20),
        ]
        message = Reconciliation(**envelope(), totals=own)
        reply = await scene.terminal.ask(message)
        assert (reply.code, reply.recorded) == (0, False)
        again = await scene.terminal.ask(message)
        assert again == msgspec.structs.replace(reply, recorded=True)
        assert (await house.terminal(key)).welcome.last_batch == 1  # type: ignore[attr-defined]


async def test_totals_that_do_not_agree_close_it_too_and_the_servers_are_told(
    database_urls: TestDatabase,
) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        await scene.redeem()
        message = Reconciliation(**envelope(), totals=[total("redeem", 2, 240)])
        reply = await scene.terminal.ask(message)
        assert (reply.code, reply.totals) == (1401, [total("redeem", 1, 120)])
        again = await scene.terminal.ask(message)
        assert again == msgspec.structs.replace(reply, recorded=True)
        assert again.business_date == TODAY.isoformat()


async def test_a_batch_is_closed_once_and_never_backwards(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        assert (await scene.terminal.ask(Reconciliation(**envelope(batch=5), totals=[]))).code == 0
        for batch in (5, 4, 0):
            reply = await scene.terminal.ask(Reconciliation(**envelope(batch=batch), totals=[]))
            assert (reply.code, reply.last_batch, reply.recorded) == (3023, 5, False)
        noted = [(line["code"], line["batch"]) for line in house.events("request_refused")]
        assert noted == [(3023, 5), (3023, 4), (3023, 0)]
        assert (await scene.terminal.ask(Reconciliation(**envelope(batch=6), totals=[]))).code == 0


async def test_each_difference_is_named(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        agrees, lost, undone, other, unlisted = [
            await scene.redeem(service="cinema", amount=50) for _ in range(5)
        ]
        here_only = os.urandom(16)
        expected = {
            agrees.id: "agrees",
            lost.id: "reply_lost",
            undone.id: "reversal_pending",
            other.id: "amount_differs",
            here_only: "unknown_here",
            unlisted.id: "unknown_there",
        }
        items = [
            item(agrees.id, points=50), item(lost.id, points=50, state="unknown"),
            item(undone.id, points=50, state="reversed"), item(other.id, points=60),
            item(here_only, points=50),
        ]  # fmt: skip
        await scene.terminal.ask(Reconciliation(**envelope(), totals=[]))
        reply = await upload(scene, items)
        assert (reply.code, reply.through) == (0, None)
        assert {result.id: result.outcome for result in reply.results} == expected
        assert [result.id for result in reply.results] == sorted(expected)
        (found,) = [result for result in reply.results if result.id == agrees.id]
        assert (found.kind, found.code, found.points, found.booked) == ("redeem", 0, 50, TODAY.isoformat())


async def test_a_page_in_the_middle_names_nothing_beyond_its_last_id(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        first, second, third = sorted([(await scene.redeem()).id for _ in range(3)])
        reply = await upload(scene, [item(second)], last=False)
        assert [(result.id, result.outcome) for result in reply.results] == [
            (first, "unknown_there"), (second, "agrees"),
        ]  # fmt: skip
        assert reply.through is None
        rest = await upload(scene, [], after=second)
        assert [result.id for result in rest.results] == [third]


async def test_a_recorded_answer_keeps_its_date_on_a_later_day(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        message = Reconciliation(**envelope(), totals=[])
        assert (await scene.terminal.ask(message)).business_date == TODAY.isoformat()
        tomorrow = TODAY + timedelta(days=1)
        house.books.open_day(tomorrow)
        assert (await scene.redeem()).business_date == tomorrow.isoformat()
        again = await scene.terminal.ask(message)
        assert (again.business_date, again.recorded) == (TODAY.isoformat(), True)


async def test_a_sum_that_no_message_can_say_is_told_as_the_most_that_one_can(
    database_urls: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert msgspec.convert(MOST_POINTS, Amount) == MOST_POINTS
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(MOST_POINTS + 1, Amount)
    monkeypatch.setattr("txserver.answers_batches.MOST_POINTS", 200)
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        for _ in range(2):
            await scene.redeem()
        reply = await scene.terminal.ask(Reconciliation(**envelope(), totals=[total("redeem", 2, 200)]))
        assert (reply.code, reply.totals) == (1401, [total("redeem", 2, 200)])
        assert house.books.ask("SELECT server_points FROM terminal_batch_total") == [(240,)]


async def test_without_an_open_day_a_batch_is_to_be_closed_later(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        house.books.ask("UPDATE business_day SET status = 'closed', closed_at = now() RETURNING 1")
        reply = await scene.terminal.ask(Reconciliation(**envelope(), totals=[]))
        assert (reply.code, reply.recorded) == (1811, False)
        assert house.events("handler_failed") == []


async def pages(scene: Scene, items: list[BatchItem]) -> list[Any]:
    """Upload as a terminal does: the next page begins where the answer to the last one ended."""
    results: list[Any] = []
    after: bytes | None = None
    while True:
        left = sorted((each for each in items if after is None or each.id > after), key=lambda each: each.id)
        page = left[:MAX_UPLOAD]
        last = len(page) == len(left)
        reply = await upload(scene, page, after=after, last=last)
        results += reply.results
        if reply.through is None and last:
            return results
        after = reply.through or page[-1].id


async def test_a_long_batch_goes_by_pages(database_urls: TestDatabase) -> None:
    """Some is known to the terminal alone, some to the server alone, and each is named once."""
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        booked = [(await scene.redeem(service="cinema", amount=10)).id for _ in range(40)]
        own = [item(os.urandom(16)) for _ in range(40)]
        await scene.terminal.ask(Reconciliation(**envelope(), totals=[]))
        results = await pages(scene, own)
        assert [result.id for result in results] == sorted([*booked, *(each.id for each in own)])
        found = {result.id: result.outcome for result in results}
        assert {found[txid] for txid in booked} == {"unknown_there"}
        assert {found[each.id] for each in own} == {"unknown_here"}


async def test_pages_out_of_order_and_twice_the_same_do_no_harm(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        scene = await create_scene(house)
        spent = [(await scene.redeem()).id for _ in range(3)]
        await scene.terminal.ask(Reconciliation(**envelope(), totals=[]))
        backwards = [item(txid) for txid in sorted(spent, reverse=True)]
        given = envelope(items=[*backwards, *backwards], last=True)
        reply = await scene.terminal.ask(BatchUpload(**given))
        assert reply.code == 0
        assert {result.id: result.outcome for result in reply.results} == dict.fromkeys(spent, "agrees")
        assert (await upload(scene, [], after=bytes(16))).code == 0
