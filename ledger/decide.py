"""The rules of posting: pure. (state, requests) -> outcomes and rows. No SQL, no clock, no randomness.

Requests are decided in their order, each on the state that the ones before it left, so a batch of
N gives what N batches of one would give. Imports the standard library, ledger.postings and
ledger.refusals alone.
"""

from collections.abc import Sequence

from ledger.postings import (
    MAX_POINTS,
    AccountState,
    CardState,
    Code,
    EntryRow,
    Grant,
    Inquiry,
    LotState,
    MisuseRow,
    Outcome,
    Redeem,
    Request,
    Reversal,
    State,
    Status,
    TerminalState,
    TransactionRow,
    Writes,
    meaning_of,
)
from ledger.refusals import (
    balance,
    card_refusal,
    check_pin,
    points_refusal,
    spendable,
    spendable_lots,
    terminal_refusal,
    units_bought,
)

__all__ = ["decide"]

NO_MEANING = bytes(16)  # of a tombstone: it stands for whatever would have come
EXPIRING_SHOWN = 5  # lots that an inquiry lists: what fits a receipt


def decide(state: State, requests: Sequence[Request]) -> tuple[list[Outcome], Writes]:
    """One outcome per request, in order, and everything to write. Changes `state`."""
    writes = Writes()
    return [_decide_one(state, writes, request) for request in requests], writes


def _decide_one(state: State, writes: Writes, request: Request) -> Outcome:
    account = state.accounts.get((request.slot, request.account))
    if account is None:
        # A sealed card of an account that is not here: another database. There is no row to hang a record on.
        return Outcome(code=Code.CARD_UNKNOWN, business_date=state.business_date, at=state.now)
    if isinstance(request, Status):
        return _status(state, writes, account, request)
    if isinstance(request, Inquiry):
        return _inquiry(state, writes, account, request)
    earlier = state.transactions.get(request.key)
    if earlier is not None:
        return _repeat(state, writes, request, earlier)
    if isinstance(request, Redeem):
        return _redeem(state, writes, account, request)
    if isinstance(request, Reversal):
        return _reversal(state, writes, account, request)
    assert isinstance(request, Grant), request
    return _grant(state, writes, account, request)


# ---- repeats, status, tombstones ----------------------------------------------------------------


def _repeat(state: State, writes: Writes, request: Request, earlier: TransactionRow) -> Outcome:
    """Server rules 1, 3 and 4: the record answers, before the card is even looked at."""
    if earlier.kind == "tombstone":
        return _recorded(earlier)
    meaning = meaning_of(request)
    if earlier.meaning == meaning:
        return _recorded(earlier)
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


def _recorded(row: TransactionRow) -> Outcome:
    return Outcome(
        code=Code(row.code),
        business_date=row.business_date,
        at=row.posted_at,
        recorded=True,
        transaction=row,
        points=row.points,
        balance=row.balance,
        detail=row.detail,
        reversed=row.reversed,
    )


def _status(state: State, writes: Writes, account: AccountState, request: Status) -> Outcome:
    key = (request.slot, request.account, request.terminal, request.original)
    row = state.transactions.get(key)
    if row is not None and row.kind != "tombstone":
        return Outcome(
            code=Code.APPROVED,
            business_date=state.business_date,
            at=state.now,
            transaction=row,
            points=row.points,
            balance=row.balance,
            reversed=row.reversed,
        )
    if row is None and request.fence:
        _tombstone(state, writes, account, request)
    return Outcome(code=Code.NOT_FOUND, business_date=state.business_date, at=state.now)


def _tombstone(state: State, writes: Writes, account: AccountState, request: Status | Reversal) -> None:
    """Server rule 6: take the original's key, so that it is declined if it arrives later."""
    row = TransactionRow(
        slot=request.slot,
        account_id=request.account,
        id=state.transaction_ids.pop(),
        terminal_id=request.terminal,
        txid=request.original,
        kind="tombstone",
        code=Code.UNDONE_BEFORE,
        posted_at=state.now,
        business_date=state.business_date,
        enterprise_id=account.enterprise_id,
        meaning=NO_MEANING,
        detail=request.kind,
    )
    _add(state, writes, row)


def _add(state: State, writes: Writes, row: TransactionRow) -> None:
    state.transactions[row.key] = row
    writes.transactions.append(row)


# ---- points --------------------------------------------------------------------------------------


def _move(
    state: State, writes: Writes, row: TransactionRow, lot: LotState, points: int, sides: tuple[str, str]
) -> None:
    """Write one entry and move its lot and its account with it."""
    account = state.accounts[row.slot, row.account_id]
    signed = points if sides[1] == "member" else -points
    lot.remaining += signed
    account.posted += signed
    writes.lots[lot.slot, lot.id] = lot
    writes.accounts[account.slot, account.id] = account
    entry = EntryRow(
        slot=row.slot,
        account_id=row.account_id,
        transaction_id=row.id,
        lot_id=lot.id,
        from_side=sides[0],
        to_side=sides[1],
        points=points,
        enterprise_id=row.enterprise_id,
        funder_id=lot.funder_id,
        merchant_id=row.merchant_id if "merchant" in sides else None,
        business_date=row.business_date,
    )
    writes.entries.append(entry)
    state.entries.setdefault((row.slot, row.account_id, row.id), []).append(entry)


# ---- redeem -------------------------------------------------------------------------------------


def _redeem(state: State, writes: Writes, account: AccountState, request: Redeem) -> Outcome:
    terminal = state.terminals.get(request.terminal)
    card = state.cards.get((request.slot, request.card))
    price = state.prices.get((request.terminal, request.service))
    card_code = card_refusal(card, request, state)
    ours = card if card is not None and card.account_id == request.account else None
    pin_code = check_pin(writes, ours, request.pin_proof, needed=True)
    units = units_bought(price, request)
    points = units * price.points if price is not None and units is not None else 0
    lots = spendable_lots(state, request.slot, request.account)
    code = (
        terminal_refusal(terminal)
        or card_code
        or (Code.ACCOUNT_CLOSED if account.status != "open" else None)
        or pin_code
        or (Code.SERVICE_UNKNOWN if price is None else None)
        or (Code.AMOUNT_INVALID if not 0 < points <= MAX_POINTS else None)
        or points_refusal(state, account, ours, lots, points)
        or Code.APPROVED
    )
    row = _row(state, account, request, code, terminal=terminal, card=ours)
    row.service_id = price.service_id if price is not None else None
    row.price_id = price.id if price is not None else None
    row.quantity = units
    row.reference = request.reference
    row.detail = request.service
    _add(state, writes, row)
    if code is Code.APPROVED:
        assert price is not None
        assert units is not None
        row.points = points
        row.settlement_minor = units * price.settlement_minor
        row.currency = price.currency
        _take(state, writes, row, lots, points)
    if code in (Code.APPROVED, Code.LIMIT_EXCEEDED, Code.POINTS_EXPIRED, Code.POINTS_INSUFFICIENT):
        row.balance = balance(state, account)  # shown only to someone who knew the PIN
    return _fresh(row)


def _take(state: State, writes: Writes, row: TransactionRow, lots: list[LotState], points: int) -> None:
    left = points
    for lot in lots:
        taken = min(left, lot.remaining - lot.held)
        _move(state, writes, row, lot, taken, ("member", "merchant"))
        left -= taken
        if left == 0:
            return
    raise AssertionError("decided to spend more than there is")


# ---- reversal, grant, inquiry -------------------------------------------------------------------


def _reversal(state: State, writes: Writes, account: AccountState, request: Reversal) -> Outcome:
    """Always accepted. It moves points only for an approved redemption that nothing has undone yet."""
    original = state.transactions.get((request.slot, request.account, request.terminal, request.original))
    row = _row(state, account, request, Code.APPROVED, terminal=state.terminals.get(request.terminal))
    row.reference = request.reason
    if original is None:
        if request.original != request.txid:  # else this row itself takes the key
            _tombstone(state, writes, account, request)
        row.detail = "never_seen"
    elif original.kind == "tombstone":
        row.detail = "never_seen"
    elif original.reversed:
        row.detail = "already_reversed"
    elif original.kind != "redeem":
        row.detail = "not_a_purchase"
    elif original.code != Code.APPROVED:
        row.detail = "refused_before"
    else:
        row.detail = "reversed"
        _undo(state, writes, row, original)
    row.balance = balance(state, account)
    _add(state, writes, row)
    return _fresh(row)


def _undo(state: State, writes: Writes, row: TransactionRow, original: TransactionRow) -> None:
    """Give each point back to the lot it came from, and take it back from the merchant who got it."""
    row.points = original.points
    row.reverses = original.id
    row.merchant_id, row.store_id = original.merchant_id, original.store_id
    row.service_id, row.price_id, row.quantity = original.service_id, original.price_id, original.quantity
    row.settlement_minor, row.currency = original.settlement_minor, original.currency
    row.card_id, row.card_tail = original.card_id, original.card_tail
    original.reversed = True
    lots = {lot.id: lot for lot in state.lots[row.slot, row.account_id]}
    for entry in list(state.entries[original.slot, original.account_id, original.id]):
        _move(state, writes, row, lots[entry.lot_id], entry.points, ("merchant", "member"))


def _grant(state: State, writes: Writes, account: AccountState, request: Grant) -> Outcome:
    past = request.expires_on is not None and request.expires_on < state.business_date
    wrong = not 0 < request.points <= MAX_POINTS or past
    if account.status != "open":
        code = Code.ACCOUNT_CLOSED
    else:
        code = Code.AMOUNT_INVALID if wrong else Code.APPROVED
    row = _row(state, account, request, code)
    row.detail = request.detail
    row.staff_id = request.staff
    _add(state, writes, row)
    if code is Code.APPROVED:
        row.points = request.points
        lot = LotState(
            slot=request.slot,
            id=state.lot_ids.pop(),
            account_id=request.account,
            enterprise_id=account.enterprise_id,
            funder_id=request.funder,
            kind=request.lot_kind,
            granted=request.points,
            remaining=0,
            held=0,
            expires_on=request.expires_on,
            priority=request.priority,
        )
        state.lots.setdefault((request.slot, request.account), []).append(lot)
        _move(state, writes, row, lot, request.points, ("funder", "member"))
        del writes.lots[lot.slot, lot.id]
        writes.new_lots.append(lot)
        row.balance = balance(state, account)
    return _fresh(row)


def _inquiry(state: State, writes: Writes, account: AccountState, request: Inquiry) -> Outcome:
    card = state.cards.get((request.slot, request.card))
    terminal = state.terminals.get(request.terminal)
    card_code = card_refusal(card, request, state)
    ours = card if card is not None and card.account_id == request.account else None
    pin_code = check_pin(writes, ours, request.pin_proof, needed=request.pin_needed)
    code = (
        terminal_refusal(terminal)
        or card_code
        or (Code.ACCOUNT_CLOSED if account.status != "open" else None)
        or pin_code
        or Code.APPROVED
    )
    if code is not Code.APPROVED:
        return Outcome(code=code, business_date=state.business_date, at=state.now)
    lots = spendable_lots(state, request.slot, request.account)
    dated = sorted(
        ((lot.expires_on, lot.remaining - lot.held) for lot in lots if lot.expires_on), key=lambda x: x[0]
    )
    return Outcome(
        code=code,
        business_date=state.business_date,
        at=state.now,
        balance=spendable(lots),
        held=account.held,
        expiring=tuple((points, day) for day, points in dated[:EXPIRING_SHOWN]),
    )


# ---- rows ---------------------------------------------------------------------------------------


def _row(
    state: State,
    account: AccountState,
    request: Redeem | Reversal | Grant,
    code: Code,
    *,
    terminal: TerminalState | None = None,
    card: CardState | None = None,
) -> TransactionRow:
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
    if not isinstance(request, Grant):
        row.terminal_at, row.stan, row.batch = request.terminal_at, request.stan, request.batch
    return row


def _fresh(row: TransactionRow) -> Outcome:
    return Outcome(
        code=Code(row.code),
        business_date=row.business_date,
        at=row.posted_at,
        transaction=row,
        points=row.points,
        balance=row.balance,
        detail=row.detail,
    )
