"""Refunds against a scripted server: asked about until it is known what became of them, never reversed."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.errors import LocalProtocolError
from protocol.messages import Closing, Login, Logout, Redeem, Refund, Reply, Request, TransactionStatus
from tests.txserver.terminal_books import PRICE
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import Outcome, Terminal, open_terminal
from txserver.terminal_rules import GIVE_UP_S, UNKNOWN_S
from txserver.terminal_store import PurchaseStore

LOSSES = [
    Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.NOT_RECORDED, Fault.LATE,
    Fault.WRONG_REPLY,
]  # fmt: skip


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def sell(terminal: Terminal) -> bytes:
    sold = await terminal.redeem(CARD, "wash", pin=PIN, quantity=1)
    assert sold.outcome is Outcome.APPROVED
    assert sold.txid is not None
    return sold.txid


async def settle(terminal: Terminal) -> None:
    while terminal.unsettled or not await terminal.ready():
        await terminal.ready()


def kinds_of(peer: Peer) -> list[type[Request]]:
    return [type(request) for request in peer.received if not isinstance(request, Login | Logout)]


async def test_a_part_and_then_the_rest(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        part = await terminal.refund(sold, CARD, amount=10, terminal=17, reference="torn")
        rest = await terminal.refund(sold, CARD)
        more = await terminal.refund(sold, CARD, amount=1)
    assert (part.outcome, part.kind, part.service) == (Outcome.APPROVED, "refund", "wash")
    assert part.answer is not None
    assert (part.answer.points, part.answer.remaining) == (10, PRICE - 10)
    assert rest.answer is not None
    assert (rest.answer.points, rest.answer.remaining) == (PRICE - 10, 0)
    assert more.outcome is Outcome.REFUSED
    assert more.answer is not None
    assert more.answer.code == 3019
    request = peer.seen(Refund)[0]
    assert isinstance(request, Refund)
    assert (request.original, request.amount, request.terminal, request.reference) == (sold, 10, 17, "torn")


async def test_of_another_terminals_sale_the_service_is_not_known(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        result = await terminal.refund(bytes([5] * 16), CARD, terminal=18)
    assert (result.outcome, result.service) == (Outcome.REFUSED, None)


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_refund_is_repeated(autojump_clock: MockClock, peer: Peer, fault: Fault) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        peer.faults.append(fault)
        result = await terminal.refund(sold, CARD)
    assert result.outcome is Outcome.APPROVED
    assert [request.repeat for request in peer.seen(Refund)] == [False, True]
    assert peer.books.rows[sold].refunded == PRICE


@pytest.mark.parametrize("booked", [True, False])
async def test_unknown_for_45_seconds_it_is_asked_about(
    autojump_clock: MockClock, peer: Peer, booked: bool
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        began = trio.current_time()
        peer.faults.extend([Fault.BOOK_SILENTLY if booked else Fault.IGNORE] * 5)
        result = await terminal.refund(sold, CARD)
        assert trio.current_time() - began >= UNKNOWN_S
    assert result.outcome is (Outcome.APPROVED if booked else Outcome.NEVER)
    (status,) = peer.seen(TransactionStatus)
    assert isinstance(status, TransactionStatus)
    assert (status.original, status.fence) == (result.txid, True)
    assert peer.books.rows[sold].refunded == (PRICE if booked else 0)


@pytest.mark.parametrize("booked", [True, False])
async def test_after_a_minute_the_clerk_goes_on_and_the_terminal_keeps_asking(
    autojump_clock: MockClock, peer: Peer, booked: bool
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        began = trio.current_time()
        peer.faults.append(Fault.BOOK_SILENTLY if booked else Fault.IGNORE)
        peer.faults.extend([Fault.IGNORE] * 30)
        result = await terminal.refund(sold, CARD)
        assert (result.outcome, result.kind, result.answer) == (Outcome.UNKNOWN, "refund", None)
        assert trio.current_time() - began == pytest.approx(GIVE_UP_S)
        assert terminal.unsettled == 1
        # What it came to decides what the account has: nothing new before that is known.
        assert (await terminal.redeem(CARD, "wash")).outcome is Outcome.OFFLINE
        peer.faults.clear()
        await settle(terminal)
        (settled,) = terminal.settled
    assert (settled.txid, settled.kind) == (result.txid, "refund")
    assert settled.outcome is (Outcome.APPROVED if booked else Outcome.NEVER)
    assert len({request.id for request in peer.seen(TransactionStatus)}) == 1
    assert peer.books.of("reversal") == []


@pytest.mark.parametrize("booked", [True, False])
async def test_after_a_restart_it_is_asked_about(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path, booked: bool
) -> None:
    store = PurchaseStore(tmp_path)
    terminal = create_terminal(peer, store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        sold = await sell(terminal)
        peer.faults.append(Fault.BOOK_SILENTLY if booked else Fault.IGNORE)
        nursery.start_soon(terminal.refund, sold, CARD)
        await trio.sleep(1)
        store.write = lambda *arguments: None  # type: ignore[method-assign]
        nursery.cancel_scope.cancel()
    store.close()
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        await settle(again)
        (settled,) = again.settled
        assert (settled.kind, settled.service) == ("refund", "wash")
        assert settled.outcome is (Outcome.APPROVED if booked else Outcome.NEVER)
    assert kinds_of(peer) == [Redeem, Refund, TransactionStatus]


async def test_a_cancelled_refund_is_asked_about_not_reversed(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        peer.faults.append(Fault.BOOK_SILENTLY)
        with trio.move_on_after(2):
            await terminal.refund(sold, CARD)
        await settle(terminal)
        assert [one.outcome for one in terminal.settled] == [Outcome.APPROVED]
    assert kinds_of(peer) == [Redeem, Refund, TransactionStatus]


async def test_a_status_that_settles_nothing_is_for_a_person(autojump_clock: MockClock, peer: Peer) -> None:
    reply_to = peer.reply_to

    def refuse(request: Request) -> Reply:
        return peer.refuse(request, 1020) if isinstance(request, TransactionStatus) else reply_to(request)

    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        peer.reply_to = refuse  # type: ignore[method-assign]
        peer.faults.extend([Fault.IGNORE] * 5)
        result = await terminal.refund(sold, CARD)
        assert result.outcome is Outcome.DISPUTED
        assert result.answer is not None
        assert result.answer.code == 1020
        assert await terminal.ready()
    assert peer.books.of("reversal") == []


async def test_offline_nothing_is_refunded(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        peer.doors.extend([Door.REFUSED] * 100)
        await peer.say(Closing(reason="shutdown"))
        await trio.testing.wait_all_tasks_blocked()
        result = await terminal.refund(sold, CARD)
        assert (result.outcome, result.txid, result.kind) == (Outcome.OFFLINE, None, "refund")
        assert terminal.unsettled == 0
        assert [one.kind for one in terminal.recent(9)] == ["redeem"]


async def test_a_refund_repeated_by_hand_gives_nothing_back_twice(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await sell(terminal)
        first = await terminal.refund(sold, CARD, amount=10)
        again = await terminal.refund(sold, CARD, amount=10, txid=first.txid)
        assert again.answer is not None
        assert (again.outcome, again.answer.recorded) == (Outcome.APPROVED, True)
        with pytest.raises(LocalProtocolError, match="another purchase"):
            await terminal.refund(sold, CARD, amount=11, txid=first.txid)
        assert first.txid is not None
        with pytest.raises(LocalProtocolError, match="refund"):
            await terminal.reverse(first.txid)
    assert peer.books.rows[sold].refunded == 10
