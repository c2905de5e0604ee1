"""The only writer of accounts, lots, transactions and entries.

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
    CardState,
    EntryRow,
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
    TransactionRow,
    Writes,
)

__all__ = ["LOCK_ACCOUNTS", "STATEMENTS", "NoOpenDay", "post", "stages"]

TRANSACTION_COLUMNS = {
    "slot": "int2", "account_id": "int8", "id": "int8", "terminal_id": "int8", "txid": "uuid", "kind": "text",
    "code": "int2", "posted_at": "timestamptz", "business_date": "date", "enterprise_id": "int8",
    "merchant_id": "int8", "store_id": "int8", "card_id": "int8", "card_tail": "text", "service_id": "int8",
    "price_id": "int8", "quantity": "int8", "points": "int8", "settlement_minor": "int8", "currency": "text",
    "balance": "int8", "meaning": "bytea", "reverses": "int8", "detail": "text", "reference": "text",
    "terminal_at": "timestamptz", "stan": "int8", "batch": "int8", "staff_id": "int8",
}  # fmt: skip
ENTRY_COLUMNS = {
    "slot": "int2", "account_id": "int8", "transaction_id": "int8", "lot_id": "int8", "from_side": "text",
    "to_side": "text", "points": "int8", "enterprise_id": "int8", "funder_id": "int8", "merchant_id": "int8",
    "business_date": "date",
}  # fmt: skip
MISUSE_COLUMNS = {
    "slot": "int2", "account_id": "int8", "enterprise_id": "int8", "terminal_id": "int8", "txid": "uuid",
    "kind": "text", "code": "int2", "meaning": "bytea", "happened_at": "timestamptz",
}  # fmt: skip
LOT_COLUMNS = {
    "slot": "int2", "id": "int8", "account_id": "int8", "enterprise_id": "int8", "funder_id": "int8",
    "kind": "text", "granted": "int8", "remaining": "int8", "held": "int8", "expires_on": "date",
    "priority": "int2",
}  # fmt: skip


def _unnest(types: Iterable[str]) -> str:
    return "unnest(" + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1)) + ")"


def _arrays(types: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{kind}[]" for kind in types)


def _insert(table: str, columns: dict[str, str]) -> Statement:
    names = ", ".join(columns)
    sql = f"INSERT INTO {table} ({names}) SELECT * FROM {_unnest(columns.values())}"
    return Statement(f"insert_{table}", sql, _arrays(columns.values()))


ACCOUNT = ("int2", "int8")
PURCHASE = ("int2", "int8", "int8", "uuid")
LOT_READ = ", ".join(f"l.{column}" for column in LOT_COLUMNS)
TRANSACTION_READ = ", ".join(f"t.{column}" for column in TRANSACTION_COLUMNS)

LOCK_DAY = Statement("lock_day", "SELECT date FROM business_day WHERE status = 'open' FOR SHARE")
LOCK_ACCOUNTS = Statement(
    "lock_accounts",
    f"""SELECT a.slot, a.id, a.enterprise_id, a.posted, a.held, a.status
        FROM {_unnest(ACCOUNT)} AS k(slot, id) JOIN account a ON a.slot = k.slot AND a.id = k.id
        ORDER BY a.slot, a.id FOR UPDATE OF a""",
    _arrays(ACCOUNT),
)
READ_CARDS = Statement(
    "read_cards",
    f"""SELECT c.slot, c.id, c.account_id, c.number, c.issue, c.status, c.expires_on, c.pin_verifier,
               c.pin_tries, c.limit_points
        FROM {_unnest(("int2", "int8", "int8"))} AS k(slot, account_id, id)
        JOIN card c ON c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id""",
    _arrays(("int2", "int8", "int8")),
)
READ_LOTS = Statement(
    "read_lots",
    f"""SELECT {LOT_READ} FROM {_unnest(ACCOUNT)} AS k(slot, account_id)
        JOIN lot l ON l.slot = k.slot AND l.account_id = k.account_id AND l.open""",
    _arrays(ACCOUNT),
)
READ_TRANSACTIONS = Statement(
    "read_transactions",
    f"""SELECT {TRANSACTION_READ},
               EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                       AND r.reverses = t.id) AS reversed
        FROM {_unnest(PURCHASE)} AS k(slot, account_id, terminal_id, txid)
        JOIN transaction t ON t.slot = k.slot AND t.account_id = k.account_id
             AND t.terminal_id = k.terminal_id AND t.txid = k.txid""",
    _arrays(PURCHASE),
)
READ_ENTRIES = Statement(
    "read_entries",
    f"""SELECT e.slot, e.account_id, e.transaction_id, e.lot_id, e.from_side, e.to_side, e.points,
               e.enterprise_id, e.funder_id, e.merchant_id, e.business_date, {LOT_READ}
        FROM {_unnest(PURCHASE)} AS k(slot, account_id, terminal_id, txid)
        JOIN transaction t ON t.slot = k.slot AND t.account_id = k.account_id
             AND t.terminal_id = k.terminal_id AND t.txid = k.txid
        JOIN entry e ON e.slot = t.slot AND e.account_id = t.account_id AND e.transaction_id = t.id
        JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id""",
    _arrays(PURCHASE),
)
READ_TERMINALS = Statement(
    "read_terminals",
    """SELECT t.id, t.status, t.tenant_id, t.store_id, s.status = 'open' AND m.status = 'open'
       FROM terminal t JOIN organisation s ON s.id = t.store_id JOIN organisation m ON m.id = t.tenant_id
       WHERE t.id = ANY($1::int8[])""",
    ("int8[]",),
)
READ_PRICES = Statement(
    "read_prices",
    """SELECT k.terminal_id, p.id, p.merchant_id, p.service_id, s.code, p.points, p.settlement_minor,
              p.currency, p.open, p.min_points, p.max_points
       FROM unnest($1::int8[], $2::text[]) AS k(terminal_id, code)
       JOIN terminal t ON t.id = k.terminal_id
       JOIN service s ON s.code = k.code AND s.status = 'open'
       JOIN price p ON p.merchant_id = t.tenant_id AND p.service_id = s.id
            AND p.during @> (SELECT date FROM business_day WHERE status = 'open')""",
    ("int8[]", "text[]"),
)
TAKE_IDS = Statement(
    "take_ids",
    """SELECT 't', nextval('transaction_id_seq') FROM generate_series(1, $1::int8)
       UNION ALL SELECT 'l', nextval('lot_id_seq') FROM generate_series(1, $2::int8)""",
    ("int8", "int8"),
)
INSERT_TRANSACTIONS = _insert("transaction", TRANSACTION_COLUMNS)
INSERT_LOTS = _insert("lot", LOT_COLUMNS)
INSERT_ENTRIES = _insert("entry", ENTRY_COLUMNS)
INSERT_MISUSES = _insert("misuse", MISUSE_COLUMNS)
UPDATE_LOTS = Statement(
    "update_lots",
    f"""UPDATE lot l SET remaining = k.remaining, held = k.held
        FROM {_unnest(("int2", "int8", "int8", "int8", "int8"))} AS k(slot, account_id, id, remaining, held)
        WHERE l.slot = k.slot AND l.account_id = k.account_id AND l.id = k.id""",
    _arrays(("int2", "int8", "int8", "int8", "int8")),
)
UPDATE_ACCOUNTS = Statement(
    "update_accounts",
    f"""UPDATE account a SET posted = k.posted, held = k.held
        FROM {_unnest(("int2", "int8", "int8", "int8"))} AS k(slot, id, posted, held)
        WHERE a.slot = k.slot AND a.id = k.id""",
    _arrays(("int2", "int8", "int8", "int8")),
)
UPDATE_CARDS = Statement(
    "update_cards",
    f"""UPDATE card c SET pin_tries = k.pin_tries
        FROM {_unnest(("int2", "int8", "int8", "int2"))} AS k(slot, account_id, id, pin_tries)
        WHERE c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id""",
    _arrays(("int2", "int8", "int8", "int2")),
)

STATEMENTS = (
    LOCK_DAY, LOCK_ACCOUNTS, READ_CARDS, READ_LOTS, READ_TRANSACTIONS, READ_ENTRIES, READ_TERMINALS,
    READ_PRICES, TAKE_IDS, INSERT_TRANSACTIONS, INSERT_LOTS, INSERT_ENTRIES, INSERT_MISUSES, UPDATE_LOTS,
    UPDATE_ACCOUNTS, UPDATE_CARDS,
)  # fmt: skip


class NoOpenDay(Exception):
    """No business day is open, so nothing can be booked. A fault of operation, not of a request."""


def post(connection: Connection, requests: Sequence[Request], now: datetime) -> list[Outcome]:
    """Post a batch inside `connection`'s transaction; one outcome per request, in order.

    The rows are there for others, and the outcomes true, when that transaction has committed.
    """
    outcomes: list[Outcome] = run_stages(connection, stages(requests, now))
    return outcomes


def stages(requests: Sequence[Request], now: datetime) -> Generator[Stage, list[Rows], list[Outcome]]:
    """The batch as stages for a driver: yields what to run, is sent the rows, returns the outcomes."""
    rows = yield Stage(_reads(requests))
    state = _state(now, requests, rows)
    outcomes, writes = decide(state, requests)
    yield Stage(_writes(writes), final=True)
    return outcomes


def _columns(rows: Iterable[Sequence[Any]], width: int) -> tuple[list[Any], ...]:
    """Rows turned into one list per column, as array parameters want them."""
    columns = tuple(map(list, zip(*rows, strict=True)))
    return columns or tuple([] for _ in range(width))


def _reads(requests: Sequence[Request]) -> list[tuple[Statement, tuple[Any, ...]]]:
    accounts = sorted({(r.slot, r.account) for r in requests})
    cards = sorted({(r.slot, r.account, r.card) for r in requests if isinstance(r, Redeem | Inquiry)})
    undone = {
        (r.slot, r.account, r.terminal, r.original) for r in requests if isinstance(r, Reversal | Status)
    }
    keys = undone | {r.key for r in requests if not isinstance(r, Status | Inquiry)}
    reversals = {(r.slot, r.account, r.terminal, r.original) for r in requests if isinstance(r, Reversal)}
    terminals = sorted({r.terminal for r in requests})
    sold = sorted({(r.terminal, r.service) for r in requests if isinstance(r, Redeem)})
    rows_needed = sum(_rows_needed(r) for r in requests)
    lots_needed = sum(isinstance(r, Grant) for r in requests)
    account_columns = _columns(accounts, 2)
    return [
        (LOCK_DAY, ()),
        (LOCK_ACCOUNTS, account_columns),
        (READ_CARDS, _columns(cards, 3)),
        (READ_LOTS, account_columns),
        (READ_TRANSACTIONS, _columns(keys, 4)),
        (READ_ENTRIES, _columns(reversals, 4)),
        (READ_TERMINALS, (terminals,)),
        (READ_PRICES, _columns(sold, 2)),
        (TAKE_IDS, (rows_needed, lots_needed)),
    ]


def _rows_needed(request: Request) -> int:
    """The most rows of `transaction` that a request may write: a reversal itself and a tombstone."""
    match request:
        case Reversal():
            return 2
        case Inquiry():
            return 0
        case Status():
            return 1 if request.fence else 0
        case _:
            return 1


def _state(now: datetime, requests: Sequence[Request], rows: list[Rows]) -> State:
    day, accounts, cards, lots, transactions, entries, terminals, prices, ids = rows
    if not day:
        raise NoOpenDay("no business day is open")
    state = State(now=now, business_date=day[0][0])
    for row in accounts:
        account = AccountState(*row)
        state.accounts[account.slot, account.id] = account
    for row in cards:
        card = CardState(*row)
        state.cards[card.slot, card.id] = card
    known: set[int] = set()
    width = len(ENTRY_COLUMNS)
    for row in (*lots, *(row[width:] for row in entries)):
        lot = LotState(*row)
        if lot.id not in known:
            known.add(lot.id)
            state.lots.setdefault((lot.slot, lot.account_id), []).append(lot)
    for row in transactions:
        transaction = TransactionRow(**dict(zip(_TRANSACTION, row, strict=True)))
        state.transactions[transaction.key] = transaction
    for row in entries:
        entry = EntryRow(**dict(zip(ENTRY_COLUMNS, row[:width], strict=True)))
        state.entries.setdefault((entry.slot, entry.account_id, entry.transaction_id), []).append(entry)
    for row in terminals:
        terminal = TerminalState(*row)
        state.terminals[terminal.id] = terminal
    for row in prices:
        price = PriceState(*row[1:])
        state.prices[row[0], price.service] = price
    # decide takes from the end; reversed, so that ids rise with the order of the requests.
    state.transaction_ids = sorted((number for what, number in ids if what == "t"), reverse=True)
    state.lot_ids = sorted((number for what, number in ids if what == "l"), reverse=True)
    return state


_TRANSACTION = (*TRANSACTION_COLUMNS, "reversed")


def _writes(writes: Writes) -> list[tuple[Statement, tuple[Any, ...]]]:
    """One statement per table that changes; the order is the one that foreign keys ask for."""
    calls: list[tuple[Statement, tuple[Any, ...]]] = []

    def add(statement: Statement, rows: Iterable[object], names: Iterable[str]) -> None:
        listed = list(rows)
        if listed:
            calls.append((statement, tuple([getattr(row, name) for row in listed] for name in names)))

    add(INSERT_TRANSACTIONS, writes.transactions, TRANSACTION_COLUMNS)
    add(INSERT_LOTS, writes.new_lots, LOT_COLUMNS)
    add(UPDATE_LOTS, writes.lots.values(), ("slot", "account_id", "id", "remaining", "held"))
    add(UPDATE_ACCOUNTS, writes.accounts.values(), ("slot", "id", "posted", "held"))
    add(UPDATE_CARDS, writes.cards.values(), ("slot", "account_id", "id", "pin_tries"))
    add(INSERT_ENTRIES, writes.entries, ENTRY_COLUMNS)
    add(INSERT_MISUSES, writes.misuses, MISUSE_COLUMNS)
    return calls
