"""`pos pin`, `day-end`, `status`, `journal`: what each asks, prints and exits with."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from protocol.messages import PinChange, Reconciliation, Request
from tests.txserver.pos_desk import Counter, create_counter
from tests.txserver.terminal_books import Row
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer

CARD_OPTION = ("--card", CARD)
PIN_COMMAND = ("pin", *CARD_OPTION)
REDEEM = ("redeem", *CARD_OPTION, "--service", "wash", "--pin", PIN)
NEW_PIN = "835206"
CODE = "700123"


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


@pytest.fixture
async def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos")


def sent(peer: Peer) -> list[tuple[str, str | None, str | None]]:
    """(new PIN, present PIN, one-time code) of each PinChange."""
    return [
        (request.new_pin, request.pin, request.reset_code)
        for request in peer.seen(PinChange)
        if isinstance(request, PinChange)
    ]


# ---- PIN ----------------------------------------------------------------------------------------


async def test_a_clerk_types_the_pins_hidden_and_the_new_one_twice(peer: Peer, counter: Counter) -> None:
    counter.answers.extend([PIN, NEW_PIN, NEW_PIN])
    assert await counter.command(*PIN_COMMAND) == 0
    assert sent(peer) == [(NEW_PIN, PIN, None)]
    assert [hidden for _, hidden in counter.questions] == [True, True, True]
    assert "PIN CHANGED" in counter.paper.getvalue()
    said = counter.paper.getvalue() + counter.voice.getvalue()
    assert not any(secret in said for secret in (PIN, NEW_PIN))


async def test_two_new_pins_that_differ_change_nothing(peer: Peer, counter: Counter) -> None:
    counter.answers.extend([PIN, NEW_PIN, "835207"])
    assert await counter.command(*PIN_COMMAND) == 2
    assert "The two new PINs differ. Nothing was changed." in counter.voice.getvalue()
    counter.answers.extend([PIN, ""])
    assert await counter.command(*PIN_COMMAND) == 2
    assert peer.seen(PinChange) == []


async def test_a_script_gives_its_pins_by_the_environment(peer: Peer, counter: Counter) -> None:
    counter.pin, counter.new_pin, counter.reset_code = PIN, NEW_PIN, CODE
    code, facts = await counter.json(*PIN_COMMAND)
    assert (code, facts["outcome"]) == (0, "approved")
    await counter.json(*PIN_COMMAND, "--reset-code")
    await counter.json(*PIN_COMMAND, "--reset-code", "700999")
    counter.pin = None
    await counter.json(*PIN_COMMAND)
    assert sent(peer) == [
        (NEW_PIN, PIN, None),
        (NEW_PIN, None, CODE),
        (NEW_PIN, None, "700999"),
        (NEW_PIN, None, CODE),
    ]
    assert counter.questions == []


async def test_a_one_time_code_is_asked_hidden_when_there_is_no_pin(peer: Peer, counter: Counter) -> None:
    counter.answers.extend(["", CODE, NEW_PIN, NEW_PIN])
    assert await counter.command(*PIN_COMMAND) == 0
    counter.answers.extend([CODE, NEW_PIN, NEW_PIN])
    assert await counter.command(*PIN_COMMAND, "--reset-code") == 0
    assert sent(peer) == [(NEW_PIN, None, CODE)] * 2
    assert all(hidden for _, hidden in counter.questions)


async def test_nothing_to_go_by_is_a_sentence(peer: Peer, counter: Counter) -> None:
    assert await counter.command(*PIN_COMMAND) == 2
    assert "needs the present one (TESSERA_PIN)" in counter.voice.getvalue()
    counter.pin = PIN
    assert await counter.command(*PIN_COMMAND) == 2
    assert "set TESSERA_NEW_PIN" in counter.voice.getvalue()
    assert peer.seen(PinChange) == []


async def test_a_refused_pin_exits_with_1(peer: Peer, counter: Counter) -> None:
    counter.pin, counter.new_pin = PIN, "111111"
    peer.books.approve = False
    assert await counter.command(*PIN_COMMAND) == 1
    assert "REFUSED" in counter.paper.getvalue()


# ---- the day's end ------------------------------------------------------------------------------


async def test_a_balanced_day(peer: Peer, counter: Counter) -> None:
    await counter.json(*REDEEM)
    await counter.json(*REDEEM)
    code, day = await counter.json("day-end")
    assert (code, day["outcome"], day["batch"], day["differences"]) == (0, "balanced", 1, [])
    assert day["own"] == day["server"] == [{"kind": "redeem", "count": 2, "points": 60}]
    assert await counter.command("day-end") == 0
    assert "No transactions in this batch." in counter.paper.getvalue()
    assert [request.batch for request in peer.seen(Reconciliation)] == [1, 2]


async def test_a_day_out_of_balance_exits_with_1_and_names_the_difference(
    peer: Peer, counter: Counter
) -> None:
    await counter.json(*REDEEM)
    strange = bytes([1] * 16)
    peer.books.rows[strange] = Row("redeem", batch=1, points=30)
    code, day = await counter.json("day-end")
    assert (code, day["outcome"], day["code"]) == (1, "out_of_balance", 1401)
    (difference,) = day["differences"]
    assert difference["txid"] == "01010101-0101-0101-0101-010101010101"
    assert (difference["outcome"], difference["kind"], difference["points"]) == (
        "unknown_there",
        "redeem",
        30,
    )
    peer.books.rows[bytes([2] * 16)] = Row("redeem", batch=2, points=30)
    counter.language = "zh"
    assert await counter.command("day-end") == 1
    for word in ("日结：账目不符", "服务器已入账，本机没有记录"):
        assert word in counter.paper.getvalue()


async def test_a_day_whose_end_was_not_answered_is_ended_first(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    await counter.json(*REDEEM)

    def unplug(request: Request) -> None:
        if isinstance(request, Reconciliation):
            peer.doors.extend([Door.REFUSED] * 300)

    peer.on_request = unplug
    peer.faults.append(Fault.LOSE_REPLY)
    assert await counter.command("day-end") == 2
    assert "does not answer" in counter.voice.getvalue()
    peer.on_request = lambda request: None
    peer.doors.clear()
    await counter.json(*REDEEM)
    code, day = await counter.json("day-end")
    assert (code, day["batch"], [one["batch"] for one in day["earlier"]]) == (0, 2, [1])
    assert day["earlier"][0]["own"] == [{"kind": "redeem", "count": 1, "points": 30}]


async def test_a_day_that_was_ended_late_is_told_also_when_the_present_one_does_not_end(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    await counter.json(*REDEEM)
    peer.faults.append(Fault.LOSE_REPLY)
    peer.on_request = lambda request: peer.doors.extend(
        [Door.REFUSED] * 300 if isinstance(request, Reconciliation) else []
    )
    assert await counter.command("day-end") == 2

    def unplug(request: Request) -> None:
        if isinstance(request, Reconciliation):
            peer.faults.extend([Fault.LOSE_REPLY] * (request.batch == 2))
            peer.doors.extend([Door.REFUSED] * 300 * (request.batch == 2))

    peer.on_request = unplug
    peer.doors.clear()
    before = len(counter.paper.getvalue())
    code, facts = await counter.json("day-end")
    assert (code, facts["outcome"]) == (2, "not_ended")
    assert [one["batch"] for one in facts["earlier"]] == [1]
    assert len(counter.paper.getvalue()) > before


async def test_a_day_with_an_unknown_outcome_does_not_end(
    autojump_clock: MockClock, peer: Peer, counter: Counter
) -> None:
    peer.faults.append(Fault.LOSE_REPLY)

    def unplug(request: Request) -> None:
        peer.doors.extend([Door.REFUSED] * 300)

    peer.on_request = unplug
    await counter.command(*REDEEM)
    assert await counter.command("day-end") == 2
    assert "Transactions without an outcome: 1." in counter.voice.getvalue()
    counter.language = "zh"
    assert await counter.command("day-end") == 2
    assert "还有 1 笔交易结果未知" in counter.voice.getvalue()
    assert peer.seen(Reconciliation) == []


# ---- status -------------------------------------------------------------------------------------


async def test_the_status_of_a_hold_tells_how_it_ended(peer: Peer, counter: Counter) -> None:
    _, held = await counter.json("hold", *CARD_OPTION, "--service", "wash")
    await counter.json("capture", "last", "20")
    code, status = await counter.json("status", held["txid"])
    assert (code, status["kind"], status["ended"]) == (0, "hold", "capture")
    code, status = await counter.json("status")
    assert (code, status["kind"], status["points"]) == (0, "capture", 20)
