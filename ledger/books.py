"""The only writer of accounts, lots, transactions, entries and holds.

A batch is described as two stages of statements; a driver runs each in one round trip and sends the
rows back (synchronously in ledger.database, on libpq under trio in txserver.pipeline). Every
statement takes arrays, so their number does not depend on the size of the batch. Locks come first,
in the order of their keys; what is read, is read by later statements, so under READ COMMITTED it is
as new as the locks.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import Connection

from ledger.database import Rows, Stage, Statement, run_stages
from ledger.decide import decide
from ledger.postings import (
    AccountKey,
    AccountState,
    Capture,
    CardState,
    EntryRow,
    Grant,
    HoldState,
    Inquiry,
    Key,
    LotState,
    Outcome,
    PinChange,
    PriceState,
    Refund,
    Release,
    Request,
    Reversal,
    Spend,
    State,
    Status,
    TerminalState,
    TransactionRow,
    Writes,
)
from ledger.statements import (
    CARD_COLUMNS,
    ENTRY_COLUMNS,
    INSERT_ENTRIES,
    INSERT_HOLD_LOTS,
    INSERT_HOLDS,
    INSERT_LOTS,
    INSERT_MISUSES,
    INSERT_TRANSACTIONS,
    KEEP_DAY,
    LOCK_ACCOUNTS,
    LOCK_TERMINALS,
    READ_CARDS,
    READ_DAY,
    READ_ENTRIES,
    READ_GRACE,
    READ_HOLDS,
    READ_LOTS,
    READ_TERMINALS,
    READ_TRANSACTIONS,
    TRANSACTION_COLUMNS,
    UPDATE_ACCOUNTS,
    UPDATE_CARDS,
    UPDATE_LOTS,
)

__all__ = ["NoOpenDay", "post", "stages"]

Call = tuple[Statement, tuple[Any, ...]]


class NoOpenDay(Exception):
    """No business day is open, so nothing can be booked. A fault of operation, not of a request."""


def post(connection: Connection, requests: Sequence[Request], now: datetime | None) -> list[Outcome]:
    """Post a batch inside `connection`'s transaction; one outcome per request, in order.

    `now` None is the database's clock: one clock for all processes, so that none ends a hold too soon.
    The rows are there for others, and the outcomes true, when that transaction has committed.
    """
    outcomes: list[Outcome] = run_stages(connection, stages(requests, now))
    return outcomes


def stages(requests: Sequence[Request], now: datetime | None) -> Generator[Stage, list[Rows], list[Outcome]]:
    """The batch as stages for a driver: yields what to run, is sent the rows, returns the outcomes."""
    calls = _reads(requests, now)
    rows = yield Stage(calls)
    found = {call[0].name: rows for call, rows in zip(calls, rows, strict=True)}
    outcomes, writes = decide(_state(now, found), requests)
    yield Stage(_writes(writes), final=True)
    return outcomes


# ---- what a batch reads -------------------------------------------------------------------------


class _Asked:
    """What a batch must know to decide about its requests: keys, each once."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self.accounts: set[AccountKey] = set()
        self.cards: set[tuple[int, int, int]] = set()
        self.terminals: set[tuple[int, str | None]] = set()  # and the code of a service that it sells
        self.transactions: set[Key] = set()
        self.sales: set[Key] = set()  # of these the entries too, to give back lot by lot
        self.rows = 0  # the most that may be written, besides the ends of holds due
        self.lots = 0
        for request in requests:
            self.accounts.add((request.slot, request.account))
            if isinstance(request, Spend):
                self._spend(request)
            else:
                self._other(request)

    def _spend(self, request: Spend) -> None:
        self.cards.add((request.slot, request.account, request.card))
        self.terminals.add((request.terminal, request.service))
        self.transactions.add(request.key)
        self.rows += 1

    def _other(self, request: Request) -> None:
        self.terminals.add((request.terminal, None))
        if isinstance(request, Inquiry | PinChange):
            self.cards.add((request.slot, request.account, request.card))
        original = _original(request)
        if original is not None:
            self.transactions.add(original)
        if not isinstance(request, Status | Inquiry):
            self.transactions.add(request.key)
        match request:
            case Reversal() | Refund():
                assert original is not None
                self.sales.add(original)
                self.rows += 2  # itself, and a tombstone or what expires before points come back
            case Status():
                self.rows += request.fence
            case Inquiry():
                pass
            case Grant():
                self.rows += 1
                self.lots += 1
            case _:
                self.rows += 1


def _original(request: Request) -> Key | None:
    """The key of the earlier transaction that a request is about, if it is about one."""
    terminal = request.terminal
    match request:
        case Reversal() | Status():
            txid = request.original
        case Refund():
            txid, terminal = request.original, request.seller
        case Capture() | Release():
            txid = request.hold
        case _:
            return None
    return (request.slot, request.account, terminal, txid)


def _reads(requests: Sequence[Request], now: datetime | None) -> list[Call]:
    """Locks, then everything that the decision needs; nothing is asked about kinds that are not there."""
    asked = _Asked(requests)
    accounts = _columns(sorted(asked.accounts))
    calls: list[Call] = [
        (KEEP_DAY, ()),
        (LOCK_TERMINALS, (sorted({terminal for terminal, _ in asked.terminals}),)),
        (LOCK_ACCOUNTS, accounts),
        (READ_TERMINALS, _columns(asked.terminals)),
        (READ_LOTS, accounts),
        (READ_HOLDS, (*accounts, now)),
    ]
    if asked.cards:
        calls.append((READ_CARDS, _columns(asked.cards)))
    if asked.transactions:
        calls.append((READ_TRANSACTIONS, _columns(asked.transactions)))
    if asked.sales:
        calls.append((READ_ENTRIES, _columns(asked.sales)))
        calls.append((READ_GRACE, accounts))
    calls.append((READ_DAY, (asked.rows, asked.lots)))
    return calls


def _columns(rows: Iterable[Sequence[Any]], width: int | None = None) -> tuple[list[Any] | None, ...]:
    """Rows, at least one, turned into a list per column, as array parameters want them; the first `width`.

    None for a column without a value: as an array of NULLs, but nothing of it is sent or read.
    """
    return tuple(
        None if column[0] is None and column.count(None) == len(column) else list(column)
        for column in islice(zip(*rows, strict=True), width)
    )


# ---- what it knows ------------------------------------------------------------------------------


def _state(now: datetime | None, found: dict[str, Rows]) -> State:
    def rows(statement: Statement) -> Rows:
        return found.get(statement.name, [])

    ((date, clock, transaction_ids, lot_ids),) = rows(READ_DAY)
    if date is None:
        raise NoOpenDay("no business day is open")
    # decide takes from the end; reversed, so that ids rise with the order of the requests.
    state = State(
        now=clock if now is None else now,
        business_date=date,
        transaction_ids=transaction_ids[::-1],
        lot_ids=lot_ids[::-1],
    )
    for row in rows(LOCK_ACCOUNTS):
        account = AccountState(*row)
        state.accounts[account.slot, account.id] = account
    for row in rows(READ_CARDS):
        card = CardState(*row)
        state.cards[card.slot, card.id] = card
    for row in rows(READ_TRANSACTIONS):
        transaction = TransactionRow(**dict(zip(_TRANSACTION, row, strict=True)))
        state.transactions[transaction.key] = transaction
    for row in rows(READ_TERMINALS):
        terminal = TerminalState(*row[:_TERMINAL])
        state.terminals[terminal.id] = terminal
        if row[_TERMINAL] is not None:
            price = PriceState(*row[_TERMINAL:])
            state.prices[terminal.id, price.service] = price
    for slot, number, days in rows(READ_GRACE):
        state.grace_days[slot, number] = days
    _add_lots(state, rows(READ_LOTS), rows(READ_ENTRIES))
    _add_holds(state, rows(READ_HOLDS))
    return state


_TERMINAL = 5  # columns of a terminal; those of a price follow
_TRANSACTION = (*TRANSACTION_COLUMNS, "reversed", "refunded", "ended", "expires_at", "held_on")


def _add_lots(state: State, open_lots: Rows, entries: Rows) -> None:
    """Lots with points in them, and those, perhaps empty by now, that points may come back to."""
    known: set[int] = set()
    width = len(ENTRY_COLUMNS) + 1
    for row in (*open_lots, *(row[width:] for row in entries)):
        lot = LotState(*row)
        if lot.id not in known:
            known.add(lot.id)
            state.lots.setdefault((lot.slot, lot.account_id), []).append(lot)
    for sale, *values in (row[:width] for row in entries):
        entry = EntryRow(**dict(zip(ENTRY_COLUMNS, values, strict=True)))
        if entry.transaction_id == sale:
            state.entries.setdefault((entry.slot, entry.account_id, sale), []).append(entry)
        else:
            returned = state.given_back.setdefault((entry.slot, entry.account_id, sale), {})
            returned[entry.lot_id] = returned.get(entry.lot_id, 0) + entry.points


def _add_holds(state: State, rows: Rows) -> None:
    """Open holds: one row per lot of each."""
    width = len(TRANSACTION_COLUMNS)
    for row in rows:
        values = dict(zip(TRANSACTION_COLUMNS, row[:width], strict=True))
        expires_at, lot, points, lapse_id = row[width:]
        holds = state.holds.setdefault((values["slot"], values["account_id"]), {})
        hold = holds.get(values["id"])
        if hold is None:
            transaction = TransactionRow(**values, expires_at=expires_at)
            # Whoever asks about the hold by its key and whoever ends it must see one and the same row.
            transaction = state.transactions.setdefault(transaction.key, transaction)
            hold = holds[transaction.id] = HoldState(transaction, expires_at, {}, lapse_id)
        hold.lots[lot] = points


# ---- what it writes -----------------------------------------------------------------------------


def _writes(writes: Writes) -> list[Call]:
    """One statement per table that changes; the order is the one that foreign keys ask for."""
    calls: list[Call] = []

    def insert(statement: Statement, rows: Collection[Struct]) -> None:
        if rows:  # their fields begin with the columns
            calls.append((statement, _columns(map(astuple, rows), len(statement.types))))

    def update(
        statement: Statement, rows: Collection[Struct], values: Callable[[Any], tuple[Any, ...]]
    ) -> None:
        if rows:
            calls.append((statement, _columns(map(values, rows))))

    insert(INSERT_HOLDS, writes.holds)
    insert(INSERT_TRANSACTIONS, writes.transactions)
    insert(INSERT_LOTS, writes.new_lots)
    update(UPDATE_LOTS, writes.lots.values(), _LOT)
    update(UPDATE_ACCOUNTS, writes.accounts.values(), _ACCOUNT)
    update(UPDATE_CARDS, writes.cards.values(), _CARD)
    insert(INSERT_ENTRIES, writes.entries)
    insert(INSERT_HOLD_LOTS, writes.hold_lots)
    insert(INSERT_MISUSES, writes.misuses)
    return calls


_LOT = attrgetter("slot", "account_id", "id", "remaining", "held", "expires_on")
_ACCOUNT = attrgetter("slot", "id", "posted", "held")
_CARD = attrgetter(*CARD_COLUMNS)
