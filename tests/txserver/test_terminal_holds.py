"""Holds, captures and releases against a scripted server, with each place to cut the line."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.errors import LocalProtocolError
from protocol.messages import (
    Capture,
    Closing,
    Hold,
    Login,
    Logout,
    Redeem,
    Release,
    Request,
    ReversalAdvice,
    TransactionStatus,
)
from tests.txserver.terminal_books import HELD, NOW_MS
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import Outcome, Result, Terminal, UnknownPurchase, open_terminal
from txserver.terminal_rules import GIVE_UP_S, State
from txserver.terminal_store import PurchaseStore

LOSSES = [
    Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.NOT_RECORDED, Fault.LATE,
    Fault.WRONG_REPLY,
]  # fmt: skip


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def hold(terminal: Terminal) -> bytes:
    held = await terminal.hold(CARD, "tow", pin=PIN, quantity=1, hold_s=3600)
    assert held.outcome is Outcome.APPROVED
    assert held.txid is not None
    return held.txid


async def settle(terminal: Terminal) -> None:
    while terminal.unsettled or not await terminal.ready():
        await terminal.ready()


def kinds_of(peer: Peer) -> list[type[Request]]:
    return [type(request) for request in peer.received if not isinstance(request, Login | Logout)]


async def test_a_job_is_reserved_and_then_captured(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        held = await terminal.hold(CARD, "tow", pin=PIN, quantity=1, hold_s=3600, reference="R1")
        assert held.txid is not None
        taken = await terminal.capture(held.txid, 20, reference="R2")
    assert (held.kind, held.outcome, held.service) == ("hold", Outcome.APPROVED, "tow")
    assert held.answer is not None
    assert (held.answer.points, held.answer.expires_at) == (HELD, NOW_MS + 86_400_000)
    assert (taken.kind, taken.outcome, taken.service) == ("capture", Outcome.APPROVED, "tow")
    assert taken.answer is not None
    assert (taken.answer.points, taken.answer.released) == (20, HELD - 20)
    first, second = peer.seen(Hold, Capture)
    assert isinstance(first, Hold)
    assert (first.pin, first.hold_s, first.reference) == (PIN, 3600, "R1")
    assert isinstance(second, Capture)
    assert (second.hold, second.amount, second.credential, second.reference) == (held.txid, 20, CARD, "R2")


async def test_a_hold_that_is_not_needed_is_released(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        released = await terminal.release(await hold(terminal))
    assert (released.kind, released.outcome, released.service) == ("release", Outcome.APPROVED, "tow")
    assert released.answer is not None
    assert released.answer.points == HELD


@pytest.mark.parametrize("fault", LOSSES)
async def test_a_hold_is_repeated_like_a_purchase(
    autojump_clock: MockClock, peer: Peer, fault: Fault
) -> None:
    peer.faults.append(fault)
    async with open_terminal(create_terminal(peer)) as terminal:
        await hold(terminal)
    assert [request.repeat for request in peer.seen(Hold)] == [False, True]
    assert len(peer.books.of("hold")) == 1


async def test_a_hold_without_an_answer_is_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        peer.faults.extend([Fault.BOOK_SILENTLY] + [Fault.IGNORE] * 9)
        held = await terminal.hold(CARD, "tow", pin=PIN)
        assert held.outcome is Outcome.REVERSAL_STORED
        assert held.txid is not None
        with pytest.raises(LocalProtocolError, match="not known yet"):
            await terminal.capture(held.txid, 5)
        with pytest.raises(LocalProtocolError, match="not known yet"):
            await terminal.release(held.txid)
        peer.faults.clear()
        await settle(terminal)
    assert peer.seen(Capture, Release) == []
    assert [row.undone for row in peer.books.of("hold")] == [True]


async def test_a_hold_of_an_earlier_run_is_asked_about(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    peer.faults.append(Fault.BOOK_SILENTLY)
    store = PurchaseStore(tmp_path)
    terminal = create_terminal(peer, store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.run)
        nursery.start_soon(terminal.hold, CARD, "tow")
        await trio.sleep(1)
        kill(store, nursery)
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        await settle(again)
        (settled,) = again.settled
        assert (settled.outcome, settled.kind) == (Outcome.APPROVED, "hold")
        assert settled.txid is not None
        assert (await again.capture(settled.txid, HELD)).outcome is Outcome.APPROVED
    assert kinds_of(peer) == [Hold, TransactionStatus, Capture]


def kill(store: PurchaseStore, nursery: trio.Nursery) -> None:
    """End a program that may write nothing from now on."""
    store.write = lambda *arguments: None  # type: ignore[method-assign]
    nursery.cancel_scope.cancel()
    store.close()


# Capture and Release: stored, repeated until answered, before anything new.


@pytest.mark.parametrize("fault", LOSSES)
@pytest.mark.parametrize("release", [True, False])
async def test_the_end_of_a_hold_is_repeated_until_it_is_answered(
    autojump_clock: MockClock, peer: Peer, fault: Fault, release: bool
) -> None:
    store = PurchaseStore(None)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        held = await hold(terminal)
        peer.faults.extend([fault] * 3)
        await (terminal.release(held) if release else terminal.capture(held, 20))
        await settle(terminal)
        ended = terminal.recent(1)[0]
    assert (ended.kind, ended.state) == ("release" if release else "capture", State.APPROVED)
    sent = peer.seen(Capture, Release)
    assert len({request.id for request in sent}) == 1
    assert [request.repeat for request in sent] == [False, True, True, True]
    assert len(peer.books.of(ended.kind)) == 1


async def test_a_capture_without_a_line_is_stored_and_told_so(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    """Also by a program that is started anew with nobody there."""
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        held = await hold(terminal)
        peer.doors.extend([Door.REFUSED] * 1000)
        await peer.say(Closing(reason="shutdown"))
        taken = await terminal.capture(held, 20)
        assert (taken.outcome, taken.kind, taken.service) == (Outcome.STORED, "capture", "tow")
        assert taken.answer is None
        assert (await terminal.redeem(CARD, "wash")).outcome is Outcome.OFFLINE
    store.close()
    assert peer.seen(Capture) == []
    peer.doors.clear()
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        sold = await again.redeem(CARD, "wash", pin=PIN)
        assert [(one.outcome, one.kind, one.txid) for one in again.settled] == [
            (Outcome.APPROVED, "capture", taken.txid)
        ]
    assert sold.outcome is Outcome.APPROVED
    assert kinds_of(peer) == [Hold, Capture, Redeem]
    # It may have been sent by the earlier run; and it was never asked about.
    assert [request.repeat for request in peer.seen(Capture)] == [True]


async def test_a_capture_goes_out_before_a_new_debit(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        held, other = await hold(terminal), await hold(terminal)
        peer.faults.extend([Fault.LOSE_REQUEST, Fault.NOT_RECORDED, Fault.LOSE_REPLY])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.capture, held, 20)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(terminal.release, other)
            sold = await terminal.redeem(CARD, "wash", pin=PIN)
    assert sold.outcome is Outcome.APPROVED
    assert kinds_of(peer) == [Hold, Hold, *[Capture] * 4, Release, Redeem]


async def test_reversals_captures_and_releases_go_out_in_their_order_after_a_restart(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        first, second = await hold(terminal), await hold(terminal)
        sold = await terminal.redeem(CARD, "wash", pin=PIN)
        assert sold.txid is not None
        peer.doors.extend([Door.REFUSED] * 1000)
        await peer.say(Closing(reason="shutdown"))
        await terminal.release(second)
        await terminal.reverse(sold.txid)
        await terminal.capture(first, 20)
        assert terminal.unsettled == 3
    store.close()
    peer.doors.clear()
    peer.received.clear()
    async with open_terminal(create_terminal(peer, tmp_path, run=1)) as again:
        await settle(again)
    assert kinds_of(peer) == [Release, ReversalAdvice, Capture]


@pytest.mark.parametrize(
    ("code", "prepare"),
    [(3012, "refused"), (3013, "released"), (3014, "lapsed"), (3015, "too much")],
)
async def test_the_servers_code_is_how_a_capture_came_out(
    autojump_clock: MockClock, peer: Peer, code: int, prepare: str
) -> None:
    peer.books.approve = prepare != "refused"
    async with open_terminal(create_terminal(peer)) as terminal:
        held = (await terminal.hold(CARD, "tow", pin=PIN)).txid
        assert held is not None
        if prepare == "released":
            await terminal.release(held)
        if prepare == "lapsed":
            peer.books.rows[held].ended = "lapse"
        taken = await terminal.capture(held, HELD + (prepare == "too much"))
    assert taken.outcome is Outcome.REFUSED
    assert taken.answer is not None
    assert taken.answer.code == code


async def test_only_a_hold_of_this_terminal_is_captured(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(UnknownPurchase):
            await terminal.capture(bytes(16), 1)
        with pytest.raises(UnknownPurchase):
            await terminal.release(bytes(16))
        sold = await terminal.redeem(CARD, "wash", pin=PIN)
        assert sold.txid is not None
        with pytest.raises(LocalProtocolError, match="not to a hold"):
            await terminal.capture(sold.txid, 1)
        held = await hold(terminal)
        with pytest.raises(LocalProtocolError):
            await terminal.capture(held, -1)
        with pytest.raises(LocalProtocolError):
            await terminal.capture(held, 1, reference="r" * 41)
    assert peer.seen(Capture, Release) == []


async def test_a_cancelled_capture_stays_stored(autojump_clock: MockClock, peer: Peer) -> None:
    """The job is done, whoever closes the window."""
    async with open_terminal(create_terminal(peer)) as terminal:
        held = await hold(terminal)
        peer.faults.append(Fault.IGNORE)
        with trio.move_on_after(2):
            await terminal.capture(held, 20)
        await settle(terminal)
    assert peer.books.rows[held].ended == "capture"


async def test_a_cancelled_hold_is_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        peer.faults.append(Fault.BOOK_SILENTLY)
        with trio.move_on_after(2):
            await terminal.hold(CARD, "tow")
        await settle(terminal)
    assert [row.ended for row in peer.books.of("hold")] == ["reversal"]


# Taking them back.


async def test_a_capture_is_taken_back_as_a_purchase_is(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        taken = await terminal.capture(await hold(terminal), 20)
        assert taken.txid is not None
        result = await terminal.reverse(taken.txid)
    assert (result.outcome, result.kind) == (Outcome.REVERSED, "capture")
    assert peer.books.owed() == set()


async def test_a_captured_hold_cannot_be_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        held = await hold(terminal)
        await terminal.capture(held, 20)
        result = await terminal.reverse(held)
    assert result.outcome is Outcome.DISPUTED
    assert result.answer is not None
    assert result.answer.outcome == "captured"
    assert len(peer.books.owed()) == 1


async def test_a_release_cannot_be_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        released = await terminal.release(await hold(terminal))
        assert released.txid is not None
        with pytest.raises(LocalProtocolError, match="release"):
            await terminal.reverse(released.txid)


async def test_a_capture_taken_back_before_it_left_takes_nothing(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        held = await hold(terminal)
        peer.faults.extend([Fault.IGNORE] * 2)
        results: list[Result] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                results.append(await terminal.capture(held, 20))

            await trio.sleep(2)
            (capture,) = [one for one in terminal.recent(9) if one.kind == "capture"]
            results.append(await terminal.reverse(capture.txid))
        await settle(terminal)
        again = await terminal.capture(held, 30)
    assert {result.outcome for result in results} <= {Outcome.REVERSED, Outcome.REVERSAL_STORED}
    assert again.outcome is Outcome.APPROVED
    assert [row.points for row in peer.books.of("capture") if row.moved] == [30]


async def test_a_hold_repeated_by_hand_gets_the_recorded_reply(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        held = await hold(terminal)
        again = await terminal.hold(CARD, "tow", pin=PIN, quantity=1, hold_s=3600, txid=held)
        assert again.answer is not None
        assert (again.outcome, again.kind, again.answer.recorded) == (Outcome.APPROVED, "hold", True)
        with pytest.raises(LocalProtocolError, match="another purchase"):
            await terminal.redeem(CARD, "tow", pin=PIN, quantity=1, txid=held)
    assert len(peer.books.of("hold")) == 1


async def test_nobody_waits_longer_than_a_minute_for_a_hold(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        began = trio.current_time()
        peer.faults.extend([Fault.IGNORE] * 20)
        await terminal.hold(CARD, "tow")
        assert trio.current_time() - began <= GIVE_UP_S
