"""Orders of points: grants, top-ups and adjustments, with a line for each account; made, read and listed.

What becomes of one, is decided in ledger.point_steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, text

from ledger.point_lines import LINES_MOST, Line, MemberFilter

__all__ = [
    "STATES", "LineShown", "NewOrder", "Nobody", "PointOrder", "TooMany", "count_by_state",
    "draft", "draft_by_filter", "list_orders", "lock_order", "order_lines", "read_order", "reaches",
    "unit_of", "waiting_count", "waiting_for",
]  # fmt: skip

STATES = ("draft", "waiting", "approved", "refused", "withdrawn", "done")

INSERT = text(
    """INSERT INTO point_order (tenant_id, organisation_id, kind, takes, needs, reason, funder_id, lot_kind,
            expires_on, members, points, paid_minor, currency, payment, reference, staff_id, staff_name,
            created_at)
       VALUES (:tenant, :unit, :kind, :takes, 'nothing', :reason, :funder, :lot_kind, :expires_on, :members,
            :points, :paid_minor, :currency, :payment, :reference, :staff, :staff_name, :now)
       RETURNING id"""
)
INSERT_LINES = text(
    """INSERT INTO point_order_line (order_id, number, tenant_id, slot, account_id, points)
       SELECT :order, k.number, :tenant, k.slot, k.account, k.points
       FROM unnest(CAST(:slots AS int2[]), CAST(:accounts AS int8[]), CAST(:points AS int8[]))
            WITH ORDINALITY AS k(slot, account, points, number)"""
)
# Below a unit is all of its subtree. One more than may be is read, to know that it is too many.
BY_FILTER = text(
    """WITH RECURSIVE below AS (
           SELECT id FROM organisation WHERE tenant_id = :tenant AND id = CAST(:unit AS bigint)
           UNION ALL
           SELECT o.id FROM organisation o JOIN below b ON o.parent_id = b.id WHERE o.tenant_id = :tenant
       )
       SELECT a.slot, a.id AS account
       FROM member m JOIN account a ON a.member_id = m.id AND a.enterprise_id = :tenant
       WHERE m.enterprise_id = :tenant AND m.status = 'active' AND a.status = 'open'
         AND (CAST(:unit AS bigint) IS NULL
              OR coalesce(m.organisation_id, m.enterprise_id) IN (SELECT id FROM below))
         AND (CAST(:since AS timestamptz) IS NULL OR m.created_at >= :since)
         AND (CAST(:until AS timestamptz) IS NULL OR m.created_at < :until)
         AND (CAST(:product AS bigint) IS NULL
              OR EXISTS (SELECT FROM card c WHERE c.slot = a.slot AND c.account_id = a.id
                         AND c.product_id = :product AND c.status IN ('issued', 'active', 'suspended')))
       ORDER BY a.slot, a.id LIMIT :most"""
)
COLUMNS = """o.id, o.tenant_id, t.name AS tenant, o.organisation_id, o.kind, o.takes, o.state, o.needs,
    o.reason, o.funder_id, f.name AS funder, o.lot_kind, o.expires_on, o.members, o.points, o.paid_minor,
    o.currency, o.payment, o.reference, o.staff_id, o.staff_name, o.created_at, o.decided_by, o.decided_name,
    o.decided_at, o.note, o.budget_id, o.budget_points, o.job_id, o.asked, o.approved, o.approved_points"""
ORDERS = f"""SELECT {COLUMNS} FROM point_order o
    LEFT JOIN organisation t ON t.id = o.tenant_id LEFT JOIN organisation f ON f.id = o.funder_id"""
READ = text(f"{ORDERS} WHERE o.id = :id")
LOCK = text("SELECT id FROM point_order WHERE id = :id FOR UPDATE")
# A draft is nobody's business but its maker's.
LIST = text(
    f"""{ORDERS}
        WHERE o.id < :before AND (o.state <> 'draft' OR o.staff_id = :staff)
          AND (CAST(:state AS text) IS NULL OR o.state = :state)
        ORDER BY o.id DESC LIMIT :most"""
)
COUNTS = text(
    """SELECT state, count(*) AS orders FROM point_order
       WHERE state <> 'draft' OR staff_id = :staff GROUP BY state"""
)
WAITING = text("SELECT count(*) FROM point_order WHERE state = 'waiting'")
# Where the scope names units, it shows the lines of their members only: an order with others is not theirs.
WAITING_FOR = text(
    """SELECT count(*) FROM point_order o
       WHERE state = 'waiting' AND staff_id <> :staff AND needs = ANY(CAST(:needs AS text[]))
         AND (coalesce(current_setting('tessera.units', true), '') = ''
              OR members = (SELECT count(*) FROM point_order_line l WHERE l.order_id = o.id))
         AND (needs = 'payment' OR funder_id = tenant_id OR current_setting('tessera.tenant', true) = '0')"""
)
# Asked by a scope that sees all of the tenant: a line whose member is in none of the units.
BEYOND = text(
    """SELECT EXISTS (
           SELECT FROM point_order_line l
           JOIN account a ON a.slot = l.slot AND a.id = l.account_id
           JOIN member m ON m.id = a.member_id
           WHERE l.order_id = :order
             AND coalesce(m.organisation_id, m.enterprise_id) <> ALL(CAST(:units AS bigint[])))"""
)
# The member is looked up for the lines of the page only.
LINES = text(
    """SELECT l.number, l.points, l.code, l.transaction_id, m.code AS member, l.slot, l.account_id
       FROM (SELECT * FROM point_order_line
             WHERE order_id = :order AND number > :after AND (NOT :refused OR code <> 0)
             ORDER BY number LIMIT :most) l
       LEFT JOIN LATERAL (SELECT m.code FROM account a JOIN member m ON m.id = a.member_id
                          WHERE a.slot = l.slot AND a.id = l.account_id LIMIT 1) m ON true
       ORDER BY l.number"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """What is ordered, and by whom. `kind`: grant, topup or adjust; `lot_kind` None takes points back.

    A top-up says what was paid (`paid_minor` in `currency`) and how (cash, card or transfer).
    """

    tenant: int
    unit: int
    kind: str
    reason: str
    funder: int
    staff: int
    staff_name: str
    lot_kind: str | None = "granted"
    expires_on: date | None = None
    paid_minor: int | None = None
    currency: str | None = None
    payment: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOrder:
    """An order as it is now. `tenant` and `funder` are names, None where the scope does not show them.

    Of its lines `asked` have an outcome, `approved` of these are booked, with `approved_points`.
    """

    id: int
    tenant_id: int
    tenant: str | None
    organisation_id: int
    kind: str
    takes: bool
    state: str
    needs: str
    reason: str
    funder_id: int
    funder: str | None
    lot_kind: str | None
    expires_on: date | None
    members: int
    points: int
    paid_minor: int | None
    currency: str | None
    payment: str | None
    reference: str | None
    staff_id: int
    staff_name: str
    created_at: datetime
    decided_by: int | None
    decided_name: str | None
    decided_at: datetime | None
    note: str | None
    budget_id: int | None
    budget_points: int
    job_id: int | None
    asked: int
    approved: int
    approved_points: int


@dataclass(frozen=True, slots=True)
class LineShown:
    """A line with what the books answered: `code` 0 is approved, None not asked yet. `member`: the code."""

    number: int
    points: int
    code: int | None
    transaction_id: int | None
    member: str | None
    slot: int
    account_id: int


class Nobody(Exception):
    """An order for no account at all."""


class TooMany(Exception):
    """An order for more than LINES_MOST accounts."""


def unit_of(tenant: int, units: frozenset[int] | None) -> int:
    """The unit that an order is of, made by who holds the right to over `units` (None: the whole tenant)."""
    return tenant if not units else min(units)  # a unit is older than those below it


def draft(connection: Connection, order: NewOrder, lines: Sequence[Line], now: datetime) -> int:
    """A new order, as a draft: its maker looks at it before it counts. Returns its id.

    Nobody, TooMany. An account that stands in `lines` twice breaks a constraint.
    """
    if not lines:
        raise Nobody
    if len(lines) > LINES_MOST:
        raise TooMany
    new: int = connection.execute(
        INSERT,
        {
            "tenant": order.tenant,
            "unit": order.unit,
            "kind": order.kind,
            "takes": order.kind == "adjust" and order.lot_kind is None,
            "reason": order.reason,
            "funder": order.funder,
            "lot_kind": order.lot_kind,
            "expires_on": order.expires_on,
            "members": len(lines),
            "points": sum(line.points for line in lines),
            "paid_minor": order.paid_minor,
            "currency": order.currency,
            "payment": order.payment,
            "reference": order.reference,
            "staff": order.staff,
            "staff_name": order.staff_name,
            "now": now,
        },
    ).scalar_one()
    connection.execute(
        INSERT_LINES,
        {
            "order": new,
            "tenant": order.tenant,
            "slots": [line.slot for line in lines],
            "accounts": [line.account for line in lines],
            "points": [line.points for line in lines],
        },
    )
    return new


def draft_by_filter(
    connection: Connection,
    order: NewOrder,
    which: MemberFilter,
    points: int,
    now: datetime,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """The same for all members whom the filter finds now, as far as the scope goes: `points` for each.

    `since` and `until` are the filter's days as moments. Nobody, TooMany.
    """
    told = {
        "tenant": order.tenant, "unit": which.unit, "product": which.product, "since": since, "until": until,
        "most": LINES_MOST + 1,
    }  # fmt: skip
    found = connection.execute(BY_FILTER, told)
    return draft(connection, order, [Line(row.slot, row.account, points) for row in found], now)


def read_order(connection: Connection, order: int) -> PointOrder | None:
    """The order with this id, as far as the scope shows it."""
    row = connection.execute(READ, {"id": order}).mappings().one_or_none()
    return None if row is None else _order(row)


def lock_order(connection: Connection, order: int) -> PointOrder | None:
    """The same; nobody else decides about it until the transaction ends."""
    connection.execute(LOCK, {"id": order})
    return read_order(connection, order)


def reaches(connection: Connection, order: int, units: frozenset[int] | None) -> bool:
    """Whether all members of an order are of these units; None stands for the whole tenant.

    Only in a scope that sees all of the tenant: of a narrower one's lines it knows no others.
    """
    if units is None:
        return True
    told = {"order": order, "units": sorted(units)}
    return not connection.execute(BEYOND, told).scalar_one()


def list_orders(
    connection: Connection, *, staff: int, state: str | None = None, before: int = 2**63 - 1, most: int
) -> list[PointOrder]:
    """The newest orders of the scope with ids below `before`; of drafts only those that `staff` made."""
    told = {"staff": staff, "state": state, "before": before, "most": most}
    return [_order(row) for row in connection.execute(LIST, told).mappings()]


def count_by_state(connection: Connection, staff: int) -> dict[str, int]:
    """How many orders of the scope there are in each state, and under "all"."""
    counts = {row.state: int(row.orders) for row in connection.execute(COUNTS, {"staff": staff})}
    return {"all": sum(counts.values())} | {state: counts.get(state, 0) for state in STATES}


def waiting_count(connection: Connection) -> int:
    """How many orders of the scope wait for a second person, or for a payment to arrive."""
    return int(connection.execute(WAITING).scalar_one())


def waiting_for(connection: Connection, *, staff: int, permissions: frozenset[str]) -> int:
    """How many of them this person may decide: none of their own, nor, for an enterprise, the operator's.

    In the scope of their right to decide.
    """
    needs = [
        need
        for need, permission in (("approval", "points.approve"), ("payment", "points.confirm"))
        if permission in permissions
    ]
    told = {"staff": staff, "needs": needs}
    return int(connection.execute(WAITING_FOR, told).scalar_one())


def order_lines(
    connection: Connection, order: int, *, after: int = 0, refused: bool = False, most: int
) -> list[LineShown]:
    """The lines with numbers above `after`, as far as the scope shows them; `refused`: only those."""
    told = {"order": order, "after": after, "refused": refused, "most": most}
    return [LineShown(*row) for row in connection.execute(LINES, told)]


def _order(row: RowMapping) -> PointOrder:
    return PointOrder(**row)
