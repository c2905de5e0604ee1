"""Terminals that are killed, and everything that may go wrong at once: in the end both sides agree."""

from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from protocol.messages import Login, Logout, Redeem, ReversalAdvice, TransactionStatus
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import Outcome, Result, Terminal, open_terminal
from txserver.terminal_rules import State
from txserver.terminal_store import PurchaseStore


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def redeem(terminal: Terminal, **more: object) -> Result:
    return await terminal.redeem(CARD, "wash", pin=PIN, quantity=1, **more)  # type: ignore[arg-type]


# Rule 6: after a restart everything pending is asked by status with a fence, not sent again.


@pytest.mark.parametrize("booked", [True, False])
async def test_after_a_restart_the_unknown_is_asked_about(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path, booked: bool
) -> None:
    """The program is killed while it waits for the reply."""
    peer.faults.append(Fault.BOOK_SILENTLY if booked else Fault.IGNORE)
    await kill_during_redeem(peer, tmp_path)
    terminal = create_terminal(peer, tmp_path, run=1)
    async with open_terminal(terminal):
        assert terminal.unsettled == 1
        second = await redeem(terminal)
        assert [one.outcome for one in terminal.settled] == [Outcome.APPROVED if booked else Outcome.NEVER]
    kinds = [type(request) for request in peer.received if not isinstance(request, Login | Logout)]
    assert kinds == [Redeem, TransactionStatus, Redeem]
    assert second.outcome is Outcome.APPROVED
    assert len(peer.books.owed()) == 1 + booked


async def test_killed_between_storing_and_sending(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    store = PurchaseStore(tmp_path)
    write, killed = store.write, trio.Event()

    def write_and_die(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        killed.set()
        raise KeyboardInterrupt

    terminal = create_terminal(peer, store)
    async with open_terminal(terminal):
        assert await terminal.ready()
        store.write = write_and_die  # type: ignore[assignment,method-assign]
        with pytest.raises(KeyboardInterrupt):
            await redeem(terminal)
        store.write = write  # type: ignore[method-assign]
    store.close()
    assert killed.is_set()
    assert peer.seen(Redeem) == []
    again = create_terminal(peer, tmp_path, run=1)
    async with open_terminal(again):
        assert await again.ready()
        assert [one.outcome for one in again.settled] == [Outcome.NEVER]
    assert peer.seen(Redeem) == []


async def test_a_reversal_survives_a_restart(autojump_clock: MockClock, peer: Peer, tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        sold = await redeem(terminal)
        assert sold.txid is not None
        peer.faults.extend([Fault.IGNORE] * 3)
        assert (await terminal.reverse(sold.txid)).outcome is Outcome.REVERSAL_STORED
    store.close()
    peer.faults.clear()
    again = create_terminal(peer, tmp_path, run=1)
    async with open_terminal(again):
        assert await again.ready()
    assert peer.books.owed() == set()
    assert peer.seen(TransactionStatus) == []
    assert len({request.id for request in peer.seen(ReversalAdvice)}) == 1


async def kill_during_redeem(peer: Peer, folder: Path) -> None:
    """A terminal that dies without a chance to tidy up: it may write nothing from the moment it is killed."""
    store = PurchaseStore(folder)
    terminal = create_terminal(peer, store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        nursery.start_soon(redeem, terminal)
        await trio.sleep(1)
        store.write = lambda *arguments: None  # type: ignore[method-assign]
        nursery.cancel_scope.cancel()
    store.close()


# Everything together.


async def test_forty_purchases_at_once(autojump_clock: MockClock, peer: Peer) -> None:
    peer.faults.extend([Fault.NONE] * 7 + [Fault.LOSE_REPLY] + [Fault.NONE] * 9 + [Fault.LOSE_REQUEST])
    results: list[Result] = []
    async with open_terminal(create_terminal(peer)) as terminal, trio.open_nursery() as nursery:
        for _ in range(40):

            @nursery.start_soon
            async def _() -> None:
                results.append(await redeem(terminal))

    assert {result.outcome for result in results} == {Outcome.APPROVED}
    assert peer.books.times == 40
    assert peer.books.owed() == {result.txid for result in results}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(Fault), max_size=25),
    doors=st.lists(st.sampled_from(Door), max_size=12),
    kills=st.lists(st.sampled_from([0.0, 1.0, 11.0, 47.0]), max_size=3),
)
def test_whatever_happens_both_sides_agree(
    tmp_path_factory: pytest.TempPathFactory, faults: list[Fault], doors: list[Door], kills: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("pos")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            peer = Peer(nursery)
            peer.faults.extend(faults)
            peer.doors.extend(doors)
            for run, seconds in enumerate(kills):
                await sell_until_killed(peer, folder, run, seconds)
            terminal = create_terminal(peer, folder, run=9)
            async with open_terminal(terminal):
                await redeem(terminal)
                peer.faults.clear()
                peer.doors.clear()
                while terminal.unsettled or not await terminal.ready():
                    await terminal.ready()
                assert_agreed(terminal, peer)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def sell_until_killed(peer: Peer, folder: Path, run: int, seconds: float) -> None:
    store = PurchaseStore(folder)
    terminal = create_terminal(peer, store, run=run)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        nursery.start_soon(redeem, terminal)
        nursery.start_soon(redeem, terminal)
        await trio.sleep(seconds)
        store.write = lambda *arguments: None  # type: ignore[method-assign]
        nursery.cancel_scope.cancel()
    store.close()


def assert_agreed(terminal: Terminal, peer: Peer) -> None:
    approved = {one.txid for one in terminal.recent(99) if one.state is State.APPROVED}
    assert approved == peer.books.owed()
    assert all(one.state.final for one in terminal.recent(99))
    assert peer.books.times == len(peer.books.charged)
