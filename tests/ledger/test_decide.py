"""The rules of posting against a naive model, and the order of refusals as one table. No database."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.decide import decide
from ledger.postings import (
    MAX_POINTS,
    AccountState,
    CardState,
    Code,
    Grant,
    Inquiry,
    LotState,
    Outcome,
    PriceState,
    Redeem,
    Request,
    Reversal,
    State,
    Status,
    TerminalState,
    meaning_of,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
RIGHT = bytes([7] * 32)
WRONG = bytes([8] * 32)
POS = 5


def txid(number: int) -> UUID:
    return UUID(int=number)


def create_state(*lots: tuple[int, date | None], account: str = "open", **card: Any) -> State:
    """One account (slot 1, id 1), one card (id 1), one terminal (5), a fixed and an open price."""
    state = State(now=NOW, business_date=TODAY)
    posted = sum(points for points, _ in lots)
    state.accounts[1, 1] = AccountState(slot=1, id=1, enterprise_id=20, posted=posted, held=0, status=account)
    state.cards[1, 1] = replace(
        CardState(
            slot=1,
            id=1,
            account_id=1,
            number="8600100000000018",
            issue=2,
            status="active",
            expires_on=None,
            pin_verifier=RIGHT,
            pin_tries=0,
            limit_points=None,
        ),
        **card,
    )
    state.lots[1, 1] = [
        LotState(
            slot=1,
            id=number,
            account_id=1,
            enterprise_id=20,
            funder_id=20,
            kind="granted",
            granted=points,
            remaining=points,
            held=0,
            expires_on=expires_on,
            priority=0,
        )
        for number, (points, expires_on) in enumerate(lots, 1)
    ]
    state.terminals[POS] = TerminalState(id=POS, status="active", merchant_id=30, store_id=31, open=True)
    for code, points, is_open in (("wash", 120, False), ("cinema", 1, True)):
        state.prices[POS, code] = PriceState(
            id=points,
            merchant_id=30,
            service_id=points,
            service=code,
            points=points,
            settlement_minor=7,
            currency="CNY",
            open=is_open,
            min_points=10 if is_open else None,
            max_points=500 if is_open else None,
        )
    state.transaction_ids = list(range(10_000, 0, -1))
    state.lot_ids = list(range(10_000, 100, -1))
    return state


def create_redeem(number: int = 1, **fields: Any) -> Redeem:
    given: dict[str, Any] = {"service": "wash", "pin_proof": RIGHT, "issue": 2, "card": 1} | fields
    return Redeem(slot=1, account=1, terminal=POS, txid=txid(number), **given)


def create_reversal(number: int, original: int) -> Reversal:
    return Reversal(
        slot=1, account=1, terminal=POS, txid=txid(number), original=txid(original), reason="timeout"
    )


def create_status(number: int, original: int, *, fence: bool) -> Status:
    return Status(slot=1, account=1, terminal=POS, txid=txid(number), original=txid(original), fence=fence)


def one(state: State, request: Request) -> Outcome:
    (outcome,), _ = decide(state, [request])
    return outcome


# ---- the order of refusals ----------------------------------------------------------------------

# What makes each refusal true, in the order in which they are answered. Every later reason may hold as well.
REASONS: list[tuple[Code, dict[str, Any]]] = [
    (Code.TERMINAL_NOT_PERMITTED, {"terminal": {"status": "revoked"}}),
    (Code.MERCHANT_CLOSED, {"terminal": {"open": False}}),
    (Code.CARD_UNKNOWN, {"request": {"card": 9}}),
    (Code.CARD_LOST, {"card": {"status": "lost"}}),
    (Code.CARD_REPLACED, {"request": {"issue": 1}}),
    (Code.CARD_BLOCKED, {"card": {"status": "suspended"}}),
    (Code.CARD_EXPIRED, {"card": {"expires_on": TODAY - timedelta(days=1)}}),
    (Code.ACCOUNT_CLOSED, {"account": {"status": "closed"}}),
    (Code.PIN_BLOCKED, {"card": {"pin_tries": 3}}),
    (Code.PIN_REQUIRED, {"request": {"pin_proof": None}}),
    (Code.PIN_WRONG, {"request": {"pin_proof": WRONG}}),
    (Code.SERVICE_UNKNOWN, {"request": {"service": "flight"}}),
    (Code.AMOUNT_INVALID, {"request": {"quantity": 0}}),
    (Code.LIMIT_EXCEEDED, {"card": {"limit_points": 100}}),
    (Code.POINTS_EXPIRED, {"lots": [(100, None), (100, TODAY - timedelta(days=1))]}),
    (Code.POINTS_INSUFFICIENT, {"lots": [(100, None)]}),
]


def refused(*reasons: dict[str, Any]) -> tuple[State, Outcome]:
    """What happens when all of `reasons` hold; where two set the same thing, the first wins."""
    parts: dict[str, Any] = {}
    for reason in reversed(reasons):
        for what, value in reason.items():
            parts[what] = value if isinstance(value, list) else {**parts.get(what, {}), **value}
    state = create_state(*parts.get("lots", [(1_000, None)]), **parts.get("card", {}))
    state.accounts[1, 1] = replace(state.accounts[1, 1], **parts.get("account", {}))
    state.terminals[POS] = replace(state.terminals[POS], **parts.get("terminal", {}))
    return state, one(state, create_redeem(**parts.get("request", {})))


@pytest.mark.parametrize(("code", "reason"), REASONS, ids=[code.name for code, _ in REASONS])
def test_each_reason_refuses_is_recorded_and_moves_nothing(code: Code, reason: dict[str, Any]) -> None:
    state, outcome = refused(reason)
    assert outcome.code is code
    assert outcome.transaction is not None
    assert (outcome.transaction.code, outcome.points) == (code, 0)
    assert state.accounts[1, 1].posted == sum(lot.granted for lot in state.lots[1, 1])
    again = one(state, create_redeem(**reason.get("request", {})))
    assert (again.code, again.recorded) == (code, True)


@pytest.mark.parametrize("place", range(len(REASONS)), ids=[code.name for code, _ in REASONS])
def test_the_first_reason_in_the_table_is_the_answer(place: int) -> None:
    code, reason = REASONS[place]
    for _, later in REASONS[place + 1 :]:
        assert refused(reason, later)[1].code is code


def test_the_table_has_every_refusal_of_a_redemption_in_the_declared_order() -> None:
    others = (Code.APPROVED, Code.TXID_REUSED, Code.UNDONE_BEFORE, Code.NOT_FOUND)
    assert [code for code, _ in REASONS] == [code for code in Code if code not in others]


@pytest.mark.parametrize(
    "fields",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 10_000},
        {"quantity": 2**64 - 1},
        {"amount": 50},
        {"service": "cinema"},
        {"service": "cinema", "amount": 9},
        {"service": "cinema", "amount": 501},
        {"service": "cinema", "amount": -10},
        {"service": "cinema", "amount": 2**64 - 1},
        {"service": "cinema", "amount": 50, "quantity": 1},
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    outcome = one(create_state((MAX_POINTS, None)), create_redeem(**fields))
    assert outcome.code is Code.AMOUNT_INVALID


# ---- PIN ----------------------------------------------------------------------------------------


def test_three_wrong_pins_block_the_pin_and_a_repeat_burns_no_try() -> None:
    state = create_state((1_000, None))
    for number in (1, 2, 3):
        for _ in range(2):
            assert one(state, create_redeem(number, pin_proof=WRONG)).code is Code.PIN_WRONG
        assert state.cards[1, 1].pin_tries == number
    assert one(state, create_redeem(4)).code is Code.PIN_BLOCKED


def test_a_wrong_pin_counts_even_when_something_else_is_refused() -> None:
    state = create_state((1_000, None), status="suspended")
    assert one(state, create_redeem(pin_proof=WRONG)).code is Code.CARD_BLOCKED
    assert state.cards[1, 1].pin_tries == 1


def test_the_right_pin_forgets_the_wrong_ones() -> None:
    state = create_state((1_000, None), pin_tries=2)
    assert one(state, create_redeem()).code is Code.APPROVED
    assert state.cards[1, 1].pin_tries == 0


def test_an_inquiry_needs_no_pin_but_counts_a_wrong_one() -> None:
    state = create_state((1_000, TODAY), (500, None))
    ask = Inquiry(slot=1, account=1, terminal=POS, txid=txid(1), card=1, issue=2)
    outcome = one(state, ask)
    assert (outcome.balance, outcome.held, outcome.expiring) == (1_500, 0, ((1_000, TODAY),))
    assert one(state, replace(ask, pin_proof=WRONG)).code is Code.PIN_WRONG
    assert one(state, replace(ask, pin_needed=True)).code is Code.PIN_REQUIRED
    assert state.cards[1, 1].pin_tries == 1


# ---- repeats, reversals, status -----------------------------------------------------------------


def test_the_same_txid_with_another_meaning_is_an_error_and_is_noted() -> None:
    state = create_state((1_000, None))
    assert one(state, create_redeem(1)).code is Code.APPROVED
    (outcome,), writes = decide(state, [create_redeem(1, quantity=2)])
    assert (outcome.code, outcome.recorded) == (Code.TXID_REUSED, False)
    assert [misuse.txid for misuse in writes.misuses] == [txid(1)]
    assert writes.transactions == []
    assert state.accounts[1, 1].posted == 880


def test_a_reversal_gives_back_once_whatever_comes_again() -> None:
    state = create_state((100, TODAY), (900, None))
    assert one(state, create_redeem(1)).balance == 880
    first = one(state, create_reversal(2, 1))
    assert (first.detail, first.points, first.balance) == ("reversed", 120, 1_000)
    assert [lot.remaining for lot in state.lots[1, 1]] == [100, 900]
    assert one(state, create_reversal(3, 1)).detail == "already_reversed"
    assert one(state, create_reversal(2, 1)).recorded
    assert one(state, create_redeem(1)).recorded
    assert state.accounts[1, 1].posted == 1_000


def test_a_reversal_before_its_original_declines_the_original_for_ever() -> None:
    state = create_state((1_000, None))
    assert one(state, create_reversal(2, 1)).detail == "never_seen"
    late = one(state, create_redeem(1))
    assert (late.code, late.points) == (Code.UNDONE_BEFORE, 0)
    assert one(state, create_redeem(1, quantity=3)).code is Code.UNDONE_BEFORE
    assert one(state, create_reversal(3, 1)).detail == "never_seen"
    assert state.accounts[1, 1].posted == 1_000


def test_status_tells_what_happened_and_a_fence_lets_nothing_happen_later() -> None:
    state = create_state((1_000, None))
    assert one(state, create_status(9, 1, fence=False)).code is Code.NOT_FOUND
    assert one(state, create_redeem(1)).code is Code.APPROVED
    known = one(state, create_status(9, 1, fence=True))
    assert known.transaction is not None
    assert (known.code, known.points, known.reversed) == (Code.APPROVED, 120, False)
    assert one(state, create_status(9, 2, fence=True)).code is Code.NOT_FOUND
    assert one(state, create_redeem(2)).code is Code.UNDONE_BEFORE


def test_reversing_a_refusal_moves_nothing() -> None:
    state = create_state((10, None))
    assert one(state, create_redeem(1)).code is Code.POINTS_INSUFFICIENT
    assert one(state, create_reversal(2, 1)).detail == "refused_before"
    assert state.accounts[1, 1].posted == 10


def test_an_account_that_is_not_here_is_an_unknown_card() -> None:
    assert one(create_state(), replace(create_redeem(), account=2)).code is Code.CARD_UNKNOWN


def test_lots_are_used_by_priority_then_expiry_then_age() -> None:
    soon, later = TODAY + timedelta(days=1), TODAY + timedelta(days=9)
    state = create_state((100, None), (100, later), (100, soon), (100, TODAY - timedelta(days=1)), (50, None))
    state.lots[1, 1][4].priority = -1
    one(state, create_redeem(1, service="cinema", amount=290))
    assert [lot.remaining for lot in state.lots[1, 1]] == [60, 0, 0, 100, 0]


# ---- the meaning of a request -------------------------------------------------------------------


def test_meaning_leaves_out_pin_clock_and_trace_and_nothing_else() -> None:
    redeem = create_redeem()
    same = replace(redeem, pin_proof=None, terminal_at=NOW, stan=5, batch=6)
    assert meaning_of(redeem) == meaning_of(same)
    changes: list[dict[str, Any]] = [
        {"slot": 2}, {"account": 2}, {"terminal": 6}, {"card": 2}, {"issue": 3}, {"service": "x"},
        {"quantity": 1}, {"amount": 1}, {"reference": "r"}, {"txid": txid(2)},
    ]  # fmt: skip
    meanings = {meaning_of(replace(redeem, **change)) for change in changes}
    assert len(meanings | {meaning_of(redeem)}) == len(changes) + 1


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
