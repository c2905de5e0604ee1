"""The rules of posting against a naive model: what a person with a pencil would do."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.decide import decide
from ledger.postings import (
    Code,
    Grant,
    Request,
)
from tests.ledger.states import TODAY, create_redeem, create_reversal, create_state, one, txid

# ---- against a naive model ----------------------------------------------------------------------


@dataclass
class Naive:
    """What a person with a pencil would do: a list of lots, a diary of answers."""

    lots: list[list[Any]]

    def __post_init__(self) -> None:
        self.diary: dict[int, tuple[object, int, int]] = {}
        self.gone: set[int] = set()
        self.taken: dict[int, list[tuple[int, int]]] = {}

    @property
    def balance(self) -> int:
        return sum(points for points, day in self.lots if day is None or day >= TODAY)

    def redeem(self, number: int, amount: int) -> tuple[int, int]:
        if number in self.gone and number not in self.diary:
            return Code.UNDONE_BEFORE, 0
        if number in self.diary:
            told, code, points = self.diary[number]
            return (code, points) if told == ("redeem", amount) else (Code.TXID_REUSED, 0)
        code, points = self._try(number, amount)
        self.diary[number] = (("redeem", amount), code, points)
        return code, points

    def _try(self, number: int, amount: int) -> tuple[int, int]:
        if not 10 <= amount <= 500:
            return Code.AMOUNT_INVALID, 0
        if self.balance < amount:
            everything = sum(points for points, _ in self.lots)
            return (Code.POINTS_EXPIRED if everything >= amount else Code.POINTS_INSUFFICIENT), 0
        order = sorted(range(len(self.lots)), key=lambda i: (self.lots[i][1] or date.max, i))
        left, taken = amount, []
        for place in order:
            points, day = self.lots[place]
            if day is None or day >= TODAY:
                part = min(points, left)
                self.lots[place][0] -= part
                left -= part
                taken.append((place, part))
        self.taken[number] = taken
        return Code.APPROVED, amount

    def reverse(self, original: int) -> int:
        known = self.diary.get(original)
        if known is None or known[1] != Code.APPROVED or original in self.gone:
            self.gone.add(original)
            return 0
        self.gone.add(original)
        for place, part in self.taken[original]:
            self.lots[place][0] += part
        return known[2]

    def grant(self, points: int) -> None:
        self.lots.append([points, None])


LOTS = st.lists(
    st.tuples(
        st.integers(1, 400),
        st.sampled_from([None, TODAY - timedelta(days=1), TODAY, TODAY + timedelta(days=5)]),
    ),
    max_size=4,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("redeem"), st.integers(1, 6), st.integers(5, 510)),
        st.tuples(st.just("reverse"), st.integers(1, 6), st.just(0)),
        st.tuples(st.just("grant"), st.just(0), st.integers(1, 400)),
    ),
    max_size=25,
)


@given(lots=LOTS, steps=STEPS)
def test_decide_agrees_with_a_naive_model(
    lots: list[tuple[int, date | None]], steps: list[tuple[str, int, int]]
) -> None:
    naive = Naive([list(lot) for lot in lots])
    state = create_state(*lots)
    for place, (what, number, points) in enumerate(steps):
        if what == "redeem":
            outcome = one(state, create_redeem(number, service="cinema", amount=points))
            assert (outcome.code, outcome.points) == naive.redeem(number, points)
        elif what == "reverse":
            outcome = one(state, create_reversal(1_000 + place, number))
            assert (outcome.code, outcome.points) == (Code.APPROVED, naive.reverse(number))
        else:
            naive.grant(points)
            one(
                state,
                Grant(slot=1, account=1, terminal=0, txid=txid(2_000 + place), funder=20, points=points),
            )
        assert [lot.remaining for lot in state.lots[1, 1]] == [lot[0] for lot in naive.lots]
        assert state.accounts[1, 1].posted == sum(lot[0] for lot in naive.lots)
        assert state.accounts[1, 1].held == 0


@given(lots=LOTS, steps=STEPS)
def test_every_point_that_moved_has_an_entry(
    lots: list[tuple[int, date | None]], steps: list[tuple[str, int, int]]
) -> None:
    """Entries alone, added up per lot, give what remains in it."""
    state = create_state(*lots)
    start = {lot.id: lot.remaining for lot in state.lots[1, 1]}
    requests: list[Request] = []
    for place, (what, number, points) in enumerate(steps):
        if what == "redeem":
            requests.append(create_redeem(number, service="cinema", amount=points))
        elif what == "reverse":
            requests.append(create_reversal(1_000 + place, number))
    _, writes = decide(state, requests)
    for entry in writes.entries:
        start[entry.lot_id] += entry.points if entry.to_side == "member" else -entry.points
    assert start == {lot.id: lot.remaining for lot in state.lots[1, 1]}
    assert len({row.key for row in writes.transactions}) == len(writes.transactions)
