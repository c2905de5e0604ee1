"""The only writer of accounts, lots, transactions, entries and holds.

A batch is described as two stages of statements; a driver runs each in one round trip and sends the
rows back (synchronously in ledger.database, on libpq under trio in txserver.pipeline). Every
statement takes arrays, so their number does not depend on the size of the batch. Locks come first,
in the order of their keys; what is read, is read by later statements, so under READ COMMITTED it is
as new as the locks.
"""

from collections.abc import Generator, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ledger.database import Rows, Stage, Statement, run_stages
from ledger.decide import decide
from ledger.postings import (
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
    HOLD_COLUMNS,
    HOLD_LOT_COLUMNS,
    INSERT_ENTRIES,
    INSERT_HOLD_LOTS,
    INSERT_HOLDS,
    INSERT_LOTS,
    INSERT_MISUSES,
    INSERT_TRANSACTIONS,
    LOCK_ACCOUNTS,
    LOCK_DAY,
    LOCK_TERMINALS,
    LOT_COLUMNS,
    MISUSE_COLUMNS,
    READ_CARDS,
    READ_CLOCK,
    READ_ENTRIES,
    READ_GRACE,
    READ_HOLDS,
    READ_LOTS,
    READ_PRICES,
    READ_TERMINALS,
    READ_TRANSACTIONS,
    TAKE_IDS,
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
    state = _state(found[READ_CLOCK.name][0][0] if now is None else now, found)
    outcomes, writes = decide(state, requests)
    yield Stage(_writes(writes), final=True)
    return outcomes


# ---- what a batch reads -------------------------------------------------------------------------


def _reads(requests: Sequence[Request], now: datetime | None) -> list[Call]:
    """Locks, then everything that the decision needs; nothing is asked about kinds that are not there."""
    accounts = _columns(sorted({(r.slot, r.account) for r in requests}))
    terminals = sorted({r.terminal for r in requests})
    # Of what these kinds are about, the entries are needed too, to give back lot by lot.
    returned = {_original(r) for r in requests if isinstance(r, Reversal | Refund)}
    cards = sorted(
        {(r.slot, r.account, r.card) for r in requests if isinstance(r, Spend | Inquiry | PinChange)}
    )
    sold = sorted({(r.terminal, r.service) for r in requests if isinstance(r, Spend)})
    calls: list[Call] = [
        (LOCK_DAY, ()),
        (LOCK_TERMINALS, (terminals,)),
        (LOCK_ACCOUNTS, accounts),
        (READ_TERMINALS, (terminals,)),
        (READ_LOTS, accounts),
        (READ_HOLDS, (*accounts, now)),
        (TAKE_IDS, (sum(map(_rows_needed, requests)), sum(isinstance(r, Grant) for r in requests))),
    ]
    for statement, keys in (
        (READ_CARDS, cards),
        (READ_TRANSACTIONS, sorted({key for r in requests for key in _keys(r)})),
        (READ_ENTRIES, sorted(key for key in returned if key is not None)),
        (READ_PRICES, sold),
    ):
        if keys:
            calls.append((statement, _columns(keys)))
    if returned:
        calls.append((READ_GRACE, accounts))
    if now is None:
        calls.append((READ_CLOCK, ()))
    return calls


def _columns(rows: Iterable[Sequence[Any]]) -> tuple[list[Any], ...]:
    """Rows, at least one, turned into one list per column, as array parameters want them."""
    return tuple(map(list, zip(*rows, strict=True)))


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


def _keys(request: Request) -> Iterable[Key]:
    original = _original(request)
    if original is not None:
        yield original
    if not isinstance(request, Status | Inquiry):
        yield request.key


def _rows_needed(request: Request) -> int:
    """The most rows of `transaction` that a request may write, besides the ends of holds due."""
    match request:
        case Reversal() | Refund():
            return 2  # itself, and a tombstone or what expires before points come back
        case Inquiry():
            return 0
        case Status():
            return 1 if request.fence else 0
        case _:
            return 1


# ---- what it knows ------------------------------------------------------------------------------


def _state(now: datetime, found: dict[str, Rows]) -> State:
    def rows(statement: Statement) -> Rows:
        return found.get(statement.name, [])

    day = rows(LOCK_DAY)
    if not day:
        raise NoOpenDay("no business day is open")
    state = State(now=now, business_date=day[0][0])
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
        terminal = TerminalState(*row)
        state.terminals[terminal.id] = terminal
    for row in rows(READ_PRICES):
        price = PriceState(*row[1:])
        state.prices[row[0], price.service] = price
    for slot, number, days in rows(READ_GRACE):
        state.grace_days[slot, number] = days
    _add_lots(state, rows(READ_LOTS), rows(READ_ENTRIES))
    _add_holds(state, rows(READ_HOLDS))
    # decide takes from the end; reversed, so that ids rise with the order of the requests.
    ids = rows(TAKE_IDS)
    state.transaction_ids = sorted((number for what, number in ids if what == "t"), reverse=True)
    state.lot_ids = sorted((number for what, number in ids if what == "l"), reverse=True)
    return state


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

    def add(statement: Statement, rows: Iterable[object], names: Iterable[str]) -> None:
        listed = list(rows)
        if listed:
            calls.append((statement, tuple([getattr(row, name) for row in listed] for name in names)))

    add(INSERT_HOLDS, writes.holds, HOLD_COLUMNS)
    add(INSERT_TRANSACTIONS, writes.transactions, TRANSACTION_COLUMNS)
    add(INSERT_LOTS, writes.new_lots, LOT_COLUMNS)
    add(UPDATE_LOTS, writes.lots.values(), ("slot", "account_id", "id", "remaining", "held", "expires_on"))
    add(UPDATE_ACCOUNTS, writes.accounts.values(), ("slot", "id", "posted", "held"))
    add(UPDATE_CARDS, writes.cards.values(), CARD_COLUMNS)
    add(INSERT_ENTRIES, writes.entries, ENTRY_COLUMNS)
    add(INSERT_HOLD_LOTS, writes.hold_lots, HOLD_LOT_COLUMNS)
    add(INSERT_MISUSES, writes.misuses, MISUSE_COLUMNS)
    return calls
