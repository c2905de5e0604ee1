"""Day's end: what is in a batch by the terminal's own record, and the talk with the server about it."""

from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from trio.testing import MockClock

from protocol.codec import encode
from protocol.limits import MAX_UPLOAD
from protocol.messages import BatchItem, BatchTotal, BatchUpload, Redeem
from tests.txserver.terminal_books import HELD, PRICE, Row
from tests.txserver.terminal_peer import CARD, PIN, Fault, Peer, create_terminal
from tests.txserver.test_terminal_rules import create_advice
from tests.txserver.test_terminal_rules_by_kind import create_operation
from tests.txserver.test_terminal_store import write_old_store
from txserver.terminal import DayEnd, Terminal, Unreachable, open_terminal
from txserver.terminal_batches import items_of, totals_of
from txserver.terminal_operations import OPERATIONS, Answer, Purchase, State
from txserver.terminal_store import PurchaseStore

LOSSES = [
    Fault.LOSE_REQUEST, Fault.LOSE_REPLY, Fault.IGNORE, Fault.BOOK_SILENTLY, Fault.NOT_RECORDED, Fault.LATE,
    Fault.WRONG_REPLY,
]  # fmt: skip


@pytest.fixture
async def peer(nursery: trio.Nursery) -> Peer:
    return Peer(nursery)


# The terminal's own word.


def create_purchase(
    state: State, *, kind: str = "redeem", booked: int | None = None, returned: int = 0,
    outcome: str | None = None, code: int = 0, advised: bool = False,
) -> Purchase:  # fmt: skip
    request = create_operation(kind)
    answer = Answer(code=code, text="", server_at=0, business_date="2027-01-15", outcome=outcome)
    advice = create_advice(request.id) if advised else None
    return Purchase(
        request=request, state=state, answer=answer, booked=booked, returned=returned, advice=advice
    )


@pytest.mark.parametrize(
    ("purchase", "state", "points"),
    [
        (create_purchase(State.APPROVED, booked=30), "approved", 30),
        (create_purchase(State.APPROVED, kind="release", booked=50), "approved", 50),
        (create_purchase(State.REFUSED, code=1016), "refused", 0),
        (create_purchase(State.NEVER, code=3010), "refused", 0),
        (create_purchase(State.REVERSED, booked=30, returned=30, outcome="reversed"), "reversed", 30),
        (create_purchase(State.REVERSED, outcome="never_seen"), "refused", 0),
        (create_purchase(State.REVERSED, outcome="refused_before"), "refused", 0),
        (create_purchase(State.REVERSED, kind="hold", booked=50, outcome="already_reversed"), "approved", 50),
        (create_purchase(State.REVERSED, kind="hold", outcome="already_reversed"), "unknown", 0),
        (create_purchase(State.DISPUTED, kind="hold", booked=50, outcome="captured"), "approved", 50),
        (create_purchase(State.DISPUTED, booked=30, outcome="refunded"), "approved", 30),
        (create_purchase(State.DISPUTED, outcome="refunded"), "unknown", 0),
        (create_purchase(State.DISPUTED, booked=30, code=1020), "reversed", 30),
        (create_purchase(State.DISPUTED, kind="refund", code=1020), "unknown", 0),
        (create_purchase(State.OPEN), "unknown", 0),
    ],
)
def test_how_a_transaction_is_told(purchase: Purchase, state: str, points: int) -> None:
    (item,) = items_of([purchase], 1)
    assert (item.id, item.kind, item.state, item.points) == (purchase.txid, purchase.kind, state, points)


@pytest.mark.parametrize(
    ("state", "code", "returned", "told"),
    [
        (State.REVERSED, 0, 30, "approved"),
        (State.DISPUTED, 0, 0, "approved"),
        (State.DISPUTED, 1020, 0, "refused"),
        (State.REVERSING, 0, 0, "unknown"),
    ],
)
def test_how_a_reversal_is_told(state: State, code: int, returned: int, told: str) -> None:
    purchase = create_purchase(
        state, booked=30, code=code, returned=returned, outcome="reversed", advised=True
    )
    reversal = items_of([purchase], 1)[1]
    assert (reversal.kind, reversal.state, reversal.points) == ("reversal", told, returned)


def test_a_request_and_its_reversal_are_each_in_their_own_batch() -> None:
    purchase = create_purchase(State.REVERSED, booked=30, returned=30, outcome="reversed", advised=True)
    assert purchase.advice is not None
    purchase = replace(purchase, advice=replace(purchase.advice, batch=2))
    assert [item.kind for item in items_of([purchase], 1)] == ["redeem"]
    assert [item.kind for item in items_of([purchase], 2)] == ["reversal"]
    assert items_of([purchase], 3) == []


def test_what_an_older_program_wrote_counts(tmp_path: Path) -> None:
    write_old_store(tmp_path)
    store = PurchaseStore(tmp_path)
    items = items_of(store.of_batch(1), 1)
    assert [(item.kind, item.state, item.points) for item in items] == [
        ("redeem", "reversed", 30),
        ("reversal", "approved", 30),
    ]
    store.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*OPERATIONS, "reversal"]),
            st.integers(0, 10**6),
            st.sampled_from(["approved", "refused", "reversed", "unknown"]),
        )
    )
)
def test_totals_count_what_the_server_has_and_what_moved_points(told: list[tuple[str, int, str]]) -> None:
    items = [
        BatchItem(id=number.to_bytes(16, "big"), kind=kind, points=points, state=state)
        for number, (kind, points, state) in enumerate(told)
    ]
    totals = totals_of(items)
    counted = [item for item in items if item.points and item.state in ("approved", "reversed")]
    assert sum(total.count for total in totals) == len(counted)
    assert sum(total.points for total in totals) == sum(item.points for item in counted)
    assert [total.kind for total in totals] == sorted({item.kind for item in counted})


def test_the_longest_page_fits_a_frame() -> None:
    item = BatchItem(id=bytes([255] * 16), kind="reversal", points=10**12, state="approved")
    encode(
        BatchUpload(
            id=bytes([255] * 16), stan=999_999, batch=2**31 - 1, at=253_402_300_799_999, repeat=True,
            items=[item] * MAX_UPLOAD, after=bytes([255] * 16), last=True,
        )
    )  # fmt: skip


# With the server.


async def sell(terminal: Terminal) -> bytes:
    sold = await terminal.redeem(CARD, "wash", pin=PIN, quantity=1)
    assert sold.txid is not None
    return sold.txid


async def a_day(terminal: Terminal) -> None:
    """One of everything, with a reversal and a refusal."""
    sold, undone = await sell(terminal), await sell(terminal)
    await terminal.reverse(undone)
    await terminal.refund(sold, CARD, amount=10)
    await terminal.refund(sold, CARD, amount=1000)
    first = await terminal.hold(CARD, "tow")
    second = await terminal.hold(CARD, "tow")
    assert first.txid is not None
    assert second.txid is not None
    await terminal.capture(first.txid, 20)
    await terminal.release(second.txid)


WHOLE_DAY = (
    BatchTotal(kind="capture", count=1, points=20),
    BatchTotal(kind="hold", count=2, points=2 * HELD),
    BatchTotal(kind="redeem", count=2, points=2 * PRICE),
    BatchTotal(kind="refund", count=1, points=10),
    BatchTotal(kind="release", count=1, points=HELD),
    BatchTotal(kind="reversal", count=1, points=PRICE),
)


async def test_a_day_that_balances(autojump_clock: MockClock, peer: Peer, tmp_path: Path) -> None:
    store = PurchaseStore(tmp_path)
    async with open_terminal(create_terminal(peer, store)) as terminal:
        await a_day(terminal)
        day = await terminal.reconcile()
        assert day == DayEnd(1, balanced=True, own=WHOLE_DAY, server=WHOLE_DAY, results=())
        assert terminal.batch == 2
        await sell(terminal)
        assert peer.seen(Redeem)[-1].batch == 2
    store.close()
    assert peer.seen(BatchUpload) == []
    again = create_terminal(peer, tmp_path, run=1)
    async with open_terminal(again):
        assert again.batch == 2
        second = await again.reconcile()
    assert (second.batch, second.balanced) == (2, True)
    assert second.own == (BatchTotal(kind="redeem", count=1, points=PRICE),)


async def test_an_empty_day(autojump_clock: MockClock, peer: Peer) -> None:
    async with open_terminal(create_terminal(peer)) as terminal:
        assert await terminal.reconcile() == DayEnd(1, balanced=True, own=(), server=(), results=())


async def test_what_differs_is_named_page_by_page(autojump_clock: MockClock, peer: Peer) -> None:
    peer.books.results_at_most = MAX_UPLOAD
    async with open_terminal(create_terminal(peer)) as terminal:
        txids = [await sell(terminal) for _ in range(2 * MAX_UPLOAD + 5)]
        rows = peer.books.rows
        rows[txids[3]].points = 31
        del rows[txids[40]]
        foreign = [bytes([1] * 16), bytes([255] * 16)]
        rows.update({txid: Row("redeem", batch=1, points=7) for txid in foreign})
        day = await terminal.reconcile()
        assert terminal.batch == 2
    assert not day.balanced
    assert day.code == 1401
    assert [(one.id, one.outcome) for one in day.results] == [
        (foreign[0], "unknown_there"),
        (txids[3], "amount_differs"),
        (txids[40], "unknown_here"),
        (foreign[1], "unknown_there"),
    ]
    assert [total.count for total in (*day.own, *day.server)] == [2 * MAX_UPLOAD + 5, 2 * MAX_UPLOAD + 6]
    uploads = [request for request in peer.seen(BatchUpload) if isinstance(request, BatchUpload)]
    assert {request.batch for request in uploads} == {1}
    assert [request.last for request in uploads[:-1]] == [False] * (len(uploads) - 1)
    sent = [item.id for request in uploads for item in request.items]
    assert sorted(set(sent)) == sorted(txids)
    assert uploads[0].after is None
    # The first answer had room for 30 of 31 results, so the second page begins one lower.
    assert uploads[1].after == txids[MAX_UPLOAD - 2]


async def test_results_that_do_not_fit_are_asked_for(autojump_clock: MockClock, peer: Peer) -> None:
    """More transactions that only the server has than one answer holds, behind the terminal's last."""
    peer.books.results_at_most = 4
    async with open_terminal(create_terminal(peer)) as terminal:
        await sell(terminal)
        foreign = [bytes([200 + number] * 16) for number in range(11)]
        peer.books.rows.update({txid: Row("redeem", batch=1, points=7) for txid in foreign})
        day = await terminal.reconcile()
    assert [one.id for one in day.results] == foreign


async def test_a_comparison_that_does_not_get_on_ends(autojump_clock: MockClock, peer: Peer) -> None:
    peer.books.results_at_most = 1
    async with open_terminal(create_terminal(peer)) as terminal:
        first, second = await sell(terminal), await sell(terminal)
        peer.books.rows[second].points = 31
        answer = peer.books.answer
        peer.books.answer = lambda request: (  # type: ignore[method-assign]
            replace(answer(request), through=first) if isinstance(request, BatchUpload) else answer(request)
        )
        with pytest.raises(Unreachable, match="does not get on"):
            await terminal.reconcile()
