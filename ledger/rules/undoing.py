"""Reversal, refund and tombstone: what was done is undone, by rows that say so."""

from ledger.postings import (
    AccountState,
    Code,
    LotState,
    Outcome,
    Refund,
    Reversal,
    State,
    TransactionRow,
    Writes,
)
from ledger.rules.holding import end
from ledger.rules.points import balance, give_back, in_order_of_use, lots_of, revive, share
from ledger.rules.refusals import original_refusal, terminal_refusal
from ledger.rules.rows import add, copy_sale, fresh, row_of, undo_row
from ledger.rules.spending import count_spent

__all__ = ["refund", "reverse"]


def reverse(state: State, writes: Writes, account: AccountState, request: Reversal) -> Outcome:
    """Always accepted. It moves points only for what was approved and nothing has undone yet."""
    original = state.transactions.get((request.slot, request.account, request.terminal, request.original))
    found = _found(original)
    taken: list[tuple[LotState, int]] = []
    if found == "reversed" and original is not None and original.kind != "hold":
        taken = _taken(state, original)
        revive(state, writes, account, (lot for lot, _ in taken))
    row = row_of(state, account, request, Code.APPROVED, terminal=state.terminals.get(request.terminal))
    row.reference = request.reason
    row.detail = found
    if original is None and request.original != request.txid:  # else this row itself takes the key
        add(state, writes, undo_row(state, account, request, request.original))
    if found == "reversed":
        assert original is not None
        _undo(state, writes, row, original, taken)
        row.balance = balance(state, account)  # else whoever shows a card would learn it without a PIN
    add(state, writes, row)
    return fresh(row)


def _found(original: TransactionRow | None) -> str:
    """What the reversal finds: only "reversed" moves anything."""
    if original is None or original.kind == "tombstone":
        return "never_seen"
    if original.kind not in ("redeem", "capture", "hold"):
        return "not_a_purchase"
    if original.code != Code.APPROVED:
        return "refused_before"
    if original.ended is not None:
        return "captured" if original.ended == "capture" else "already_reversed"
    if original.reversed:
        return "already_reversed"
    return "refunded" if original.refunded else "reversed"


def _undo(
    state: State,
    writes: Writes,
    row: TransactionRow,
    original: TransactionRow,
    taken: list[tuple[LotState, int]],
) -> None:
    """Give each point back to the lot it came from, and take it back from the merchant who got it."""
    row.points = original.points
    original.reversed = True
    if original.kind == "hold":
        copy_sale(row, original, settles=False)
        end(state, writes, state.holds[row.slot, row.account_id][original.id], row)
        return
    copy_sale(row, original)
    row.reverses = original.id
    count_spent(state, original, -original.points, on=original.held_on or original.business_date)
    give_back(state, writes, row, taken)


def _taken(state: State, original: TransactionRow) -> list[tuple[LotState, int]]:
    """The lots that a sale took points from, and how many, in the order of use."""
    points = {
        entry.lot_id: entry.points for entry in state.entries[original.slot, original.account_id, original.id]
    }
    lots = in_order_of_use(
        lot for lot in lots_of(state, original.slot, original.account_id) if lot.id in points
    )
    return [(lot, points[lot.id]) for lot in lots]


def refund(state: State, writes: Writes, account: AccountState, request: Refund) -> Outcome:
    """Give points back for a sale of this merchant, as often as something remains of it."""
    terminal = state.terminals.get(request.terminal)
    original = state.transactions.get((request.slot, request.account, request.seller, request.original))
    remaining = 0 if original is None else original.points - original.refunded
    points = remaining if request.points is None else request.points
    code = (
        terminal_refusal(terminal, selling=False)
        or original_refusal(original, terminal)
        or (Code.AMOUNT_INVALID if request.points is not None and points <= 0 else None)
        or (Code.AMOUNT_ABOVE_REST if not 0 < points <= remaining else None)
        or Code.APPROVED
    )
    parts: list[tuple[LotState, int]] = []
    if code is Code.APPROVED:
        assert original is not None
        parts = _returning(state, original, points)
        revive(state, writes, account, (lot for lot, _ in parts))
    row = row_of(state, account, request, code, terminal=terminal)
    row.reference = request.reference
    if original is not None and code is Code.APPROVED:
        _refund(state, writes, row, original, parts)
        row.balance = balance(state, account)
    add(state, writes, row)
    return fresh(row)


def _returning(state: State, original: TransactionRow, points: int) -> list[tuple[LotState, int]]:
    """The lots that points come back to: what is used last comes back first, for it can be spent longest."""
    returned = state.given_back.setdefault((original.slot, original.account_id, original.id), {})
    room = [(lot, taken - returned.get(lot.id, 0)) for lot, taken in reversed(_taken(state, original))]
    parts = share(room, points)
    for lot, part in parts:
        returned[lot.id] = returned.get(lot.id, 0) + part
    return parts


def _refund(
    state: State,
    writes: Writes,
    row: TransactionRow,
    original: TransactionRow,
    parts: list[tuple[LotState, int]],
) -> None:
    store = row.store_id
    copy_sale(row, original)
    row.store_id = store  # the counter that gives back need not be the one that sold
    row.points = sum(points for _, points in parts)
    row.refunds = original.id
    row.detail = original.detail
    before, original.refunded = original.refunded, original.refunded + row.points
    row.settlement_minor = _settled(original, original.refunded) - _settled(original, before)
    row.quantity = None  # points come back, not units
    row.rest = original.points - original.refunded
    give_back(state, writes, row, parts)


def _settled(original: TransactionRow, points: int) -> int:
    """The settlement of so many of a sale's points, half up: parts of a refund add up to the whole."""
    assert original.settlement_minor is not None
    return (2 * original.settlement_minor * points + original.points) // (2 * original.points)
