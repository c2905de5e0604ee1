"""Day's end when something is open, lost, restarted or out of step: a batch is closed once and only once."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.limits import MAX_UPLOAD
from protocol.messages import BatchTotal, BatchUpload, Reconciliation, Redeem
from tests.txserver.terminal_books import PRICE
from tests.txserver.terminal_peer import CARD, Door, Fault, Peer, create_terminal
from tests.txserver.test_terminal_batches import WHOLE_DAY, a_day, sell
from txserver.terminal import DayEnd, Outcome, Unreachable, Unsettled, open_terminal
from txserver.terminal_store import PurchaseStore

LOSSES = [
    Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.NOT_RECORDED, Fault.LATE,
    Fault.WRONG_REPLY,
]  # fmt: skip


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


# What is not settled.


async def test_a_batch_with_something_open_is_not_closed(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold, other = await sell(terminal), await sell(terminal)
        peer.faults.extend([Fault.IGNORE] * 9)
        await terminal.reverse(sold)
        await terminal.reverse(other)
        began = trio.current_time()
        with pytest.raises(Unsettled, match="2 transactions") as unsettled:
            await terminal.reconcile()
        assert unsettled.value.count == 2
        assert trio.current_time() - began == pytest.approx(10)
        assert terminal.batch == 1
        peer.faults.clear()
        while terminal.unsettled:
            await terminal.ready()
        day = await terminal.reconcile()
    assert day.balanced
    assert len(peer.seen(Reconciliation)) == 1


async def test_day_end_waits_a_moment_for_what_is_under_way(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        peer.faults.append(Fault.NOT_RECORDED)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.redeem, CARD, "wash")
            await trio.testing.wait_all_tasks_blocked()
            day = await terminal.reconcile()
    assert day.own == (BatchTotal(kind="redeem", count=1, points=PRICE),)


async def test_a_purchase_that_waited_for_the_line_is_in_the_batch_that_is_open_then(
    autojump_clock: MockClock, peer: Peer
) -> None:
    peer.doors.extend([Door.REFUSED] * 4)
    days: list[DayEnd] = []
    async with open_terminal(create_terminal(peer)) as terminal, trio.open_nursery() as nursery:
        nursery.start_soon(sell, terminal)
        await trio.testing.wait_all_tasks_blocked()
        assert not terminal.online
        days += [await terminal.reconcile(), await terminal.reconcile()]
    assert [request.batch for request in peer.seen(Redeem)] == [2]
    assert [(day.balanced, len(day.own)) for day in days] == [(True, 0), (True, 1)]


# Lost replies, restarts.


@pytest.mark.parametrize("fault", LOSSES)
@pytest.mark.parametrize("step", range(3))
async def test_day_end_is_repeated_whatever_is_lost(
    autojump_clock: MockClock, peer: Peer, fault: Fault, step: int
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        txids = [await sell(terminal) for _ in range(MAX_UPLOAD + 1)]
        peer.books.rows[txids[7]].points = 31
        peer.faults.extend([Fault.NONE] * step + [fault] * 2)
        day = await terminal.reconcile()
    assert [(one.id, one.outcome) for one in day.results] == [(txids[7], "amount_differs")]
    assert len({request.id for request in peer.seen(Reconciliation)}) == 1
    assert len(peer.books.closed) == 1
    assert len({request.id for request in peer.seen(BatchUpload)}) == 2


@pytest.mark.parametrize("fault", [Fault.IGNORE, Fault.BOOK_SILENTLY])
async def test_day_end_goes_on_after_a_restart(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path, fault: Fault
) -> None:
    """Also when something was sold meanwhile: that belongs to the next batch."""
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await a_day(terminal)
        peer.faults.extend([fault] * 99)
        with pytest.raises(Unreachable):
            await terminal.reconcile()
        assert terminal.batch == 2
        peer.faults.clear()
        await sell(terminal)
    store.close()
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        day = await again.reconcile()
        assert day == DayEnd(1, balanced=True, own=WHOLE_DAY, server=WHOLE_DAY, results=(), resumed=True)
        assert again.batch == 2
        following = await again.reconcile()
    assert (following.batch, following.resumed) == (2, False)
    assert following.own == (BatchTotal(kind="redeem", count=1, points=PRICE),)
    sent = peer.seen(Reconciliation)
    assert len({request.id for request in sent}) == 2
    assert [request.repeat for request in sent if request.batch == 1] == [False] + [True] * (len(sent) - 2)


async def test_an_upload_goes_on_after_a_restart(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        txids = [await sell(terminal) for _ in range(MAX_UPLOAD + 1)]
        peer.books.rows[txids[-1]].points = 31
        peer.faults.extend([Fault.NONE] * 2 + [Fault.IGNORE] * 99)
        with pytest.raises(Unreachable):
            await terminal.reconcile()
    store.close()
    peer.faults.clear()
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        day = await again.reconcile()
    assert [one.id for one in day.results] == [txids[-1]]
    assert (day.code, day.resumed) == (1401, True)


async def test_the_close_is_stored_before_it_is_sent(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    found: list[object] = []
    peer.on_request = lambda request: (
        found.append((store.closing(), store.open_batch())) if isinstance(request, Reconciliation) else None
    )
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await sell(terminal)
        await terminal.reconcile()
        assert store.closing() is None
    assert found == [(peer.seen(Reconciliation)[0], 2)]


async def test_without_a_line_the_batch_is_closed_here_and_told_later(
    autojump_clock: MockClock, peer: Peer
) -> None:
    peer.doors.extend([Door.REFUSED] * 9)
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(Unreachable, match="nobody listens"):
            await terminal.reconcile()
        peer.doors.clear()
        while not await terminal.ready():
            pass
        assert (await terminal.reconcile()).resumed


async def test_two_clerks_at_once_close_one_batch_each(autojump_clock: MockClock, peer: Peer) -> None:
    days: list[DayEnd] = []
    async with open_terminal(create_terminal(peer)) as terminal, trio.open_nursery() as nursery:
        await sell(terminal)
        for _ in range(2):

            @nursery.start_soon
            async def _() -> None:
                days.append(await terminal.reconcile())

    assert [(day.batch, day.balanced, len(day.own)) for day in days] == [(1, True, 1), (2, True, 0)]


# Batch numbers.


async def test_a_device_with_a_lost_store_goes_on_behind_the_servers_last_batch(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    peer.login_more = {"last_batch": 41}
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await sell(terminal)
        assert terminal.batch == 42
    store.close()
    assert [request.batch for request in peer.seen(Redeem)] == [42]
    assert create_terminal(peer, tmp_path, run=1).batch == 42


@pytest.mark.parametrize("last_batch", [None, 0, 4])
async def test_a_last_batch_below_ours_changes_nothing(
    autojump_clock: MockClock, peer: Peer, last_batch: int | None
) -> None:
    peer.login_more = {} if last_batch is None else {"last_batch": last_batch}
    store = PurchaseStore(None)
    store.open_a_batch(5)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await terminal.ready()
        assert terminal.batch == 5


async def test_a_batch_that_the_server_had_closed_before(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await sell(terminal)
        peer.books.closed[8] = peer.books.answer(  # type: ignore[assignment]
            Reconciliation(id=bytes(16), stan=1, batch=8, at=1, totals=[])
        )
        day = await terminal.reconcile()
        assert (day.batch, day.balanced, day.code, day.server) == (1, False, 3023, ())
        assert terminal.batch == 9
        assert (await terminal.reconcile()).balanced


async def test_another_refusal_leaves_the_end_of_the_batch_to_be_done(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await sell(terminal)
        answer = peer.books.answer
        peer.books.answer = lambda request: peer.refuse(request, 1020)  # type: ignore[method-assign]
        with pytest.raises(Unreachable, match="1020"):
            await terminal.reconcile()
        peer.books.answer = answer  # type: ignore[method-assign]
        assert (await terminal.reconcile()).resumed


async def test_a_late_reversal_counts_in_the_batch_of_its_own_message(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        assert (await terminal.reconcile()).balanced
        assert (await terminal.reverse(sold)).outcome is Outcome.REVERSED
        day = await terminal.reconcile()
    assert day.balanced
    assert day.own == (BatchTotal(kind="reversal", count=1, points=PRICE),)
