"""The books on paper: they keep what `decide` writes and read it again as ledger.statements would.

So rules that look back (a hold of yesterday, a sale that was refunded in part) are tested as they are
lived: from rows that were written, not from objects that a batch still has in its hands. One account.
"""

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import date, timedelta
from typing import Any

from msgspec.structs import replace

from ledger.decide import decide
from ledger.postings import (
    CardState,
    Code,
    EntryRow,
    HoldLotRow,
    HoldRow,
    HoldState,
    LotState,
    Outcome,
    Request,
    State,
    TransactionRow,
    Writes,
)
from tests.ledger.states import create_state

__all__ = ["Paper", "create_paper"]

KEY = (1, 1)  # slot, account
# Kinds whose points have entries.
MOVES = frozenset({"redeem", "capture", "refund", "grant", "adjustment", "expiry"})


def create_paper(*lots: tuple[int, date | None], account: str = "open", **card: Any) -> "Paper":
    """As `create_state`, which says what is there."""
    return Paper(create_state(*lots, account=account, **card))


class Paper:
    """Post with `ask` and `post`; let time go by with `wait` and `next_day`."""

    def __init__(self, start: State) -> None:
        self.now, self.today = start.now, start.business_date
        self.account = start.accounts[KEY]
        self.cards = dict(start.cards)
        self.lots = {lot.id: lot for lot in start.lots[KEY]}
        self.terminals, self.prices = dict(start.terminals), dict(start.prices)
        self.grace_days: int | None = None
        self.rows: list[TransactionRow] = []
        self.entries: list[EntryRow] = []
        self.holds: list[HoldRow] = []
        self.hold_lots: list[HoldLotRow] = []
        self.last_id = 1_000
        self._brought = {lot.id: lot.remaining for lot in self.lots.values()}

    # ---- time --------------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def next_day(self, days: int = 1) -> None:
        """Business dates pass; the clock stands still, so that holds do not lapse."""
        self.today += timedelta(days=days)

    # ---- asking ------------------------------------------------------------------------------

    def ask(self, request: Request) -> Outcome:
        (outcome,) = self.post(request)
        return outcome

    def done(self, request: Request) -> TransactionRow:
        """The row of a request that must be approved."""
        outcome = self.ask(request)
        assert outcome.code is Code.APPROVED, outcome
        assert outcome.transaction is not None
        return outcome.transaction

    def post(self, *requests: Request) -> list[Outcome]:
        """One batch. What it wrote is kept, and must be right."""
        state = self.read(ids=3 * len(requests))
        outcomes, writes = decide(state, requests)
        self._keep(writes)
        self.check()
        return deepcopy(outcomes)

    # ---- reading -----------------------------------------------------------------------------

    def read(self, ids: int = 3) -> State:
        """A state as ledger.books makes it from rows; what it holds is a copy."""
        first = self.last_id + 1
        transactions = {row.key: self.known(row) for row in self.rows}
        state = State(now=self.now, business_date=self.today)
        state.accounts[KEY] = replace(self.account)
        state.lots[KEY] = [replace(lot) for lot in self.lots.values()]
        state.transactions = transactions
        state.terminals, state.prices = dict(self.terminals), dict(self.prices)
        state.cards = {key: replace(card, spent_today=self.spent(card)) for key, card in self.cards.items()}
        if self.grace_days is not None:
            state.grace_days[KEY] = self.grace_days
        by_id = {row.id: row for row in transactions.values()}
        for hold in self.open_holds():
            due = hold.expires_at <= self.now
            state.holds.setdefault(KEY, {})[hold.transaction_id] = HoldState(
                transaction=by_id[hold.transaction_id],
                expires_at=hold.expires_at,
                lots=self.reserved(hold),
                lapse_id=first if due else None,
            )
            first += due
        for entry in self.entries:
            about = by_id[entry.transaction_id].refunds
            if about is None:
                state.entries.setdefault((*KEY, entry.transaction_id), []).append(entry)
            else:
                back = state.given_back.setdefault((*KEY, about), {})
                back[entry.lot_id] = back.get(entry.lot_id, 0) + entry.points
        state.transaction_ids = list(range(first + ids, first - 1, -1))
        state.lot_ids = list(range(max(self.lots, default=0) + ids, max(self.lots, default=0), -1))
        return state

    def known(self, row: TransactionRow) -> TransactionRow:
        """A row with what later rows made of it."""
        ended = [other.kind for other in self.rows if other.ends == row.id]
        assert len(ended) <= 1, "a hold ends once"
        return replace(
            row,
            reversed=any(
                other.reverses == row.id or (other.ends == row.id and other.kind == "reversal")
                for other in self.rows
            ),
            refunded=sum(other.points for other in self.rows if other.refunds == row.id),
            ended=ended[0] if ended else None,
            expires_at=next((h.expires_at for h in self.holds if h.transaction_id == row.id), None),
            held_on=next((other.business_date for other in self.rows if other.id == row.ends), None),
        )

    def row(self, kind: str) -> TransactionRow:
        """The newest row of a kind, as written."""
        return next(row for row in reversed(self.rows) if row.kind == kind)

    def open_holds(self) -> list[HoldRow]:
        ended = {row.ends for row in self.rows}
        return [hold for hold in self.holds if hold.transaction_id not in ended]

    def reserved(self, hold: HoldRow) -> dict[int, int]:
        """What a hold bears, by lot."""
        return {
            part.lot_id: part.points for part in self.hold_lots if part.transaction_id == hold.transaction_id
        }

    def spent(self, card: CardState) -> int:
        """What ledger.statements.SPENT_TODAY adds up; it is not asked without a limit for the day."""
        if card.day_limit_points is None:
            return 0
        undone = {row.reverses for row in self.rows}
        ends = {row.ends: row for row in self.rows if row.ends is not None}
        spent = 0
        for row in self.rows:
            if (row.card_id, row.business_date, row.code) != (card.id, self.today, 0):
                continue
            counts: TransactionRow | None = row if row.kind in ("redeem", "hold") else None
            if row.kind == "hold" and row.id in ends:
                counts = ends[row.id] if ends[row.id].kind == "capture" else None
            if counts is not None and counts.id not in undone:
                spent += counts.points
        return spent

    # ---- what there is, in short -------------------------------------------------------------

    @property
    def card(self) -> CardState:
        return self.cards[KEY]

    def remaining(self) -> list[int]:
        return [lot.remaining for lot in self.lots.values()]

    def held(self) -> list[int]:
        return [lot.held for lot in self.lots.values()]

    def entries_of(self, row: TransactionRow) -> list[tuple[int, str, str, int]]:
        """(lot, from, to, points) of each entry of a row, by lot."""
        return sorted(
            (entry.lot_id, entry.from_side, entry.to_side, entry.points)
            for entry in self.entries
            if entry.transaction_id == row.id
        )

    # ---- writing -----------------------------------------------------------------------------

    def _keep(self, writes: Writes) -> None:
        for row in writes.transactions:
            # What later rows make of a row has no column: it is read from those.
            self.rows.append(replace(row, reversed=False, refunded=0, ended=None, expires_at=None))
            self.last_id = max(self.last_id, row.id)
        self.entries += writes.entries
        self.holds += writes.holds
        self.hold_lots += writes.hold_lots
        for lot in (*writes.new_lots, *writes.lots.values()):
            self.lots[lot.id] = replace(lot)
        for account in writes.accounts.values():
            self.account = replace(account)
        for key, card in writes.cards.items():
            self.cards[key] = replace(card)

    def check(self) -> None:
        """What the tables' constraints and ledger.audit ask, as far as one account goes."""
        _unique(self.rows, lambda row: row.key)
        _unique(self.rows, lambda row: row.id)
        _unique([row for row in self.rows if row.ends is not None], lambda row: row.ends)
        _unique([row for row in self.rows if row.reverses is not None], lambda row: row.reverses)
        _unique(self.entries, lambda entry: (entry.transaction_id, entry.lot_id))
        moved: Counter[int] = Counter()
        by_lot = Counter(self._brought)
        for entry in self.entries:
            moved[entry.transaction_id] += entry.points
            by_lot[entry.lot_id] += entry.points if entry.to_side == "member" else -entry.points
            assert entry.points > 0
        held: Counter[int] = Counter()
        for hold in self.open_holds():
            held.update(self.reserved(hold))
        for lot in self.lots.values():
            assert 0 <= lot.held <= lot.remaining <= lot.granted
            assert (lot.remaining, lot.held) == (by_lot[lot.id], held[lot.id])
        assert self.account.posted == sum(lot.remaining for lot in self.lots.values())
        assert self.account.held == sum(held.values()) == sum(hold.points for hold in self.open_holds())
        for row in self.rows:
            assert row.points >= 0
            assert row.code == Code.APPROVED or row.points == 0
            moves = row.kind in MOVES or row.reverses is not None
            assert moved[row.id] == (row.points if moves else 0)

    def lot(self, number: int) -> LotState:
        return self.lots[number]


def _unique(rows: list[Any], key: Callable[[Any], object]) -> None:
    assert len({key(row) for row in rows}) == len(rows)
