"""A played shop of one terminal at the scripted peer: enrolling, playing, ending, leaving."""

import io
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from protocol.messages import BalanceInquiry, CatalogueItem, Reconciliation, Redeem, Request
from tests.txserver.pos_desk import Counter, create_code, create_counter
from tests.txserver.terminal_books import Row
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_identity
from txserver.shop import Shop
from txserver.shop_day import exit_code, verdict
from txserver.shop_file import PlayerCard, ShopWorld, seat_folder
from txserver.shop_plan import Action
from txserver.terminal_store import PurchaseStore


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    peer = Peer(nursery)
    peer.services = [CatalogueItem(code="wash", name="Wash", name_zh="洗车", unit="time", points=30)]
    return peer


@pytest.fixture
def counter(peer: Peer, tmp_path: Path) -> Counter:
    return create_counter(peer, tmp_path / "pos", enrolled=False)


@pytest.fixture
def world(tmp_path: Path) -> ShopWorld:
    world = ShopWorld(codes=[create_code()], cards=[PlayerCard(card=CARD, pin=PIN)])
    (tmp_path / "shop.json").write_bytes(msgspec.json.encode(world))
    return world


def command(tmp_path: Path, *more: str) -> tuple[str, ...]:
    return ("shop", "--world", str(tmp_path / "shop.json"), "--terminals", "1", "--seed", "3", *more)


async def test_a_shop_enrols_plays_and_balances(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    shop = Shop(counter.desk(), world, terminals=1, seconds=60, seed=3)
    await shop.play()
    day = shop.day()
    assert (verdict(day), exit_code(day)) == ("balanced", 0)
    assert seat_folder(counter.folder, 1).joinpath("identity.json").exists()
    assert 30 < day.board.steps < 200
    assert 55 < day.board.elapsed_s < 75
    assert day.counts[Action.REDEEM, "approved"] > 10
    # No hold stays behind.
    assert [row.ended for row in peer.books.of("hold") if row.ended is None and not row.undone] == []
    (end,) = peer.seen(Reconciliation)
    assert isinstance(end, Reconciliation)
    assert end.totals == peer.books.totals(1)
    # The second day begins where the first one ended; the code is not used again.
    connections = peer.connections
    again = Shop(counter.desk(), world, terminals=1, seconds=5, seed=3)
    await again.play()
    assert [seat.days[0].batch for seat in again.day().seats] == [2]
    assert peer.connections == connections + 1


async def test_wrong_pins_and_too_large_amounts_are_sent(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    shop = Shop(counter.desk(), world, terminals=1, seconds=120, seed=3)
    await shop.play()
    counts = shop.day().counts
    assert sum(counts[Action.WRONG_PIN, outcome] for outcome in ("approved", "refused")) > 0
    pins = {request.pin for request in peer.seen(Redeem) if isinstance(request, Redeem)}
    assert pins == {PIN, "804613"}
    assert any(isinstance(one, Redeem) and one.quantity == 9_000 for one in peer.seen(Redeem))
    assert all(isinstance(one, BalanceInquiry) and one.pin is None for one in peer.seen(BalanceInquiry))


async def test_the_same_seed_makes_the_same_customers_come(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    played = []
    for seed in (5, 5, 6):
        shop = Shop(counter.desk(), world, terminals=1, seconds=30, seed=seed)
        await shop.play()
        played.append(shop.day().counts)
    assert played[0] == played[1]
    assert played[0] != played[2]


async def test_a_stopped_shop_settles_and_ends_its_day(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    shop = Shop(counter.desk(), world, terminals=1, seconds=600, seed=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.play)
        await trio.sleep(20)
        shop.stop.set()
    day = shop.day()
    assert verdict(day) == "balanced"
    assert day.board.elapsed_s == pytest.approx(20, abs=0.1)


async def test_an_abandoned_shop_leaves_at_once(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    shop = Shop(counter.desk(), world, terminals=1, seconds=600, seed=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.play)
        await trio.sleep(20)
        shop.stop.set()
        shop.abandon()
    assert shop.abandoned
    assert peer.seen(Reconciliation) == []
    assert verdict(shop.day()) == "unsettled"
    # The store was given back.
    PurchaseStore(seat_folder(counter.folder, 1)).close()


async def test_a_server_that_goes_away_is_named(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld, tmp_path: Path
) -> None:
    def go(request: Request) -> None:
        if len(peer.seen(Redeem)) == 5 and not peer.doors:
            peer.faults.append(Fault.LOSE_REPLY)
            peer.doors.extend([Door.REFUSED] * 10_000)

    peer.on_request = go
    code, facts = await counter.json(*command(tmp_path, "--seconds", "40"))
    # What was under way has no outcome, so the day does not end: that is no fault of the terminal.
    assert (code, facts["outcome"]) == (1, "unsettled")
    assert facts["unsettled"] > 0
    (seat,) = facts["terminals"]
    assert (seat["days"], seat["trouble"]) == ([], None)
    assert facts["actions"]["redeem"]["reversal_stored"] == 1
    peer.doors.clear()
    peer.on_request = lambda request: None
    code, facts = await counter.json(*command(tmp_path, "--seconds", "5"))
    assert (code, facts["outcome"], facts["unsettled"]) == (0, "balanced", 0)


async def test_a_server_that_was_never_there_is_a_fault(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld, tmp_path: Path
) -> None:
    create_identity().save(seat_folder(counter.folder, 1))
    peer.doors.extend([Door.REFUSED] * 10_000)
    code, facts = await counter.json(*command(tmp_path, "--seconds", "30"))
    assert (code, facts["outcome"]) == (2, "unsettled")
    assert "does not answer" in facts["terminals"][0]["trouble"]


async def test_a_difference_makes_the_exit_code_1(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld, tmp_path: Path
) -> None:
    peer.books.rows[bytes([1] * 16)] = Row("redeem", batch=1, points=30)
    code, facts = await counter.json(*command(tmp_path, "--seconds", "5"))
    assert (code, facts["outcome"]) == (1, "differs")
    assert facts["terminals"][0]["days"][0]["differences"][0]["outcome"] == "unknown_there"


async def test_a_code_that_was_used_is_a_sentence(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld, tmp_path: Path
) -> None:
    peer.doors.append(Door.CUT_AFTER_HANDSHAKE)
    counter.language = "zh"
    assert await counter.command(*command(tmp_path, "--seconds", "5")) == 2
    paper = counter.paper.getvalue()
    for word in ("商店日结：未核对完毕", "登记码已用过或已过期"):
        assert word in paper


async def test_numbers_and_files_that_make_no_sense(
    peer: Peer, counter: Counter, world: ShopWorld, tmp_path: Path
) -> None:
    for more, sentence in (
        (("--seconds", "0"), "at least 1 second"),
        (("--terminals", "2", "--seconds", "1"), "has codes for 1 terminals, not for 2."),
        (("--world", "nowhere.json", "--seconds", "1"), "There is no file nowhere.json."),
    ):
        assert await counter.command(*command(tmp_path, *more)) == 2
        assert sentence in counter.voice.getvalue()
    assert peer.connections == 0


async def test_terminals_that_share_a_card_never_try_a_wrong_pin(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    """Two of them could block it together. Nor is a code read where a device has enrolled before."""
    for number in (1, 2):
        create_identity().save(seat_folder(counter.folder, number))
    shared = ShopWorld(codes=["unread", "unread"], cards=world.cards)
    shop = Shop(counter.desk(), shared, terminals=2, seconds=600, seed=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.play)
        await trio.sleep(120)
        shop.abandon()
    assert {request.pin for request in peer.seen(Redeem) if isinstance(request, Redeem)} == {PIN}
    assert [seat.terminal for seat in shop.day().seats] == [17, 17]


async def test_the_table_is_shown_to_who_looks(
    autojump_clock: MockClock, peer: Peer, counter: Counter, world: ShopWorld
) -> None:
    window = io.StringIO()
    voice = Console(file=window, width=80, height=40, force_terminal=True, highlight=False)
    shop = Shop(replace(counter.desk(), voice=voice), world, terminals=1, seconds=10, seed=3)
    await shop.play()
    assert window.getvalue().count("Shop of 1 terminals") > 20
    assert "balanced" in window.getvalue()
    assert "Shop of 1 terminals" not in counter.voice.getvalue()
