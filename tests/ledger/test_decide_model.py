"""The rules of posting against a naive model: what a person with a pencil would do."""

from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.postings import Outcome, Request, TransactionRow
from tests.ledger.paper import Paper, create_paper
from tests.ledger.pencil import GRACE, HIGH, LOW, Naive, PencilLot, Step
from tests.ledger.states import (
    TODAY,
    create_adjust,
    create_capture,
    create_expire,
    create_grant,
    create_hold,
    create_inquiry,
    create_redeem,
    create_refund,
    create_release,
    create_reversal,
    create_status,
)

# ---- what is asked ------------------------------------------------------------------------------

POINTS = st.one_of(st.integers(LOW, 120), st.integers(LOW, 40), st.integers(-1, HIGH + 10))
ABOUT = st.integers(0, 3)  # which of the fitting earlier ones: 0 is the last
ANY_ABOUT = st.integers(-2, 5)  # below 0: one that is still to come
LOTS = st.lists(
    st.tuples(
        st.integers(50, 2_000),
        st.sampled_from([None, TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=1)]),
    ),
    min_size=1,
    max_size=4,
)
IDEAS = st.lists(
    st.one_of(
        st.tuples(st.just("redeem"), POINTS),
        st.tuples(st.just("hold"), POINTS, st.sampled_from([60, 3_600])),
        st.tuples(st.just("capture"), ABOUT, POINTS),
        st.tuples(st.just("release"), ABOUT),
        st.tuples(st.just("refund"), ABOUT, st.one_of(st.none(), POINTS)),
        st.tuples(st.just("reverse"), ANY_ABOUT),
        st.tuples(st.just("status"), ANY_ABOUT, st.booleans()),
        st.tuples(st.just("again"), ABOUT, st.booleans()),
        st.tuples(st.just("inquire")),
        st.tuples(st.just("expire")),
        st.tuples(st.just("adjust"), POINTS),
        st.tuples(st.just("grant"), st.integers(1, 400), st.sampled_from([None, 0, 1, 5])),
        st.tuples(st.just("wait"), st.sampled_from([1, 59, 3_600])),
        st.tuples(st.just("sleep"), st.sampled_from([1, 1, GRACE + 1])),
    ),
    min_size=15,  # shorter ones are mostly about nothing
    max_size=40,
)


def numbered(ideas: list[Step]) -> list[Step]:
    """Steps from ideas: each gets a number of its own, and the number of what it is about."""
    steps: list[Step] = []
    holds: list[int] = [900]  # one that never was
    sales: list[int] = [900]
    for number, (what, *rest) in enumerate(ideas, 1):
        match what:
            case "wait" | "sleep":
                steps.append((what, *rest))
                continue
            case "again":
                earlier = [step for step in steps if step[0] in ("redeem", "hold", "capture", "refund")]
                if earlier:
                    step = earlier[-1 - rest[0] % len(earlier)]
                    steps.append((*step[:-1], 11) if rest[1] else step)
                continue
            case "capture" | "release":
                rest[0] = holds[-1 - rest[0] % len(holds)]
            case "refund":
                rest[0] = sales[-1 - rest[0] % len(sales)]
            case "reverse" | "status":
                rest[0] = max(number - 1 - rest[0], 1)
        if what == "hold":
            holds.append(number)
        if what in ("redeem", "capture"):
            sales.append(number)
        steps.append((what, number, *rest))
    return steps


STEPS = IDEAS.map(numbered)


def request_of(step: Step) -> Request:
    what, number, *rest = step
    match what:
        case "redeem":
            return create_redeem(number, service="cinema", amount=rest[0])
        case "hold":
            return create_hold(number, service="cinema", amount=rest[0], seconds=rest[1])
        case "capture":
            return create_capture(number, *rest)
        case "release":
            return create_release(number, *rest)
        case "refund":
            return create_refund(number, *rest)
        case "reverse":
            return create_reversal(number, *rest)
        case "status":
            return create_status(number, rest[0], fence=rest[1])
        case "expire":
            return replace(create_expire(number), terminal=5)  # one terminal, so that one diary is enough
        case "adjust":
            return replace(create_adjust(number, rest[0]), terminal=5)
        case "grant":
            return replace(create_grant(number, rest[0]), terminal=5, expires_on=rest[1])
    return create_inquiry(number)


def time_passes(paper: Paper, step: Step) -> bool:
    if step[0] == "wait":
        paper.wait(step[1])
    elif step[0] == "sleep":
        paper.next_day(step[1])
    return step[0] in ("wait", "sleep")


def dated(step: Step, today: date) -> Step:
    """A grant's days counted from today, as the request has them."""
    if step[0] == "grant" and step[3] is not None:
        return (*step[:3], today + timedelta(days=step[3]))
    return step


# ---- the two side by side -----------------------------------------------------------------------


@given(lots=LOTS, steps=STEPS)
def test_decide_agrees_with_a_naive_model(lots: list[tuple[int, date | None]], steps: list[Step]) -> None:
    """Codes, points, the balance, and each lot, after every step. `Paper.post` checks the entries."""
    naive = Naive([PencilLot(points, day) for points, day in lots])
    paper = create_paper(*lots)
    for step in steps:
        if time_passes(paper, step):
            naive.now, naive.today = paper.now, paper.today
            continue
        asked = dated(step, paper.today)
        outcome = paper.ask(request_of(asked))
        assert (outcome.code, outcome.points) == naive.do(asked), step
        assert paper.ask(create_inquiry(999)).balance == naive.balance
        found = [(lot.remaining, lot.held, lot.expires_on) for lot in paper.lots.values()]
        assert found == [(lot.points, lot.held, lot.last_day) for lot in naive.lots], step
        assert paper.account.posted == sum(lot.points for lot in naive.lots)
        assert paper.account.held == sum(lot.held for lot in naive.lots)


@given(lots=LOTS, steps=STEPS)
def test_a_batch_of_many_gives_the_rows_and_the_answers_of_as_many_batches_of_one(
    lots: list[tuple[int, date | None]], steps: list[Step]
) -> None:
    """Between two passings of time everything is one batch here, and there one by one."""
    at_once, one_by_one = create_paper(*lots, day_limit_points=600), create_paper(*lots, day_limit_points=600)
    batch: list[Request] = []
    for step in [*steps, ("wait", 0)]:
        if step[0] not in ("wait", "sleep"):
            batch.append(request_of(dated(step, at_once.today)))
            continue
        if batch:
            together = at_once.post(*batch)
            apart = [one_by_one.ask(request) for request in batch]
            assert [told(outcome) for outcome in together] == [told(outcome) for outcome in apart]
        assert contents(at_once) == contents(one_by_one)
        batch = []
        time_passes(at_once, step)
        time_passes(one_by_one, step)


def told(outcome: Outcome) -> Outcome:
    """An answer, without what became of its row later in the batch."""
    row = outcome.transaction
    if row is None:
        return outcome
    return replace(outcome, transaction=replace(row, reversed=False, refunded=0, ended=None))


def contents(paper: Paper) -> Any:
    return deepcopy(
        (
            sorted(paper.rows, key=lambda row: row.id),
            sorted(paper.entries, key=lambda entry: (entry.transaction_id, entry.lot_id)),
            paper.holds,
            paper.hold_lots,
            paper.lots,
            paper.account,
            {key: replace(card, spent_today=0) for key, card in paper.cards.items()},
        )
    )


@given(lots=LOTS, steps=STEPS)
def test_entries_alone_give_what_remains_and_open_holds_alone_what_is_held(
    lots: list[tuple[int, date | None]], steps: list[Step]
) -> None:
    paper = create_paper(*lots)
    brought = {lot.id: lot.remaining for lot in paper.lots.values()}
    for step in steps:
        if not time_passes(paper, step):
            paper.ask(request_of(dated(step, paper.today)))
    for entry in paper.entries:
        signed = entry.points if entry.to_side == "member" else -entry.points
        brought[entry.lot_id] = brought.get(entry.lot_id, 0) + signed
    assert brought == {lot.id: lot.remaining for lot in paper.lots.values()}
    ended = {row.ends for row in paper.rows}
    held = dict.fromkeys(paper.lots, 0)
    for part in paper.hold_lots:
        if part.transaction_id not in ended:
            held[part.lot_id] += part.points
    assert held == {lot.id: lot.held for lot in paper.lots.values()}
    sold = sum(e.points if e.to_side == "merchant" else -e.points for e in paper.entries if e.merchant_id)
    stands = sum(row.points for row in map(paper.known, paper.rows) if is_sale(row) and not row.reversed)
    given_back = sum(row.points for row in paper.rows if row.kind == "refund")
    assert sold == stands - given_back


def is_sale(row: TransactionRow) -> bool:
    return row.kind in ("redeem", "capture")
