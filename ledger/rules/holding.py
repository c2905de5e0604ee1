"""How a hold ends: it is captured, released, or its time is over. One final step per hold."""

from ledger.postings import (
    AccountState,
    Capture,
    Code,
    HoldState,
    LotState,
    Outcome,
    Release,
    State,
    TransactionRow,
    Writes,
)
from ledger.rules import points
from ledger.rules.points import balance, share, take
from ledger.rules.refusals import hold_refusal, terminal_refusal
from ledger.rules.rows import add, copy_sale, fresh, own_row, row_of
from ledger.rules.spending import count_spent

__all__ = ["capture", "end", "lapse_due", "release"]


def lapse_due(state: State, writes: Writes, account: AccountState) -> None:
    """End the holds of an account whose time is over, before anything is decided about it."""
    if account.held == 0:
        return
    for hold in list(state.holds.get((account.slot, account.id), {}).values()):
        if hold.expires_at <= state.now:
            assert hold.lapse_id is not None
            row = own_row(state, account, "lapse", hold.lapse_id, about=hold.transaction.id)
            copy_sale(row, hold.transaction, settles=False)
            row.points = hold.transaction.points
            end(state, writes, hold, row)
            row.balance = balance(state, account)
            add(state, writes, row)


def end(state: State, writes: Writes, hold: HoldState, row: TransactionRow) -> list[tuple[LotState, int]]:
    """`row` is the one final step of `hold`: nothing is held any more. Returns what was, in order of use."""
    held = hold.transaction
    row.ends, row.held_on = held.id, held.business_date
    held.ended = row.kind
    count_spent(state, held, -held.points, on=held.business_date)
    del state.holds[held.slot, held.account_id][held.id]
    return points.release(state, writes, hold)


def capture(state: State, writes: Writes, account: AccountState, request: Capture) -> Outcome:
    """Take some or all of what is held. Neither card nor PIN are asked again: the points were reserved."""
    terminal = state.terminals.get(request.terminal)
    held = state.transactions.get((request.slot, request.account, request.terminal, request.hold))
    code = (
        terminal_refusal(terminal, selling=False)
        or hold_refusal(held)
        or _amount_refusal(held, request.points)
        or Code.APPROVED
    )
    row = row_of(state, account, request, code, terminal=terminal)
    row.reference = request.reference
    if code is Code.APPROVED:
        assert held is not None
        _sell(row, held, request.points)
        parts = end(state, writes, state.holds[request.slot, request.account][held.id], row)
        take(state, writes, row, share(parts, request.points))
        count_spent(state, row, request.points, on=held.business_date)
        row.rest = held.points - request.points
        row.balance = balance(state, account)
    add(state, writes, row)
    return fresh(row)


def _amount_refusal(held: TransactionRow | None, wanted: int) -> Code | None:
    """A fixed price is captured in whole units."""
    if held is None or not held.quantity or wanted <= 0 or wanted % (held.points // held.quantity):
        return Code.AMOUNT_INVALID
    return Code.AMOUNT_ABOVE_HOLD if wanted > held.points else None


def _sell(row: TransactionRow, held: TransactionRow, wanted: int) -> None:
    """The capture sells units of what was held, at the agreement of that day."""
    assert held.quantity is not None
    assert held.settlement_minor is not None
    copy_sale(row, held)
    row.points = wanted
    row.quantity = wanted * held.quantity // held.points
    row.settlement_minor = held.settlement_minor // held.quantity * row.quantity
    row.detail = held.detail


def release(state: State, writes: Writes, account: AccountState, request: Release) -> Outcome:
    """Give everything back. Also by a terminal that was revoked: a shop must be able to."""
    held = state.transactions.get((request.slot, request.account, request.terminal, request.hold))
    code = hold_refusal(held) or Code.APPROVED
    row = row_of(state, account, request, code, terminal=state.terminals.get(request.terminal))
    if code is Code.APPROVED:
        assert held is not None
        copy_sale(row, held, settles=False)
        row.points = held.points
        row.detail = held.detail
        end(state, writes, state.holds[request.slot, request.account][held.id], row)
        row.balance = balance(state, account)
    add(state, writes, row)
    return fresh(row)
