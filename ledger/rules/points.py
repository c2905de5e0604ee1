"""Points move, are reserved, come back and expire, lot by lot. Every change of a balance is here."""

from collections.abc import Iterable
from datetime import date, timedelta

from ledger.postings import (
    GRACE_DAYS,
    AccountState,
    EntryRow,
    Grant,
    HoldLotRow,
    HoldState,
    LotState,
    State,
    TransactionRow,
    Writes,
)
from ledger.rules.rows import add, own_row

__all__ = [
    "balance", "expire", "expired_lots", "give_back", "in_order_of_use", "lots_of", "move", "new_lot",
    "portions", "release", "reserve", "revive", "share", "spendable", "spendable_lots", "take",
    "withdraw",
]  # fmt: skip


def lots_of(state: State, slot: int, account: int) -> list[LotState]:
    """Every lot of the account that the batch knows."""
    return state.lots.setdefault((slot, account), [])


def in_order_of_use(lots: Iterable[LotState]) -> list[LotState]:
    """By priority, then what expires soonest, then the oldest."""
    return sorted(
        lots, key=lambda lot: (lot.priority, lot.expires_on is None, lot.expires_on or date.max, lot.id)
    )


def spendable_lots(state: State, slot: int, account: int) -> list[LotState]:
    """Lots with points that are neither held nor expired, in the order in which they are used."""
    lots = _usable(state, slot, account)
    return in_order_of_use(lots) if len(lots) > 1 else lots


def _usable(state: State, slot: int, account: int) -> list[LotState]:
    today = state.business_date
    return [
        lot
        for lot in state.lots.get((slot, account), ())
        if lot.remaining > lot.held and (lot.expires_on is None or lot.expires_on >= today)
    ]


def spendable(lots: Iterable[LotState]) -> int:
    points = 0
    for lot in lots:  # most accounts have one; sum() over a generator takes four times as long for it
        points += lot.remaining - lot.held
    return points


def balance(state: State, account: AccountState) -> int:
    """What can be spent now."""
    return spendable(_usable(state, account.slot, account.id))


def move(
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


def take(state: State, writes: Writes, row: TransactionRow, parts: Iterable[tuple[LotState, int]]) -> None:
    """The merchant gets so many points of each lot."""
    for lot, points in parts:
        move(state, writes, row, lot, points, ("member", "merchant"))


def portions(lots: Iterable[LotState], points: int) -> list[tuple[LotState, int]]:
    """How `points` are taken from free points of `lots`, in their order."""
    return share([(lot, lot.remaining - lot.held) for lot in lots], points)


def share(room: Iterable[tuple[LotState, int]], points: int) -> list[tuple[LotState, int]]:
    """`points` spread over lots that have room for so many each, in their order."""
    left, parts = points, []
    for lot, most in room:
        part = min(left, most)
        if part > 0:
            parts.append((lot, part))
            left -= part
        if left == 0:
            return parts
    raise AssertionError("decided to use more than there is")


# ---- holds --------------------------------------------------------------------------------------


def reserve(
    state: State, writes: Writes, row: TransactionRow, parts: Iterable[tuple[LotState, int]]
) -> dict[int, int]:
    """Hold so many points of each lot; returns them by lot."""
    held: dict[int, int] = {}
    for lot, part in parts:
        _hold(state, writes, lot, part)
        held[lot.id] = part
        writes.hold_lots.append(
            HoldLotRow(
                slot=row.slot,
                account_id=row.account_id,
                transaction_id=row.id,
                lot_id=lot.id,
                enterprise_id=row.enterprise_id,
                points=part,
            )
        )
    return held


def release(state: State, writes: Writes, hold: HoldState) -> list[tuple[LotState, int]]:
    """Nothing of the hold is held any more; returns its lots and their points, in the order of use."""
    slot, account = hold.transaction.slot, hold.transaction.account_id
    lots = in_order_of_use(lot for lot in lots_of(state, slot, account) if lot.id in hold.lots)
    for lot in lots:
        _hold(state, writes, lot, -hold.lots[lot.id])
    return [(lot, hold.lots[lot.id]) for lot in lots]


def _hold(state: State, writes: Writes, lot: LotState, points: int) -> None:
    account = state.accounts[lot.slot, lot.account_id]
    lot.held += points
    account.held += points
    writes.lots[lot.slot, lot.id] = lot
    writes.accounts[account.slot, account.id] = account


# ---- coming back, expiring, coming in -----------------------------------------------------------


def revive(state: State, writes: Writes, account: AccountState, lots: Iterable[LotState]) -> None:
    """Give the enterprise's grace to those of `lots` that have expired: points are about to come back.

    What had expired in the account before is booked first, so that only what comes back can be spent again.
    """
    grace = state.grace_days.get((account.slot, account.id), GRACE_DAYS)
    # A lot has one last day: with points of it on hold, these would be revived too, time and again.
    late = [lot for lot in lots if _expired(state, lot) and lot.held == 0]
    if grace == 0 or not late:
        return
    if expired_lots(state, account.slot, account.id):
        number = state.transaction_ids.pop()
        breakage = own_row(state, account, "expiry", number, about=number)
        expire(state, writes, breakage)
        breakage.balance = balance(state, account)
        add(state, writes, breakage)
    for lot in late:
        lot.expires_on = state.business_date + timedelta(days=grace)


def give_back(
    state: State, writes: Writes, row: TransactionRow, parts: Iterable[tuple[LotState, int]]
) -> None:
    """The merchant returns so many points to each lot."""
    for lot, points in parts:
        move(state, writes, row, lot, points, ("merchant", "member"))


def _expired(state: State, lot: LotState) -> bool:
    return lot.expires_on is not None and lot.expires_on < state.business_date


def expired_lots(state: State, slot: int, account: int) -> list[LotState]:
    """Lots whose points can no longer be spent though nobody has booked that yet."""
    return [lot for lot in lots_of(state, slot, account) if lot.remaining > lot.held and _expired(state, lot)]


def expire(state: State, writes: Writes, row: TransactionRow) -> None:
    """Book the breakage: what has expired, and is not held, goes back to who funded it."""
    for lot in expired_lots(state, row.slot, row.account_id):
        points = lot.remaining - lot.held
        row.points += points
        move(state, writes, row, lot, points, ("member", "funder"))


def withdraw(state: State, writes: Writes, row: TransactionRow, points: int) -> None:
    """So many of the points that can be spent go back to who funded them, in the order of use."""
    for lot, part in portions(spendable_lots(state, row.slot, row.account_id), points):
        move(state, writes, row, lot, part, ("member", "funder"))


def new_lot(state: State, writes: Writes, row: TransactionRow, account: AccountState, grant: Grant) -> None:
    """Points that come in together."""
    lot = LotState(
        slot=row.slot,
        id=state.lot_ids.pop(),
        account_id=row.account_id,
        enterprise_id=account.enterprise_id,
        funder_id=grant.funder,
        kind=grant.lot_kind,
        granted=grant.points,
        remaining=0,
        held=0,
        expires_on=grant.expires_on,
        priority=grant.priority,
    )
    lots_of(state, row.slot, row.account_id).append(lot)
    move(state, writes, row, lot, grant.points, ("funder", "member"))
    del writes.lots[lot.slot, lot.id]
    writes.new_lots.append(lot)
