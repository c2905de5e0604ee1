"""What is written of a request, and what a written row answers."""

from uuid import UUID

from ledger.postings import (
    AccountState,
    CardState,
    Code,
    Outcome,
    Request,
    State,
    TerminalRequest,
    TerminalState,
    TransactionRow,
    Writes,
    meaning_of,
)

__all__ = ["add", "copy_sale", "fresh", "own_row", "recorded", "row_of", "undo_row"]

NO_MEANING = bytes(16)  # of a row that no request asked for: it stands for nothing that could come again
_OWN_LABEL = 0x7E55E7A0_0000_8000_8000_000000000000  # version 8; an id has at most 62 bits beside it
OFFICE = 0  # the terminal of rows that no terminal asked for


def row_of(
    state: State,
    account: AccountState,
    request: Request,
    code: Code,
    *,
    terminal: TerminalState | None = None,
    card: CardState | None = None,
) -> TransactionRow:
    """The row of one request, with the next id; points and what was bought are still to be filled in."""
    row = TransactionRow(
        slot=request.slot,
        account_id=request.account,
        id=state.transaction_ids.pop(),
        terminal_id=request.terminal,
        txid=request.txid,
        kind=request.kind,
        code=code,
        posted_at=state.now,
        business_date=state.business_date,
        enterprise_id=account.enterprise_id,
        merchant_id=terminal.merchant_id if terminal is not None else None,
        store_id=terminal.store_id if terminal is not None else None,
        card_id=card.id if card is not None else None,
        card_tail=card.number[-4:] if card is not None else None,
        meaning=meaning_of(request),
    )
    if isinstance(request, TerminalRequest):
        row.terminal_at, row.stan, row.batch = request.terminal_at, request.stan, request.batch
    return row


def own_row(
    state: State, account: AccountState, kind: str, number: int, about: int, detail: str | None = None
) -> TransactionRow:
    """A row that the books write of their own accord. `about` makes its txid: an id used for nothing else."""
    return TransactionRow(
        slot=account.slot,
        account_id=account.id,
        id=number,
        terminal_id=OFFICE,
        txid=_own_txid(about),
        kind=kind,
        code=Code.APPROVED,
        posted_at=state.now,
        business_date=state.business_date,
        enterprise_id=account.enterprise_id,
        meaning=NO_MEANING,
        detail=detail,
    )


def _own_txid(about: int) -> UUID:
    """A UUIDv8 (RFC 9562, 5.8) that no terminal and no import makes: our label, then the number."""
    return UUID(int=_OWN_LABEL | about)


def undo_row(state: State, account: AccountState, request: Request, original: UUID) -> TransactionRow:
    """A tombstone: it takes the key of an `original` that was never seen."""
    return TransactionRow(
        slot=request.slot,
        account_id=request.account,
        id=state.transaction_ids.pop(),
        terminal_id=request.terminal,
        txid=original,
        kind="tombstone",
        code=Code.UNDONE_BEFORE,
        posted_at=state.now,
        business_date=state.business_date,
        enterprise_id=account.enterprise_id,
        meaning=NO_MEANING,
        detail=request.kind,
    )


def copy_sale(row: TransactionRow, original: TransactionRow, *, settles: bool = True) -> None:
    """What was sold where, with which card: the same as in the row that this one is about.

    `settles`: money changes with it as well.
    """
    row.merchant_id, row.store_id = original.merchant_id, original.store_id
    row.service_id, row.price_id, row.quantity = original.service_id, original.price_id, original.quantity
    if settles:
        row.settlement_minor, row.currency = original.settlement_minor, original.currency
    row.card_id, row.card_tail = original.card_id, original.card_tail


def add(state: State, writes: Writes, row: TransactionRow) -> None:
    """The row is to be written, and known to the requests that come after it in the batch."""
    state.transactions[row.key] = row
    writes.transactions.append(row)


def fresh(row: TransactionRow) -> Outcome:
    """The answer that a new row gives."""
    return _outcome(row, recorded=False)


def recorded(row: TransactionRow) -> Outcome:
    """The answer that a row of before gives again."""
    return _outcome(row, recorded=True)


def _outcome(row: TransactionRow, *, recorded: bool) -> Outcome:
    return Outcome(
        code=row.code if isinstance(row.code, Code) else Code(row.code),
        business_date=row.business_date,
        at=row.posted_at,
        recorded=recorded,
        transaction=row,
        points=row.points,
        rest=row.rest,
        balance=row.balance,
        detail=row.detail,
        expires_at=row.expires_at,
    )
