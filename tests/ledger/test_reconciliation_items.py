"""A batch item by item: every difference has a name, pages fit together, the newest word is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.database import Database, Scope
from ledger.postings import Code, TerminalRequest
from ledger.reconciliation import Compared, Item, Result, compare, reconcile
from tests.conftest import TestDatabase
from tests.desk import Books, opened_books
from tests.factories import (
    NOW,
    TODAY,
    create_active_terminal,
    create_capture,
    create_hold,
    create_redeem,
    create_release,
    create_reversal,
    create_status,
    new_txid,
)

BATCH = 20
LATER = NOW + timedelta(minutes=1)


@dataclass
class DayEnd:
    """The books, a member who spends, and a terminal that compares a batch. Its closing is dated NOW.

    The tests spend at NOW, after it, so that what they do is not late.
    """

    books: Books
    server: Database

    def __post_init__(self) -> None:
        self.holder = self.books.holder(points=100_000)
        self.close()

    def redeem(self, **fields: Any) -> TerminalRequest:
        """A purchase of 120 points in the batch, posted."""
        request = replace(create_redeem(self.books.house, self.holder), **{"batch": BATCH, **fields})
        self.books.one(request)
        return request

    def post(self, request: TerminalRequest, **fields: Any) -> TerminalRequest:
        posted = replace(request, **{"batch": BATCH, **fields})
        self.books.one(posted)
        return posted

    def close(self) -> None:
        with self.server.transaction(Scope.everything()) as connection:
            reconcile(connection, self.books.house.terminal, BATCH, [], txid=new_txid(), now=NOW)

    def compare(self, *items: Item, after: UUID | None = None, last: bool = True, most: int = 30) -> Compared:
        with self.server.transaction(Scope.everything()) as connection:
            return compare(
                connection,
                self.books.house.terminal,
                BATCH,
                items,
                after=after,
                last=last,
                now=NOW,
                most=most,
            )

    def one(self, item: Item) -> Result:
        compared = self.compare(item)
        assert compared.through is None
        (result,) = compared.results
        assert result.txid == item.txid
        return result

    def outcomes(self, *items: Item) -> dict[UUID, str]:
        return {result.txid: result.outcome for result in self.compare(*items).results}

    def kept(self) -> dict[UUID, tuple[Any, ...]]:
        rows = self.books.ask(
            "SELECT txid, outcome, kind, terminal_state, terminal_points, server_code, server_points"
            " FROM batch_difference"
        )
        return {row[0]: row[1:] for row in rows}


@pytest.fixture
def day_end(database_urls: TestDatabase) -> Iterator[DayEnd]:
    server = Database(database_urls.server)
    with opened_books(database_urls) as books:
        yield DayEnd(books, server)
    server.close()


def item(
    request: TerminalRequest, state: str = "approved", *, kind: str = "redeem", points: int = 120
) -> Item:
    return Item(request.txid, kind, points, state)


# ---- outcomes -----------------------------------------------------------------------------------


def test_what_both_sides_have_agrees_and_leaves_no_note(day_end: DayEnd) -> None:
    redeem = day_end.redeem()
    assert day_end.one(item(redeem)) == Result(redeem.txid, "agrees", "redeem", 0, 120, TODAY)
    refused = day_end.redeem(pin_proof=None)
    for state in ("refused", "unknown", "reversed"):
        assert set(day_end.outcomes(item(redeem), item(refused, state)).values()) == {"agrees"}
    assert day_end.kept() == {}


@pytest.mark.parametrize("state", ["unknown", "refused"])
def test_an_approval_that_the_terminal_does_not_know_is_a_lost_reply(day_end: DayEnd, state: str) -> None:
    redeem = day_end.redeem()
    assert day_end.one(item(redeem, state)) == Result(redeem.txid, "reply_lost", "redeem", 0, 120, TODAY)
    assert day_end.kept() == {redeem.txid: ("reply_lost", "redeem", state, 120, 0, 120)}


@pytest.mark.parametrize("state", ["unknown", "refused"])
def test_what_neither_side_approved_agrees(day_end: DayEnd, state: str) -> None:
    refused = day_end.redeem(pin_proof=None)
    assert day_end.one(item(refused, state)) == Result(
        refused.txid, "agrees", "redeem", Code.PIN_REQUIRED, 0, TODAY
    )
    never = Item(UUID(bytes=b"\xff" * 16), "redeem", 120, state)
    assert day_end.compare(never, last=False).results[-1] == Result(never.txid, "agrees", "redeem")
    assert day_end.kept() == {}


@pytest.mark.parametrize("state", ["approved", "reversed"])
def test_what_we_never_saw_is_unknown_here(day_end: DayEnd, state: str) -> None:
    never = Item(new_txid(), "hold", 50, state)
    assert day_end.one(never) == Result(never.txid, "unknown_here", "hold")
    assert day_end.kept() == {never.txid: ("unknown_here", "hold", state, 50, None, None)}


def test_what_another_terminal_did_is_unknown_here(day_end: DayEnd) -> None:
    other = day_end.books.change(
        lambda connection: create_active_terminal(connection, day_end.books.house.store)
    )
    redeem = day_end.redeem(terminal=other)
    assert day_end.one(item(redeem)).outcome == "unknown_here"


def test_a_reversal_that_has_not_come_is_pending_until_it_comes(day_end: DayEnd) -> None:
    redeem = day_end.redeem()
    reversed_there = item(redeem, "reversed")
    assert day_end.one(reversed_there) == Result(redeem.txid, "reversal_pending", "redeem", 0, 120, TODAY)
    assert day_end.kept() == {redeem.txid: ("reversal_pending", "redeem", "reversed", 120, 0, 120)}
    reversal = day_end.post(create_reversal(redeem))
    outcomes = day_end.outcomes(reversed_there, item(reversal, kind="reversal"))
    assert outcomes == {redeem.txid: "agrees", reversal.txid: "agrees"}
    # The newest word counts.
    assert day_end.kept() == {redeem.txid: ("agrees", "redeem", "reversed", 120, 0, 120)}


def test_a_hold_that_was_reversed_agrees_however_it_ended_but_not_when_it_was_captured(
    day_end: DayEnd,
) -> None:
    holds = [day_end.post(create_hold(day_end.books.house, day_end.holder)) for _ in range(4)]
    still, reversed_, released, captured = holds
    others = [
        day_end.post(create_reversal(reversed_)),
        day_end.post(create_release(released)),  # type: ignore[arg-type]
        day_end.post(create_capture(captured, 100)),  # type: ignore[arg-type]
    ]
    outcomes = day_end.outcomes(
        *(item(hold, "reversed", kind="hold", points=300) for hold in holds),
        item(others[0], kind="reversal", points=300),
        item(others[1], kind="release", points=300),
        item(others[2], kind="capture", points=100),
    )
    assert outcomes == dict.fromkeys((each.txid for each in (*holds, *others)), "agrees") | {
        still.txid: "reversal_pending", captured.txid: "reversal_pending",
    }  # fmt: skip


def test_a_reversal_of_what_never_came_agrees(day_end: DayEnd) -> None:
    """Its tombstone is of no batch; the reversal that left it is."""
    never = create_redeem(day_end.books.house, day_end.holder)
    reversal = day_end.post(create_reversal(never))
    results = {
        result.txid: result
        for result in day_end.compare(
            item(never, "reversed"), item(reversal, kind="reversal", points=0)
        ).results
    }
    assert results[never.txid] == Result(never.txid, "agrees", "redeem", Code.UNDONE_BEFORE, 0, TODAY)
    assert results[reversal.txid].outcome == "agrees"
    assert day_end.kept() == {}
    # A terminal that thinks it was approved is told that nothing was.
    assert day_end.one(item(never)).outcome == "amount_differs"


def test_what_was_fenced_agrees_with_a_terminal_that_gave_up(day_end: DayEnd) -> None:
    never = create_redeem(day_end.books.house, day_end.holder)
    day_end.books.one(create_status(never, fence=True))
    assert day_end.one(item(never, "refused")).outcome == "agrees"


@pytest.mark.parametrize(("kind", "points"), [("redeem", 121), ("redeem", 0), ("hold", 120)])
def test_other_points_or_another_kind_differ(day_end: DayEnd, kind: str, points: int) -> None:
    redeem = day_end.redeem()
    assert day_end.one(item(redeem, kind=kind, points=points)) == Result(
        redeem.txid, "amount_differs", "redeem", 0, 120, TODAY
    )
    assert day_end.kept() == {redeem.txid: ("amount_differs", "redeem", "approved", points, 0, 120)}


def test_what_we_refused_and_the_terminal_approved_differs(day_end: DayEnd) -> None:
    refused = day_end.redeem(pin_proof=None)
    assert day_end.one(item(refused)) == Result(
        refused.txid, "amount_differs", "redeem", Code.PIN_REQUIRED, 0, TODAY
    )


def test_what_came_after_the_close_is_late_and_says_when_it_was_booked(day_end: DayEnd) -> None:
    early = day_end.redeem()
    tomorrow = TODAY + timedelta(days=1)
    day_end.books.open_day(tomorrow)
    late = replace(create_redeem(day_end.books.house, day_end.holder), batch=BATCH)
    day_end.books.one(late, now=LATER)
    results = {result.txid: result for result in day_end.compare(item(early), item(late)).results}
    assert results == {
        early.txid: Result(early.txid, "agrees", "redeem", 0, 120, TODAY),
        late.txid: Result(late.txid, "late", "redeem", 0, 120, tomorrow),
    }
    assert set(day_end.kept()) == {late.txid}
    # That it was late is the smaller of two differences.
    outcomes = day_end.outcomes(item(early), item(late, points=1))
    assert outcomes == {early.txid: "agrees", late.txid: "amount_differs"}


@pytest.mark.parametrize("batch", [BATCH - 14, BATCH - 1, BATCH + 1])
def test_what_was_booked_under_a_batch_near_by_is_late(day_end: DayEnd, batch: int) -> None:
    redeem = day_end.redeem(batch=batch)
    assert day_end.one(item(redeem)) == Result(redeem.txid, "late", "redeem", 0, 120, TODAY)


def test_what_was_booked_long_before_is_not_looked_for(day_end: DayEnd) -> None:
    redeem = day_end.redeem(batch=BATCH - 15)
    assert day_end.one(item(redeem)).outcome == "unknown_here"


def test_an_approval_that_is_not_listed_is_unknown_there(day_end: DayEnd) -> None:
    redeem = day_end.redeem()
    day_end.redeem(pin_proof=None)  # refused: nothing to know
    day_end.redeem(batch=BATCH + 1)
    day_end.post(create_reversal(create_redeem(day_end.books.house, day_end.holder)))  # it moved nothing
    assert day_end.compare() == Compared(
        [Result(redeem.txid, "unknown_there", "redeem", 0, 120, TODAY)], None
    )
    assert day_end.kept() == {redeem.txid: ("unknown_there", "redeem", None, None, 0, 120)}


def test_an_approval_counts_before_a_refusal_of_another_account_under_the_same_txid(
    day_end: DayEnd,
) -> None:
    other, txid = day_end.books.holder(), new_txid()
    redeem = day_end.redeem(txid=txid)
    day_end.post(create_redeem(day_end.books.house, other, pin=None, txid=txid))
    assert day_end.one(item(redeem)).outcome == "agrees"


# ---- pages --------------------------------------------------------------------------------------


def in_order(day_end: DayEnd, count: int) -> list[TerminalRequest]:
    """So many purchases in the batch, with ids that rise from 1."""
    return [day_end.redeem(txid=UUID(int=number)) for number in range(1, count + 1)]


def test_a_page_names_what_is_missing_in_its_range_only(day_end: DayEnd) -> None:
    redeems = in_order(day_end, 6)
    page = day_end.compare(item(redeems[1]), item(redeems[3]), after=redeems[0].txid, last=False)
    assert [(result.txid.int, result.outcome) for result in page.results] == [
        (2, "agrees"), (3, "unknown_there"), (4, "agrees"),
    ]  # fmt: skip
    rest = day_end.compare(after=redeems[3].txid)
    assert [(result.txid.int, result.outcome) for result in rest.results] == [
        (5, "unknown_there"), (6, "unknown_there"),
    ]  # fmt: skip


def test_a_full_page_says_how_far_it_went_and_notes_only_that(day_end: DayEnd) -> None:
    redeems = in_order(day_end, 5)
    page = day_end.compare(item(redeems[4], points=1), most=3)
    assert [result.txid.int for result in page.results] == [1, 2, 3]
    assert page.through == UUID(int=3)
    assert {txid.int for txid in day_end.kept()} == {1, 2, 3}
    page = day_end.compare(item(redeems[4], points=1), after=page.through, most=3)
    assert [(result.txid.int, result.outcome) for result in page.results] == [
        (4, "unknown_there"), (5, "amount_differs"),
    ]  # fmt: skip
    assert page.through is None


def test_a_page_that_is_just_full_is_not_cut(day_end: DayEnd) -> None:
    in_order(day_end, 3)
    page = day_end.compare(most=3)
    assert len(page.results) == 3
    assert page.through is None


def test_one_txid_in_several_accounts_cuts_a_page_short_and_loses_nothing(day_end: DayEnd) -> None:
    other = day_end.books.holder(points=100_000)
    for request in in_order(day_end, 4):
        day_end.post(create_redeem(day_end.books.house, other, txid=request.txid))
    page = day_end.compare(most=3)
    assert [result.txid.int for result in page.results] == [1, 2]
    assert page.through == UUID(int=2)
    found = _by_pages(day_end, [], 30, 3)
    assert [(result.txid.int, result.outcome) for result in found] == [
        (number, "unknown_there") for number in range(1, 5)
    ]


def test_a_batch_that_was_never_closed_is_compared_and_nothing_is_noted(day_end: DayEnd) -> None:
    redeem = day_end.redeem(batch=BATCH + 1)
    with day_end.server.transaction(Scope.everything()) as connection:
        compared = compare(
            connection,
            day_end.books.house.terminal,
            BATCH + 1,
            [item(redeem, "unknown"), Item(UUID(int=1), "redeem", 5, "approved")],
            after=None,
            last=True,
            now=NOW,
            most=30,
        )
    assert [result.outcome for result in compared.results] == ["unknown_here", "reply_lost"]
    assert day_end.kept() == {}


def test_items_in_no_order_twice_or_from_before_the_page_do_no_harm(day_end: DayEnd) -> None:
    """A cursor may be made up: what lies before it is left alone."""
    redeems = in_order(day_end, 4)
    listed = [item(redeems[number]) for number in (3, 0, 2, 2, 1)]
    page = day_end.compare(*listed, after=UUID(int=2), last=False)
    assert [(result.txid.int, result.outcome) for result in page.results] == [(3, "agrees"), (4, "agrees")]
    assert day_end.compare(*listed, after=UUID(bytes=b"\xff" * 16), last=False) == Compared([], None)
    assert day_end.compare(after=None, last=False) == Compared([], None)


@pytest.fixture(scope="module")
def shared_day_end(module_database_urls: TestDatabase) -> Iterator[DayEnd]:
    server = Database(module_database_urls.server)
    with opened_books(module_database_urls) as books:
        yield DayEnd(books, server)
    server.close()


NUMBERS = 12


@pytest.fixture(scope="module")
def even_numbers(shared_day_end: DayEnd) -> list[TerminalRequest]:
    return [shared_day_end.redeem(txid=UUID(int=number)) for number in range(2, NUMBERS, 2)]


@given(
    listed=st.sets(st.integers(1, NUMBERS)),
    page=st.integers(1, NUMBERS),
    most=st.integers(1, NUMBERS),
)
def test_pages_of_any_size_say_together_what_one_says(
    shared_day_end: DayEnd, even_numbers: list[TerminalRequest], listed: set[int], page: int, most: int
) -> None:
    items = [Item(UUID(int=number), "redeem", 120, "approved") for number in sorted(listed)]
    expected = {2 * number: "unknown_there" for number in range(1, len(even_numbers) + 1)}
    expected |= {number: "agrees" if number in expected else "unknown_here" for number in listed}
    found = _by_pages(shared_day_end, items, page, most)
    assert [(result.txid.int, result.outcome) for result in found] == sorted(expected.items())


def _by_pages(day_end: DayEnd, items: Sequence[Item], page: int, most: int) -> list[Result]:
    """As a terminal does it: the next page begins after `through`, or after the last item sent."""
    found: list[Result] = []
    after: UUID | None = None
    while True:
        rest = [each for each in items if after is None or each.txid > after]
        sent, last = rest[:page], len(rest) <= page
        compared = day_end.compare(*sent, after=after, last=last, most=most)
        found += compared.results
        if compared.through is None and last:
            return found
        after = compared.through if compared.through is not None else sent[-1].txid
