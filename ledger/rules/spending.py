"""Redeem and hold: the same questions, then points are taken or reserved."""

from datetime import date, timedelta

from ledger.postings import (
    HOLD_SECONDS,
    MAX_OPEN_HOLDS,
    MAX_POINTS,
    PIN_TRIES,
    AccountState,
    Code,
    Hold,
    HoldRow,
    HoldState,
    LotState,
    Outcome,
    Redeem,
    Spend,
    State,
    TransactionRow,
    Writes,
)
from ledger.rules.points import portions, reserve, spendable, spendable_lots, take
from ledger.rules.refusals import (
    account_refusal,
    card_refusal,
    check_pin,
    own_card,
    points_refusal,
    present,
    terminal_refusal,
    units_bought,
)
from ledger.rules.rows import add, fresh, row_of

__all__ = ["count_spent", "spend"]

# Of the refusals only these tell the balance: who gets them knew the PIN, or needed none.
_TELLS_BALANCE = frozenset(
    {
        Code.APPROVED,
        Code.LIMIT_EXCEEDED,
        Code.DAY_LIMIT_EXCEEDED,
        Code.POINTS_EXPIRED,
        Code.POINTS_INSUFFICIENT,
    }
)


def spend(state: State, writes: Writes, account: AccountState, request: Spend) -> Outcome:
    """A Redeem or a Hold: refused with the first reason that holds, or done."""
    terminal = state.terminals.get(request.terminal)
    price = state.prices.get((request.terminal, request.service))
    card = own_card(state, request)
    units = units_bought(price, request)
    points = units * price.points if price is not None and units is not None else 0
    pin_free = card is not None and 0 < points <= card.pin_above_points
    blocked = card is not None and card.pin_tries >= PIN_TRIES
    pin_code = check_pin(writes, present(card, request), request.pin_proof, needed=blocked or not pin_free)
    lots = spendable_lots(state, request.slot, request.account)
    code = (
        terminal_refusal(terminal)
        or card_refusal(card, request, state)
        or account_refusal(account)
        or pin_code
        or (Code.SERVICE_UNKNOWN if price is None else None)
        or (Code.AMOUNT_INVALID if not 0 < points <= MAX_POINTS else None)
        or _holds_refusal(state, request)
        or points_refusal(state, account, card, lots, points)
        or Code.APPROVED
    )
    row = row_of(state, account, request, code, terminal=terminal, card=card)
    row.service_id = price.service_id if price is not None else None
    row.price_id = price.id if price is not None else None
    row.quantity = units
    row.reference = request.reference
    row.detail = request.service
    add(state, writes, row)
    if code is Code.APPROVED:
        assert price is not None
        assert units is not None
        row.points = points
        row.settlement_minor = units * price.settlement_minor
        row.currency = price.currency
        count_spent(state, row, points, on=row.business_date)
        _book(state, writes, row, request, lots)
    if code in _TELLS_BALANCE:
        row.balance = spendable(lots)  # what is left of them now
    return fresh(row)


def _holds_refusal(state: State, request: Spend) -> Code | None:
    """Every posting of an account looks at its open holds: nobody may pile them up."""
    if not isinstance(request, Hold):
        return None
    open_holds = state.holds.get((request.slot, request.account), {})
    return Code.LIMIT_EXCEEDED if len(open_holds) >= MAX_OPEN_HOLDS else None


def _book(state: State, writes: Writes, row: TransactionRow, request: Spend, lots: list[LotState]) -> None:
    parts = portions(lots, row.points)
    if isinstance(request, Redeem):
        take(state, writes, row, parts)
        return
    assert isinstance(request, Hold), request
    assert row.merchant_id is not None
    seconds = HOLD_SECONDS if request.seconds is None else request.seconds
    assert seconds > 0, "a hold that is over when it begins"
    row.expires_at = state.now + timedelta(seconds=seconds)
    held = reserve(state, writes, row, parts)
    holds = state.holds.setdefault((row.slot, row.account_id), {})
    holds[row.id] = HoldState(transaction=row, expires_at=row.expires_at, lots=held)
    writes.holds.append(
        HoldRow(
            slot=row.slot,
            account_id=row.account_id,
            transaction_id=row.id,
            enterprise_id=row.enterprise_id,
            merchant_id=row.merchant_id,
            points=row.points,
            expires_at=row.expires_at,
        )
    )


def count_spent(state: State, row: TransactionRow, points: int, *, on: date) -> None:
    """`points` more, or fewer, count towards the day `on` of the row's card, if that day is today.

    A hold and what it comes to count on the day of the hold. ledger.statements.READ_CARDS adds up the
    same from the rows.
    """
    if row.card_id is not None and on == state.business_date:
        card = state.cards.get((row.slot, row.card_id))
        if card is not None:
            card.spent_today += points
