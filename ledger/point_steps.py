"""What becomes of an order of points: confirmed, approved or refused, withdrawn, carried out.

Each step decides under the order's lock, so that of two clicks one finds the order changed. Locks are
taken in one order: the order, the budget, then what the books take, the trail last.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from ledger import books, jobs, trail
from ledger.budgets import approval_points, give_back, lock_budget, reserve
from ledger.businessday import business_date
from ledger.model import OFFICE_TERMINAL
from ledger.point_orders import PointOrder, lock_order, reaches, read_order
from ledger.postings import Adjust, Code, Grant, Request
from ledger.trail import Actor

__all__ = [
    "JOB", "STEPS", "STEP_LINES", "Refused", "approve", "carry_on", "confirm", "line_txid", "needs_of",
    "refuse", "resume", "withdraw",
]  # fmt: skip

JOB = "point_order"
STEP_LINES = 500  # accounts locked together: short enough that a debit never waits long behind a bulk grant

DECIDE = text(
    """UPDATE point_order SET state = :state, needs = :needs, decided_by = :staff, decided_name = :name,
              decided_at = :at, note = :note, budget_id = :budget, budget_points = :budget_points
       WHERE id = :id"""
)
SET_JOB = text("UPDATE point_order SET job_id = :job WHERE id = :id")
OPEN_LINES = text(
    """SELECT number, slot, account_id, points FROM point_order_line
       WHERE order_id = :order AND code IS NULL ORDER BY number LIMIT :most"""
)
ANSWERED = text(
    """UPDATE point_order_line l SET code = k.code, transaction_id = k.transaction
       FROM unnest(CAST(:numbers AS int8[]), CAST(:codes AS int8[]), CAST(:transactions AS int8[]))
            AS k(number, code, transaction)
       WHERE l.order_id = :order AND l.number = k.number"""
)
COUNTED = text(
    """UPDATE point_order SET asked = asked + :asked, approved = approved + :approved,
              approved_points = approved_points + :points
       WHERE id = :id RETURNING approved_points"""
)
DONE = text("UPDATE point_order SET state = 'done', budget_points = :budget_points WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a step is not taken.

    `why`: gone, changed, own, funder, units, day (none is open) or budget (`left`).
    """

    why: str
    left: int = 0


def needs_of(connection: Connection, order: PointOrder) -> str:
    """What an order waits for when it is confirmed: nothing, approval or payment."""
    if order.payment == "transfer":
        return "payment"
    return "approval" if order.points > approval_points(connection, order.tenant_id) else "nothing"


def confirm(connection: Connection, order: int, *, by: Actor, now: datetime) -> PointOrder | Refused:
    """Its maker means it: it is carried out, or waits for whom it needs."""
    found = lock_order(connection, order)
    if found is None or found.staff_id != by.staff_id:
        return Refused("gone")
    if found.state != "draft":
        return Refused("changed")
    needs = needs_of(connection, found)
    if needs != "nothing":
        _decide(connection, found, "waiting", needs=needs)
        return _again(connection, found)
    return _begin(connection, found, needs, by, None, now)


def approve(
    connection: Connection,
    order: int,
    needs: str,
    *,
    by: Actor,
    now: datetime,
    note: str | None = None,
    funder: int | None = None,
    units: frozenset[int] | None = None,
) -> PointOrder | Refused:
    """A second person says yes, or that the payment has arrived (`needs`: approval or payment).

    `funder`: they may only say so about points of this organisation; `units`: about members of these.
    """
    found = lock_order(connection, order)
    refused = _undecided(connection, found, needs, by, funder, units)
    if refused is not None or found is None:
        return refused or Refused("gone")
    return _begin(connection, found, needs, by, note, now)


def refuse(
    connection: Connection,
    order: int,
    needs: str,
    *,
    by: Actor,
    now: datetime,
    note: str,
    funder: int | None = None,
    units: frozenset[int] | None = None,
) -> PointOrder | Refused:
    """A second person says no, or that no payment has arrived. For good."""
    found = lock_order(connection, order)
    refused = _undecided(connection, found, needs, by, funder, units)
    if refused is not None or found is None:
        return refused or Refused("gone")
    _decide(connection, found, "refused", by=by, note=note, now=now)
    return _again(connection, found)


def withdraw(connection: Connection, order: int, *, by: Actor, now: datetime) -> PointOrder | Refused:
    """Its maker takes it back, as long as nothing was done."""
    found = lock_order(connection, order)
    if found is None or found.staff_id != by.staff_id:
        return Refused("gone")
    if found.state not in {"draft", "waiting"}:
        return Refused("changed")
    _decide(connection, found, "withdrawn", by=by, now=now)
    return _again(connection, found)


def resume(connection: Connection, order: int, *, by: Actor, now: datetime) -> PointOrder | Refused:
    """Go on with an order whose work broke off. What was posted stays posted, once."""
    found = lock_order(connection, order)
    if found is None:
        return Refused("gone")
    job = None if found.job_id is None else jobs.read_job(connection, found.job_id)
    if found.state != "approved" or (job is not None and job.open):
        return Refused("changed")
    _start_job(connection, found, by, now)
    return _again(connection, found)


def carry_on(connection: Connection, order: int, now: datetime) -> tuple[int, bool]:
    """Post the next lines, at most STEP_LINES: how many, and whether those were the last.

    Points, outcomes and what the budget bears are one transaction. A line's txid follows from the order and
    the line, so whatever happens, it is posted once.
    """
    found = lock_order(connection, order)
    if found is None or found.state != "approved":
        return 0, True
    told = {"order": order, "most": STEP_LINES + 1}
    ahead = connection.execute(OPEN_LINES, told).all()
    lines, last = ahead[:STEP_LINES], len(ahead) <= STEP_LINES
    if last and found.budget_id is not None:  # before the accounts: see above
        lock_budget(connection, found.tenant_id, found.budget_id)
    granted = _post(connection, found, lines, now) if lines else found.approved_points
    if last:
        spare = max(found.budget_points - granted, 0)
        if found.budget_id is not None and spare:
            give_back(connection, enterprise=found.tenant_id, budget=found.budget_id, points=spare)
        connection.execute(DONE, {"id": order, "budget_points": found.budget_points - spare})
    return len(lines), last


def line_txid(order: int, created_at: datetime, number: int) -> UUID:
    """A UUIDv8 (RFC 9562) that is this line's for ever. It begins with the time: new keys are neighbours."""
    digest = hashlib.blake2b(f"point order {order} line {number}".encode(), digest_size=10).digest()
    moment = int(created_at.timestamp() * 1000).to_bytes(6, "big")
    value = int.from_bytes(moment + digest, "big")
    value = value & ~(0xF << 76) | 8 << 76
    return UUID(int=value & ~(0b11 << 62) | 0b10 << 62)


def _post(connection: Connection, order: PointOrder, lines: Sequence[Row[Any]], now: datetime) -> int:
    """Post these lines; the points of all that are booked by now."""
    outcomes = books.post(connection, [_request(order, line) for line in lines], now)
    rows = [outcome.transaction for outcome in outcomes]
    connection.execute(
        ANSWERED,
        {
            "order": order.id,
            "numbers": [line.number for line in lines],
            "codes": [int(outcome.code) for outcome in outcomes],
            "transactions": [None if row is None else row.id for row in rows],
        },
    )
    booked = [
        line.points for line, outcome in zip(lines, outcomes, strict=True) if outcome.code is Code.APPROVED
    ]
    told = {"id": order.id, "asked": len(lines), "approved": len(booked), "points": sum(booked)}
    return int(connection.execute(COUNTED, told).scalar_one())


def _request(order: PointOrder, line: Row[Any]) -> Request:
    txid = line_txid(order.id, order.created_at, line.number)
    if order.lot_kind is None:
        return Adjust(
            slot=line.slot, account=line.account_id, terminal=OFFICE_TERMINAL, txid=txid, points=line.points,
            detail=order.reason, staff=order.staff_id,
        )  # fmt: skip
    return Grant(
        slot=line.slot, account=line.account_id, terminal=OFFICE_TERMINAL, txid=txid, points=line.points,
        funder=order.funder_id, lot_kind=order.lot_kind, expires_on=order.expires_on, detail=order.reason,
        staff=order.staff_id,
    )  # fmt: skip


def _undecided(
    connection: Connection,
    order: PointOrder | None,
    needs: str,
    by: Actor,
    funder: int | None,
    units: frozenset[int] | None,
) -> Refused | None:
    """Why this person may not decide now."""
    if order is None:
        return Refused("gone")
    if order.state != "waiting" or order.needs != needs:
        return Refused("changed")
    if order.staff_id == by.staff_id:
        return Refused("own")
    if funder is not None and order.funder_id != funder:
        return Refused("funder")
    return None if reaches(connection, order.id, units) else Refused("units")


def _begin(
    connection: Connection, order: PointOrder, needs: str, by: Actor, note: str | None, now: datetime
) -> PointOrder | Refused:
    """Take the points from the budget and carry the order out: at once when it is one step, else by a job."""
    budget, today = None, business_date(connection)
    if today is None:
        return Refused("day")
    if order.funder_id == order.tenant_id and order.lot_kind in {"granted", "promotional"}:
        budget, fits = reserve(connection, enterprise=order.tenant_id, day=today, points=order.points)
        if budget is not None and not fits:
            return Refused("budget", budget.left)
    borne = None if budget is None else budget.id
    _decide(connection, order, "approved", needs=needs, by=by, note=note, now=now, budget=borne)
    if order.members <= STEP_LINES:
        carry_on(connection, order.id, now)
    else:
        _start_job(connection, order, by, now)
    return _again(connection, order)


def _decide(
    connection: Connection,
    order: PointOrder,
    state: str,
    *,
    needs: str | None = None,
    by: Actor | None = None,
    note: str | None = None,
    now: datetime | None = None,
    budget: int | None = None,
) -> None:
    connection.execute(
        DECIDE,
        {
            "id": order.id,
            "state": state,
            "needs": needs or order.needs,
            "staff": None if by is None else by.staff_id,
            "name": None if by is None else by.name,
            "at": now,
            "note": note,
            "budget": budget,
            "budget_points": 0 if budget is None else order.points,
        },
    )


def _start_job(connection: Connection, order: PointOrder, by: Actor, now: datetime) -> None:
    told = {"order": order.id}
    job = jobs.start(
        connection, JOB, tenant=order.tenant_id, actor=by, told=told, total=order.members, now=now
    )
    connection.execute(SET_JOB, {"id": order.id, "job": job})


def _again(connection: Connection, order: PointOrder) -> PointOrder:
    found = lock_order(connection, order.id)
    assert found is not None
    return found


def _step(connection: Connection, job: jobs.Job, now: datetime) -> jobs.Job:
    """A step of the job. The trail hears of the end."""
    order = int(job.told["order"])
    posted, last = carry_on(connection, order, now)
    done = min(job.done + posted, job.total or 0)
    if not last:
        return job.went_on(done=done)
    found = read_order(connection, order)
    points = 0 if found is None else found.approved_points
    told = {"state": "done", "points": points}
    trail.record(
        connection, job.actor, "point_order.done", tenant=job.tenant_id, kind="point_order", id=order,
        after=told, now=now,
    )  # fmt: skip
    return job.went_on(done=done, state="done", result={"points": points})


STEPS: jobs.Steps = {JOB: _step}
"""What the worker of the jobs is to be told."""
