"""Whole days at a shop whose line, server and device fail at random: in the end the books balance."""

from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from protocol.errors import LocalProtocolError
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import DayEnd, Terminal, Unreachable, Unsettled, open_terminal
from txserver.terminal_batches import items_of, totals_of
from txserver.terminal_rules import Purchase, State
from txserver.terminal_store import PurchaseStore

DEEDS = ["redeem", "hold", "capture", "release", "refund", "reverse", "reconcile"]


async def work(terminal: Terminal, deeds: list[str], days: list[DayEnd]) -> None:
    """Do one after another; what cannot be done now is left."""
    for deed in deeds:
        try:
            await do(terminal, deed, days)
        except (LocalProtocolError, Unreachable, Unsettled):
            continue


async def do(terminal: Terminal, deed: str, days: list[DayEnd]) -> None:
    sold = newest(terminal, "redeem", "capture")
    held = newest(terminal, "hold")
    match deed:
        case "redeem":
            await terminal.redeem(CARD, "wash", pin=PIN, quantity=1)
        case "hold":
            await terminal.hold(CARD, "tow", pin=PIN, quantity=1)
        case "capture" if held is not None:
            await terminal.capture(held.txid, 20)
        case "release" if held is not None:
            await terminal.release(held.txid)
        case "refund" if sold is not None:
            await terminal.refund(sold.txid, CARD, amount=5)
        case "reverse":
            last = newest(terminal, "redeem", "capture", "hold")
            if last is not None:
                await terminal.reverse(last.txid)
        case "reconcile":
            days.append(await terminal.reconcile())


def newest(terminal: Terminal, *kinds: str) -> Purchase | None:
    return next((one for one in terminal.recent(99) if one.kind in kinds), None)


async def work_until_killed(
    peer: Peer, folder: Path, run: int, deeds: list[str], seconds: float, days: list[DayEnd]
) -> None:
    """A program that is killed: from then on it writes nothing any more."""
    store = PurchaseStore(folder)
    terminal = create_terminal(peer, store, run=run)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        nursery.start_soon(work, terminal, deeds, days)
        await trio.sleep(seconds)
        for name in ("write", "close_batch", "forget_closing", "open_a_batch"):
            setattr(store, name, lambda *arguments: None)
        nursery.cancel_scope.cancel()
    store.close()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(Fault), max_size=25),
    doors=st.lists(st.sampled_from(Door), max_size=10),
    runs=st.lists(
        st.tuples(st.lists(st.sampled_from(DEEDS), max_size=8), st.sampled_from([0.5, 3.0, 30.0, 200.0])),
        max_size=3,
    ),
    deeds=st.lists(st.sampled_from(DEEDS), max_size=8),
)
def test_whatever_happens_the_books_balance(
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[Fault],
    doors: list[Door],
    runs: list[tuple[list[str], float]],
    deeds: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("pos")
    days: list[DayEnd] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery)
            peer.faults.extend(faults)
            peer.doors.extend(doors)
            for run, (chosen, seconds) in enumerate(runs):
                await work_until_killed(peer, folder, run, chosen, seconds, days)
            store = PurchaseStore(folder)
            terminal = create_terminal(peer, store, run=9)
            async with open_terminal(terminal):
                await work(terminal, deeds, days)
                peer.faults.clear()
                peer.doors.clear()
                while terminal.unsettled or not await terminal.ready():
                    await terminal.ready()
                days.append(await terminal.reconcile())
                days.append(await terminal.reconcile())
                assert_agreed(terminal, peer)
                assert_batches_agree(store, peer, terminal.batch)
            store.close()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [day for day in days if not day.balanced or day.results] == []


def assert_agreed(terminal: Terminal, peer: Peer) -> None:
    """What the terminal calls approved is so at the server, and everything else is not."""
    for one in terminal.recent(99):
        row = peer.books.rows.get(one.txid)
        booked = row is not None and row.code == 0
        assert one.state.final
        if one.state is State.APPROVED:
            assert row is not None
            assert booked
            assert not row.undone
        if one.state in (State.REFUSED, State.NEVER):
            assert not booked
        if one.state is State.REVERSED and row is not None and booked:
            assert row.undone or row.ended is not None
    assert {one.txid for one in terminal.recent(99)} >= peer.books.charged


def assert_batches_agree(store: PurchaseStore, peer: Peer, open_batch: int) -> None:
    for batch in range(1, open_batch):
        assert totals_of(items_of(store.of_batch(batch), batch)) == peer.books.totals(batch)
