"""The reference terminal against a scripted server: each terminal rule, and each place to cut the line."""

from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol.errors import LocalProtocolError
from protocol.messages import Login, Logout, Redeem, Request, ReversalAdvice, TransactionStatus
from tests.txserver.terminal_peer import CARD, PIN, Door, Fault, Peer, create_terminal
from txserver.terminal import Outcome, Result, Terminal, UnknownPurchase, open_terminal
from txserver.terminal_rules import GIVE_UP_S, UNKNOWN_S, State
from txserver.terminal_store import PurchaseStore, StoreError


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


async def redeem(terminal: Terminal, **more: object) -> Result:
    return await terminal.redeem(CARD, "wash", pin=PIN, quantity=1, **more)  # type: ignore[arg-type]


async def redeem_once(peer: Peer, *faults: Fault, store: PurchaseStore | None = None) -> Result:
    peer.faults.extend(faults)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        return await redeem(terminal)


async def test_a_debit(autojump_clock: MockClock, peer: Peer) -> None:
    result = await redeem_once(peer)
    assert result.outcome is Outcome.APPROVED
    assert result.answer is not None
    assert (result.answer.approval, result.answer.points, result.answer.balance) == ("A1B2C3", 30, 70)
    (request,) = peer.seen(Redeem)
    assert isinstance(request, Redeem)
    assert (request.id, request.pin, request.repeat) == (result.txid, PIN, False)
    assert [type(message) for message in peer.received] == [Login, Redeem, Logout]


async def test_a_refusal_is_final(autojump_clock: MockClock, peer: Peer) -> None:
    peer.books.approve = False
    store = PurchaseStore(None)
    result = await redeem_once(peer, store=store)
    assert result.outcome is Outcome.REFUSED
    assert store.unfinished() == []


# Rule 1: the txid and the request are stored before the first byte.


async def test_the_request_is_stored_before_the_first_byte(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    found: list[State] = []

    def look(request: Request) -> None:
        if isinstance(request, Redeem):
            purchase = store.find(request.id)
            assert purchase is not None
            assert isinstance(purchase.request, Redeem)
            assert purchase.request.pin is None
            found.append(purchase.state)

    peer.on_request = look
    await redeem_once(peer, store=store)
    assert found == [State.OPEN]


async def test_a_store_that_takes_nothing_lets_nothing_out(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        assert await terminal.ready()
        store.close()
        with pytest.raises(StoreError):
            await redeem(terminal)
    assert peer.seen(Redeem) == []


async def test_the_pin_is_on_no_disk_and_in_no_repr(
    autojump_clock: MockClock, peer: Peer, tmp_path: Path
) -> None:
    peer.faults.append(Fault.LOSE_REPLY)
    terminal = create_terminal(peer, tmp_path)
    async with open_terminal(terminal):
        result = await redeem(terminal)
        assert_pin_in_no_file(tmp_path)
        purchase = terminal.recent()[0]
        assert all(PIN not in repr(thing) for thing in (result, purchase, *peer.received))
        assert all(CARD not in repr(thing) for thing in (result, purchase, *peer.received))
    assert [request.pin for request in peer.seen(Redeem) if isinstance(request, Redeem)] == [PIN, PIN]


def assert_pin_in_no_file(folder: Path) -> None:
    files = list(folder.iterdir())
    assert files
    assert not [file for file in files if PIN.encode() in file.read_bytes()]


async def test_a_request_that_no_message_may_hold_gets_nowhere(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        with pytest.raises(LocalProtocolError):
            await terminal.redeem("P1" * 200, "wash")
        with pytest.raises(LocalProtocolError):
            await terminal.redeem(CARD, "wash", quantity=2**70)
    assert store.recent(9) == []


# Rule 2: no reply, or the line is lost: again, the same request, with `repeat`.


@pytest.mark.parametrize(
    "fault",
    [Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.LATE, Fault.WRONG_REPLY],
)
async def test_the_same_request_is_sent_again(autojump_clock: MockClock, peer: Peer, fault: Fault) -> None:
    result = await redeem_once(peer, fault)
    assert result.outcome is Outcome.APPROVED
    first, second = peer.seen(Redeem)
    assert [first.repeat, second.repeat] == [False, True]
    assert (first.id, first.stan, first.batch, first.at) == (second.id, second.stan, second.batch, second.at)
    assert peer.books.times == 1
    assert peer.connections == 2


async def test_ten_seconds_of_silence_are_enough(autojump_clock: MockClock, peer: Peer) -> None:
    peer.faults.append(Fault.IGNORE)
    async with open_terminal(create_terminal(peer)) as terminal:
        await terminal.ready()
        began = trio.current_time()
        await redeem(terminal)
        # 10 s, then half of the first pause of 0.5 s.
        assert trio.current_time() - began == pytest.approx(10.25)


async def test_pauses_between_connections_grow(autojump_clock: MockClock, peer: Peer) -> None:
    peer.doors.extend([Door.REFUSED] * 9)
    times: list[float] = []
    connect = peer.connect

    async def connect_and_note() -> trio.abc.Stream:
        times.append(trio.current_time())
        return await connect()

    peer.connect = connect_and_note  # type: ignore[method-assign]
    terminal = create_terminal(peer)
    async with open_terminal(terminal):
        while not terminal.online:
            await terminal.ready()
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 15, 15, 15])


# Code 1811: not recorded, repeat the same id.


async def test_not_recorded_is_repeated_with_the_same_id(autojump_clock: MockClock, peer: Peer) -> None:
    result = await redeem_once(peer, Fault.NOT_RECORDED, Fault.NOT_RECORDED)
    assert result.outcome is Outcome.APPROVED
    requests = peer.seen(Redeem)
    assert [request.repeat for request in requests] == [False, True, True]
    assert len({request.id for request in requests}) == 1
    assert peer.connections == 1


# Rule 3: still unknown after 45 s: the status with a fence is final.


async def test_unknown_for_45_seconds_is_asked_with_a_fence(autojump_clock: MockClock, peer: Peer) -> None:
    result = await redeem_once(peer, *[Fault.IGNORE] * len(range(0, 45, 11)), Fault.NONE)
    assert result.outcome is Outcome.NEVER
    (status,) = peer.seen(TransactionStatus)
    assert isinstance(status, TransactionStatus)
    assert (status.original, status.fence) == (result.txid, True)
    assert isinstance(peer.received[-2], TransactionStatus)
    assert peer.books.owed() == set()


async def test_the_status_may_say_that_it_was_approved(autojump_clock: MockClock, peer: Peer) -> None:
    result = await redeem_once(peer, *[Fault.BOOK_SILENTLY] * 5)
    assert result.outcome is Outcome.APPROVED
    assert peer.books.owed() == {result.txid}


async def test_nothing_is_asked_before_45_seconds(autojump_clock: MockClock, peer: Peer) -> None:
    asked: list[float] = []
    began = trio.current_time()

    def look(request: Request) -> None:
        if isinstance(request, TransactionStatus):
            asked.append(trio.current_time() - began)

    peer.on_request = look
    await redeem_once(peer, *[Fault.NOT_RECORDED] * 40)
    assert asked[0] >= UNKNOWN_S
    assert asked[-1] <= GIVE_UP_S


async def test_a_status_that_is_not_recorded_keeps_its_id(autojump_clock: MockClock, peer: Peer) -> None:
    await redeem_once(peer, *[Fault.IGNORE] * 5, Fault.NOT_RECORDED)
    first, second = peer.seen(TransactionStatus)
    assert (first.id, first.repeat, second.id, second.repeat) == (first.id, False, first.id, True)


# Rule 4: unreachable, or the service was not given: a stored reversal.


async def test_a_minute_without_an_answer_stores_a_reversal(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    began = trio.current_time()
    peer.faults.append(Fault.LOSE_REPLY)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await terminal.ready()
        peer.doors.extend([Door.REFUSED] * 1000)
        result = await redeem(terminal)
        assert result.outcome is Outcome.REVERSAL_STORED
        assert trio.current_time() - began == pytest.approx(GIVE_UP_S)
        (purchase,) = store.unfinished()
        assert purchase.state is State.REVERSING
        assert purchase.advice is not None
        assert purchase.advice.reason == "timeout"
        peer.doors.clear()
        while terminal.unsettled:
            await terminal.ready()
        assert [settled.outcome for settled in terminal.settled] == [Outcome.REVERSED]
    assert peer.books.owed() == set()
    assert len(peer.seen(Redeem)) == 1


async def test_a_service_that_was_not_given_is_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await redeem(terminal)
        assert sold.txid is not None
        result = await terminal.reverse(sold.txid)
        again = await terminal.reverse(sold.txid)
    assert (result.outcome, again.outcome) == (Outcome.REVERSED, Outcome.REVERSED)
    (advice,) = peer.seen(ReversalAdvice)
    assert isinstance(advice, ReversalAdvice)
    assert (advice.original, advice.reason) == (sold.txid, "not_given")
    assert peer.books.owed() == set()


async def test_only_a_purchase_of_this_terminal_is_taken_back(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        with pytest.raises(UnknownPurchase):
            await terminal.reverse(bytes(16))


async def test_a_late_approval_after_a_reversal_is_ignored(autojump_clock: MockClock, peer: Peer) -> None:
    """The reply is on its way for 12 s; meanwhile the clerk takes the purchase back."""
    store = PurchaseStore(None)
    peer.faults.append(Fault.LATE)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        results: list[Result] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _() -> None:
                results.append(await redeem(terminal))

            await trio.sleep(5)
            (purchase,) = store.unfinished()
            results.append(await terminal.reverse(purchase.txid))
        assert {result.outcome for result in results} == {Outcome.REVERSED}
    assert len(peer.seen(Redeem)) == 1
    assert peer.books.owed() == set()


async def test_a_cancelled_purchase_is_reversed(autojump_clock: MockClock, peer: Peer) -> None:
    store = PurchaseStore(None)
    peer.faults.append(Fault.BOOK_SILENTLY)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        with trio.move_on_after(3):
            await redeem(terminal)
        (purchase,) = store.unfinished()
        assert purchase.advice is not None
        assert purchase.advice.reason == "cancelled"
        assert await terminal.ready()
    assert peer.books.owed() == set()


async def test_a_refused_reversal_is_shown_and_blocks_nothing(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        sold = await redeem(terminal)
        assert sold.txid is not None
        reply_to = peer.reply_to
        refusal = peer.refuse

        peer.reply_to = lambda request: (  # type: ignore[method-assign]
            refusal(request, 1020) if isinstance(request, ReversalAdvice) else reply_to(request)
        )
        assert (await terminal.reverse(sold.txid)).outcome is Outcome.DISPUTED
        assert (await redeem(terminal)).outcome is Outcome.APPROVED


# Rule 5: stored reversals go out before any new debit.


async def test_a_reversal_goes_out_before_a_new_debit(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        first = await redeem(terminal)
        assert first.txid is not None
        peer.faults.extend([Fault.LOSE_REQUEST, Fault.NOT_RECORDED, Fault.LOSE_REPLY])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.reverse, first.txid)
            await trio.testing.wait_all_tasks_blocked()
            second = await redeem(terminal)
    assert second.outcome is Outcome.APPROVED
    kinds = [type(request) for request in peer.received if not isinstance(request, Login | Logout)]
    assert kinds == [Redeem, *[ReversalAdvice] * 4, Redeem]
    assert len({request.id for request in peer.seen(ReversalAdvice)}) == 1


async def test_a_reversal_that_does_not_get_through_stops_new_debits(
    autojump_clock: MockClock, peer: Peer
) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        first = await redeem(terminal)
        assert first.txid is not None
        peer.faults.extend([Fault.IGNORE] * 20)
        assert (await terminal.reverse(first.txid)).outcome is Outcome.REVERSAL_STORED
        assert (await redeem(terminal)).outcome is Outcome.OFFLINE
    assert len(peer.seen(Redeem)) == 1


# Rule 7: offline a terminal redeems nothing.


async def test_offline_nothing_is_stored_and_nothing_sent(autojump_clock: MockClock, peer: Peer) -> None:
    peer.doors.extend([Door.REFUSED] * 100)
    store = PurchaseStore(None)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        result = await redeem(terminal)
        assert terminal.trouble is not None
        assert terminal.trouble.kind == "unreachable"
    assert (result.outcome, result.txid) == (Outcome.OFFLINE, None)
    assert store.recent(9) == []


# Repeating on purpose: what ./scripts/run --check does.


async def test_a_finished_purchase_repeated_by_hand_gets_the_recorded_reply(
    autojump_clock: MockClock, peer: Peer
) -> None:
    store = PurchaseStore(None)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        first = await redeem(terminal)
        again = await redeem(terminal, txid=first.txid)
        assert again.answer is not None
        assert (again.outcome, again.answer.recorded, again.txid) == (Outcome.APPROVED, True, first.txid)
        peer.faults.append(Fault.IGNORE)
        silent = await redeem(terminal, txid=first.txid)
        assert silent.outcome is Outcome.UNANSWERED
        assert first.txid is not None
        await terminal.reverse(first.txid)
        assert (await redeem(terminal, txid=first.txid)).outcome is Outcome.REVERSED
    assert peer.books.times == 1
    assert len({(request.stan, request.at) for request in peer.seen(Redeem)}) == 1
    assert len(peer.seen(Redeem)) == 3


async def test_a_txid_of_the_callers_own(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        result = await redeem(terminal, txid=bytes([5] * 16))
    assert (result.outcome, result.txid) == (Outcome.APPROVED, bytes([5] * 16))


async def test_a_txid_of_another_purchase_is_refused_before_anything_is_sent(
    autojump_clock: MockClock, peer: Peer
) -> None:
    other_card = CARD[:-1] + "B"
    async with open_terminal(create_terminal(peer)) as terminal:
        first = await redeem(terminal)
        assert first.txid is not None
        for card, service, fields in (
            (other_card, "wash", {"quantity": 1}),
            (CARD, "gym", {"quantity": 1}),
            (CARD, "wash", {"quantity": 2}),
            (CARD, "wash", {"amount": 1}),
            (CARD, "wash", {"quantity": 1, "reference": "r"}),
            (CARD, "wash", {"quantity": 1, "chip": bytes(7)}),
        ):
            with pytest.raises(LocalProtocolError, match="another purchase"):
                await terminal.redeem(card, service, pin=PIN, txid=first.txid, **fields)
    assert len(peer.seen(Redeem)) == 1
