"""For every message and every code that may answer it a scene, on a real server over a real socket."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import trio

from ledger.embedded import EmbeddedPostgres
from protocol.codes import code_info
from protocol.messages import (
    Capture,
    Echo,
    EchoReply,
    Hold,
    Logout,
    LogoutReply,
    PinChange,
    Reconciliation,
    Redeem,
    Refund,
    Release,
    Reply,
    Request,
    ReversalAdvice,
)
from protocol.noise import KeyPair
from protocol.outcomes import OUTCOMES
from protocol.session import Enrolment
from tests.conftest import TestDatabase
from tests.factories import TODAY
from tests.txserver import outcomes_plays as plays
from tests.txserver.outcomes_plays import WASH
from tests.txserver.outcomes_scenes import BAD_INPUT, OTHER_WAYS, SCENES, TABLES
from tests.txserver.outcomes_stage import (
    Pair,
    Play,
    Seen,
    Stage,
    Town,
    come_in,
    hello,
    judge,
    open_town,
    staged,
    told_of,
    undeclared,
)
from tests.txserver.server_house import PATIENCE_S, consumption, envelope, redeem
from txserver.context import millis

NOT_RECORDED, TXID_REUSED, UNDONE_BEFORE, BATCH_BACKWARDS = 1811, 3008, 3009, 3023

# How the row of each message that is recorded is called.
KINDS: dict[type[Request], str] = {
    Redeem: "redeem",
    Hold: "hold",
    Capture: "capture",
    Release: "release",
    Refund: "refund",
    ReversalAdvice: "reversal",
    PinChange: "pin_change",
    Reconciliation: "batch",
}
# What the approved message of each scene does to the account: to its points, and to those that are held.
MOVES: dict[type[Request], tuple[int, int]] = {
    Redeem: (-WASH, 0),
    Hold: (0, WASH),
    Capture: (-WASH, -2 * WASH),
    Release: (0, -WASH),
    Refund: (WASH, 0),
    ReversalAdvice: (WASH, 0),
}


@pytest.fixture(scope="module")
def town(postgres: EmbeddedPostgres, module_database_urls: TestDatabase) -> Iterator[Town]:
    """One server for all scenes; at the end every invariant holds, and no reply was an undeclared one."""
    with pytest.MonkeyPatch.context() as patch, open_town(postgres, module_database_urls) as opened:
        patch.setattr("txserver.lane.RECONNECT_SECONDS", 0.0)
        yield opened


# ---- what is true of every scene ----------------------------------------------------------------


def stands(stage: Stage, message: Request, code: int, sent: int) -> list[str]:
    """The rows under the message's number after it was `sent` so many times and answered `code`."""
    kind = KINDS.get(type(message))
    if kind is None or code in (NOT_RECORDED, BATCH_BACKWARDS) or not stage.account_known:
        return []
    if code == TXID_REUSED:  # the row is that of the first; where there is an account, the misuse is noted
        return [f"{kind} 0", *([] if kind == "batch" else [f"{kind} misused {code}"] * sent)]
    return [f"{'tombstone' if code == UNDONE_BEFORE else kind} {code}"]


async def check(
    town: Town, stage: Stage, message: Request, code: int, moves: tuple[int, int] | None = None
) -> Any:
    """Send the message, and send it again; returns the first reply."""
    before = stage.seen(message)
    if code == NOT_RECORDED:
        with town.away():
            reply = await stage.ask(message)
        assert (reply.code, reply.recorded) == (NOT_RECORDED, False)
        assert stage.seen(message) == before
        assert before.rows == []
        await stage.until_served()
        code = 0
    reply = await stage.ask(message)
    assert (reply.code, reply.recorded) == (code, code == UNDONE_BEFORE)
    after = stage.seen(message)
    assert after.rows == stands(stage, message, code, sent=1)
    if code == 0:
        posted, held = moves or MOVES.get(type(message), (0, 0))
        assert (after.posted - before.posted, after.held - before.held) == (posted, held)
        assert (after.lots == before.lots) == ((posted, held) == (0, 0))
        if isinstance(message, PinChange):
            assert (await stage.ask(consumption(stage.holder, pin=message.new_pin))).code == 0
        else:
            assert after.card == before.card
    else:
        assert after == replace(before, tries=before.tries + (code == 1017), rows=after.rows)
    if not isinstance(message, Logout):
        await check_repeat(stage, message, reply, after)
    return reply


async def check_repeat(stage: Stage, message: Request, reply: Any, before: Seen) -> None:
    """The same message again: the recorded answer and nothing else, or the same question asked anew."""
    again = await stage.ask(msgspec.structs.replace(message, repeat=True))
    rows = stands(stage, message, reply.code, sent=2)
    if rows and reply.code != TXID_REUSED:
        assert again == msgspec.structs.replace(reply, recorded=True)
        assert stage.seen(message) == before
    else:
        assert (again.code, again.recorded) == (reply.code, False)
        counted = type(message) not in KINDS and reply.code == 1017
        assert stage.seen(message) == replace(before, tries=before.tries + counted, rows=rows)


async def perform(town: Town, pair: Pair, play: Play) -> None:
    kind, code = pair
    async with staged(town) as stage:
        message = await play(stage)
        assert type(message) is kind
        await check(town, stage, message, code)


# ---- every pair ---------------------------------------------------------------------------------


def test_there_is_a_scene_for_every_declared_pair_and_for_no_other() -> None:
    assert SCENES.keys() == {(message, code) for message, codes in OUTCOMES.items() for code in codes}


def test_no_pair_has_two_scenes_of_which_one_would_be_lost() -> None:
    assert len(SCENES) == sum(len(each) for each in TABLES)


def name_of(pair: Pair) -> str:
    return f"{pair[0].__name__}-{pair[1]:04}"


@pytest.mark.parametrize(("pair", "play"), SCENES.items(), ids=[name_of(pair) for pair in SCENES])
def test_each_message_can_get_each_of_its_codes(town: Town, pair: Pair, play: Play) -> None:
    """The code with its text, recorded where it belongs; a repeat gets it again; a refusal moves nothing."""
    town.play(perform, town, pair, play)


OTHERS = [
    pytest.param(pair, play, id=f"{way}-{name_of(pair)}")
    for way, scenes in OTHER_WAYS.items()
    for pair, play in scenes.items()
]


@pytest.mark.parametrize(("pair", "play"), OTHERS)
def test_other_ways_lead_to_the_same_codes(town: Town, pair: Pair, play: Play) -> None:
    town.play(perform, town, pair, play)


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("pair", "play"), BAD_INPUT.values(), ids=list(BAD_INPUT))
def test_bad_input_is_refused_with_a_code_and_recorded_and_moves_nothing(
    town: Town, pair: Pair, play: Play
) -> None:
    town.play(perform, town, pair, play)


def test_a_reversal_of_a_captured_hold_is_answered_and_moves_nothing(town: Town) -> None:
    async def act() -> None:
        async with staged(town) as stage:
            message = await plays.a_reversal_of_a_captured_hold(stage)
            reply = await check(town, stage, message, 0, moves=(0, 0))
            assert (reply.outcome, reply.points, reply.balance) == ("captured", 0, None)

    town.play(act)


def test_a_batch_that_has_ended_is_not_ended_again_and_the_newest_is_told(town: Town) -> None:
    async def act() -> None:
        async with staged(town) as stage:
            await plays.approved(stage, Reconciliation(**envelope(batch=5), totals=[]))
            for batch in (5, 4, 0):
                reply = await check(
                    town, stage, Reconciliation(**envelope(batch=batch), totals=[]), BATCH_BACKWARDS
                )
                assert (reply.last_batch, reply.totals) == (5, [])
            ended = "SELECT batch FROM terminal_batch WHERE terminal_id = :terminal"
            assert town.house.books.ask(ended, terminal=stage.number) == [(5,)]
            assert (await stage.ask(hello())).last_batch == 5

    town.play(act)


@pytest.mark.parametrize("days", [2, -2])
def test_a_clock_two_days_off_is_accepted_and_noted_and_told_the_time(town: Town, days: int) -> None:
    async def act() -> None:
        async with staged(town) as stage:
            now = town.house.edge.now()
            off = timedelta(days=days)
            reply = await stage.ask(msgspec.structs.replace(hello(), at=millis(now + off)))
            assert (reply.code, reply.server_at) == (0, millis(now))
            noted = town.house.books.ask("SELECT clock_off_s FROM terminal WHERE id = :id", id=stage.number)
            assert noted == [(days * 86_400,)]
            lines = [
                line for line in town.house.events("terminal_clock_off") if line["terminal"] == stage.number
            ]
            assert [line["seconds"] for line in lines] == [days * 86_400]
            sold = await check(town, stage, redeem(stage.holder, at=millis(now + off)), 0)
            assert (sold.server_at, sold.business_date) == (millis(now), TODAY.isoformat())

    town.play(act)


def test_a_cursor_made_up_by_the_caller_leads_nowhere(town: Town) -> None:
    """Nor does one that was given for another member or for other dates."""

    async def act() -> None:
        async with staged(town) as stage, staged(town) as other:
            for each in (stage, other):
                for _ in range(13):
                    await plays.approved(each, redeem(each.holder, "cinema", amount=10))
            cursor, foreign, dated = [
                (await plays.approved(each, consumption(each.holder, **fields))).cursor
                for each, fields in ((stage, {}), (other, {}), (stage, {"since": "2026-01-01"}))
            ]
            number, _, mac = cursor.partition(".")
            made_up = (
                "",
                "x",
                "-1",
                number,
                f"{number}.",
                f"{int(number) + 1}.{mac}",
                f"0{cursor}",
                "9" * 30,
            )
            for text in (*made_up, foreign, dated):
                reply = await check(town, stage, consumption(stage.holder, cursor=text), 3011)
                assert (reply.items, reply.cursor) == ([], None)
            page = await plays.approved(stage, consumption(stage.holder, cursor=cursor))
            assert len(page.items) == 2

    town.play(act)


async def shut_out(town: Town, stage: Stage, enrolment: Enrolment) -> None:
    """The code lets nobody in: no word is said, one line is logged, no terminal and no code has changed."""
    kept = (
        "SELECT id, status, public_key, serial FROM terminal ORDER BY id",
        "SELECT id, expires_at, used_at FROM enrolment ORDER BY id",
    )
    before = [town.house.books.ask(sql) for sql in kept]
    refused = town.house.reasons().count("unknown_key")
    stranger, message = KeyPair.from_private(os.urandom(32)), plays.enrol()
    with pytest.raises((EOFError, trio.BrokenResourceError)):
        await come_in(town.house, stranger, message, enrolment)
    with trio.fail_after(PATIENCE_S):
        while town.house.reasons().count("unknown_key") == refused:
            await trio.lowlevel.checkpoint()
    assert [town.house.books.ask(sql) for sql in kept] == before


def test_an_enrolment_code_lets_one_device_in_and_only_in_its_time(town: Town) -> None:
    async def act() -> None:
        async with staged(town) as stage:
            number = plays.invite(stage)
            used = stage.enrolment
            assert used is not None
            assert (await check(town, stage, plays.enrol(), 0)).terminal == number
            await shut_out(town, stage, used)
            for late in (timedelta(0), timedelta(days=-2)):
                plays.invite(stage, until=late)
                assert stage.enrolment is not None
                await shut_out(town, stage, stage.enrolment)

    town.play(act)


# ---- nothing else is ever answered --------------------------------------------------------------


def test_no_reply_of_the_run_so_far_is_undeclared(town: Town) -> None:
    """By the server's own count; when the run is over the server is asked again, see open_town."""

    async def act() -> set[tuple[str, int]]:
        async with staged(town) as stage:
            await stage.ask(Echo(**envelope()))
        return await town.told()

    told = town.play(act)
    assert ("Echo", 0) in told
    assert undeclared(told) == set()


def test_a_reply_that_is_not_declared_would_be_noticed() -> None:
    page = 'tessera_replies_total{code="1811",message="Echo",recorded="false"} 1.0\nother{code="1"} 1.0'
    assert undeclared(told_of(page)) == {("Echo", 1811)}
    message = Echo(**envelope())
    told: dict[str, Any] = {
        "id": message.id,
        "code": 0,
        "text": "Approved",
        "server_at": 0,
        "business_date": "2026-11-22",
    }
    judge(message, EchoReply(**told))
    wrong: tuple[Reply, ...] = (
        EchoReply(**told | {"id": bytes(16)}),
        EchoReply(**told | {"code": 1811, "text": code_info(1811).text}),
        EchoReply(**told | {"text": "approved"}),
        LogoutReply(**told),
    )
    for reply in wrong:
        with pytest.raises(AssertionError):
            judge(message, reply)
