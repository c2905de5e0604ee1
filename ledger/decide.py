"""The rules of posting: pure. (state, requests) -> outcomes and rows. No SQL, no clock, no randomness.

Requests are decided in their order, each on the state that the ones before it left, so a batch of
N gives what N batches of one would give. The rules themselves are in ledger.rules.
"""

from collections.abc import Sequence
from copy import copy
from datetime import date

from ledger.postings import (
    MAX_POINTS,
    AccountState,
    Adjust,
    Capture,
    Code,
    Expire,
    Grant,
    Inquiry,
    MisuseRow,
    Outcome,
    PinChange,
    Refund,
    Release,
    Request,
    Reversal,
    Spend,
    State,
    Status,
    TransactionRow,
    Writes,
    meaning_of,
)
from ledger.rules.holding import capture, lapse_due, release
from ledger.rules.pins import change_pin
from ledger.rules.points import balance, expire, expired_lots, new_lot, spendable, spendable_lots, withdraw
from ledger.rules.refusals import (
    account_refusal,
    card_refusal,
    check_pin,
    own_card,
    points_refusal,
    present,
    terminal_refusal,
)
from ledger.rules.rows import add, fresh, recorded, row_of, undo_row
from ledger.rules.spending import spend
from ledger.rules.undoing import refund, reverse

__all__ = ["decide"]

EXPIRING_SHOWN = 5  # days that an inquiry lists: what fits a receipt


def decide(state: State, requests: Sequence[Request]) -> tuple[list[Outcome], Writes]:
    """One outcome per request, in order, and everything to write. Changes `state`."""
    writes = Writes()
    return [_decide_one(state, writes, request) for request in requests], writes


def _decide_one(state: State, writes: Writes, request: Request) -> Outcome:
    account = state.accounts.get((request.slot, request.account))
    if account is None:
        # A sealed card of an account that is not here: another database. There is no row to hang a record on.
        return Outcome(code=Code.CARD_UNKNOWN, business_date=state.business_date, at=state.now)
    lapse_due(state, writes, account)
    if isinstance(request, Status):
        return _status(state, writes, account, request)
    if isinstance(request, Inquiry):
        return _inquiry(state, writes, account, request)
    earlier = state.transactions.get(request.key)
    if earlier is not None:
        return _repeat(state, writes, request, earlier)
    return _new(state, writes, account, request)


def _new(state: State, writes: Writes, account: AccountState, request: Request) -> Outcome:
    match request:
        case Spend():
            return spend(state, writes, account, request)
        case Capture():
            return capture(state, writes, account, request)
        case Release():
            return release(state, writes, account, request)
        case Reversal():
            return reverse(state, writes, account, request)
        case Refund():
            return refund(state, writes, account, request)
        case PinChange():
            return change_pin(state, writes, account, request)
        case Grant():
            return _grant(state, writes, account, request)
        case Adjust():
            return _adjust(state, writes, account, request)
        case Expire():
            return _expire(state, writes, account, request)
    raise AssertionError(request)


# ---- repeats and status -------------------------------------------------------------------------


def _repeat(state: State, writes: Writes, request: Request, earlier: TransactionRow) -> Outcome:
    """Server rules 1, 3 and 4: the record answers, before the card is even looked at."""
    if earlier.kind == "tombstone":
        return recorded(earlier)
    meaning = meaning_of(request)
    if earlier.meaning == meaning:
        return recorded(earlier)
    writes.misuses.append(
        MisuseRow(
            slot=request.slot,
            account_id=request.account,
            enterprise_id=earlier.enterprise_id,
            terminal_id=request.terminal,
            txid=request.txid,
            kind=request.kind,
            code=Code.TXID_REUSED,
            meaning=meaning,
            happened_at=state.now,
        )
    )
    return Outcome(code=Code.TXID_REUSED, business_date=state.business_date, at=state.now)


def _status(state: State, writes: Writes, account: AccountState, request: Status) -> Outcome:
    row = state.transactions.get((request.slot, request.account, request.terminal, request.original))
    if row is not None and row.kind != "tombstone":
        return Outcome(
            code=Code.APPROVED,
            business_date=state.business_date,
            at=state.now,
            transaction=copy(row),  # as it is now: a later request of the batch may undo it
            points=row.points,
            balance=row.balance,
        )
    if row is None and request.fence:
        add(state, writes, undo_row(state, account, request, request.original))
    return Outcome(code=Code.NOT_FOUND, business_date=state.business_date, at=state.now)


# ---- points in and out, the balance -------------------------------------------------------------


def _grant(state: State, writes: Writes, account: AccountState, request: Grant) -> Outcome:
    past = request.expires_on is not None and request.expires_on < state.business_date
    wrong = not 0 < request.points <= MAX_POINTS or past
    code = account_refusal(account) or (Code.AMOUNT_INVALID if wrong else Code.APPROVED)
    row = row_of(state, account, request, code)
    row.detail = request.detail
    row.staff_id = request.staff
    add(state, writes, row)
    if code is Code.APPROVED:
        row.points = request.points
        new_lot(state, writes, row, account, request)
        row.balance = balance(state, account)
    return fresh(row)


def _adjust(state: State, writes: Writes, account: AccountState, request: Adjust) -> Outcome:
    """Take points back: never what is held, and never more than can be spent."""
    lots = spendable_lots(state, request.slot, request.account)
    code = (
        account_refusal(account)
        or (Code.AMOUNT_INVALID if not 0 < request.points <= MAX_POINTS else None)
        or points_refusal(state, account, None, lots, request.points)
        or Code.APPROVED
    )
    row = row_of(state, account, request, code)
    row.detail = request.detail
    row.staff_id = request.staff
    add(state, writes, row)
    if code is Code.APPROVED:
        row.points = request.points
        withdraw(state, writes, row, request.points)
    if code not in (Code.ACCOUNT_CLOSED, Code.AMOUNT_INVALID):
        row.balance = balance(state, account)
    return fresh(row)


def _expire(state: State, writes: Writes, account: AccountState, request: Expire) -> Outcome:
    """Without anything to expire there is nothing to record: asking again is harmless."""
    if not expired_lots(state, request.slot, request.account):
        return Outcome(code=Code.APPROVED, business_date=state.business_date, at=state.now)
    row = row_of(state, account, request, Code.APPROVED)
    expire(state, writes, row)
    row.balance = balance(state, account)
    add(state, writes, row)
    return fresh(row)


def _inquiry(state: State, writes: Writes, account: AccountState, request: Inquiry) -> Outcome:
    card = own_card(state, request)
    pin_code = check_pin(writes, present(card, request), request.pin_proof, needed=request.pin_needed)
    code = (
        terminal_refusal(state.terminals.get(request.terminal))
        or card_refusal(card, request, state)
        or account_refusal(account)
        or pin_code
        or Code.APPROVED
    )
    if code is not Code.APPROVED:
        return Outcome(code=code, business_date=state.business_date, at=state.now)
    lots = spendable_lots(state, request.slot, request.account)
    expiring: dict[date, int] = {}
    for lot in sorted((lot for lot in lots if lot.expires_on), key=lambda lot: lot.expires_on or date.max):
        assert lot.expires_on is not None
        expiring[lot.expires_on] = expiring.get(lot.expires_on, 0) + lot.remaining - lot.held
    return Outcome(
        code=code,
        business_date=state.business_date,
        at=state.now,
        balance=spendable(lots),
        held=account.held,
        expiring=tuple((points, day) for day, points in list(expiring.items())[:EXPIRING_SHOWN]),
    )
