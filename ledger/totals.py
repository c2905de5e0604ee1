"""What days come to: closed ones added up once into day_total, the open one from its transactions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from ledger.database import Database, Scope
from ledger.walks import NO_BOUND, Whose, walk_of

__all__ = ["Figures", "Line", "PartFigures", "Totals", "add_up", "add_up_next", "figures", "parts", "totals"]

# Whoever adds a day up locks its row: two programs never do the same one.
NEXT = text(
    """SELECT date, first_transaction,
              (SELECT min(n.first_transaction) FROM business_day n WHERE n.date > d.date) AS following
       FROM business_day d
       WHERE added_up_at IS NULL AND status = 'closed' ORDER BY date LIMIT 1 FOR UPDATE SKIP LOCKED"""
)
# A reversed hold gave no points back.
POINTS = "CASE WHEN kind = 'reversal' AND reverses IS NULL THEN 0 ELSE points END"
ADD_UP = text(
    f"""
WITH added AS (
    SELECT enterprise_id, merchant_id, store_id, service_id, kind, code = 0 AS approved,
           coalesce(currency, '') AS currency, count(*) AS count, sum({POINTS})::bigint AS points,
           coalesce(sum(settlement_minor), 0)::bigint AS money,
           GROUPING(enterprise_id, merchant_id, store_id, service_id) AS level
    FROM transaction WHERE id >= :first AND id < :following AND business_date = :date
    GROUP BY kind, code = 0, coalesce(currency, ''),
             GROUPING SETS ((), (enterprise_id), (merchant_id), (enterprise_id, merchant_id),
                            (merchant_id, store_id), (merchant_id, service_id))
)
INSERT INTO day_total (tenant_id, part, date, part_id, kind, approved, currency, count, points,
                       settlement_minor)
SELECT p.tenant_id, p.part, :date, p.part_id, kind, approved, currency, count, points, money
FROM added, LATERAL (VALUES
    (15, 0, 'all', 0), (7, 0, 'enterprise', enterprise_id), (7, enterprise_id, 'all', 0),
    (11, 0, 'merchant', merchant_id), (11, merchant_id, 'all', 0),
    (3, enterprise_id, 'merchant', merchant_id), (9, merchant_id, 'store', store_id),
    (10, merchant_id, 'service', service_id)
) AS p(level, tenant_id, part, part_id)
WHERE p.level = added.level AND num_nulls(p.tenant_id, p.part_id) = 0"""
)
ADDED_UP = text("UPDATE business_day SET added_up_at = coalesce(:now, clock_timestamp()) WHERE date = :date")

STORED = text(
    """SELECT date, kind, approved, currency, 0::bigint AS part_id, sum(count)::bigint AS count,
              sum(points)::bigint AS points, sum(settlement_minor)::bigint AS settlement_minor
       FROM day_total WHERE tenant_id = :tenant AND part = :part AND date >= :since
         AND date <> ALL(CAST(:live AS date[]))
       GROUP BY date, kind, approved, currency"""
)
STORED_PARTS = text(
    """SELECT part_id, kind, approved, currency, sum(count)::bigint AS count, sum(points)::bigint AS points,
              sum(settlement_minor)::bigint AS settlement_minor
       FROM day_total WHERE tenant_id = :tenant AND part = :part AND date >= :since AND approved
         AND date <> ALL(CAST(:live AS date[]))
       GROUP BY part_id, kind, approved, currency"""
)
# Days that are not added up yet: the open one, and for a moment the one before it.
OPEN_DAYS = text(
    """SELECT date, first_transaction FROM business_day
       WHERE added_up_at IS NULL AND date >= :since ORDER BY date DESC LIMIT :most"""
)
LIVE = """
WITH g AS MATERIALIZED (
    SELECT business_date AS date, kind, code = 0 AS approved, coalesce(currency, '') AS currency,
           coalesce({part}, 0) AS part_id, terminal_id, count(*) AS count, sum({points})::bigint AS points,
           coalesce(sum(settlement_minor), 0)::bigint AS money
    FROM transaction WHERE {where} AND business_date >= :since GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT date, kind, approved, currency, part_id, sum(count)::bigint AS count, sum(points)::bigint AS points,
       sum(money)::bigint AS settlement_minor,
       (SELECT count(DISTINCT terminal_id) FROM g WHERE terminal_id <> 0 AND date = :open) AS terminals
FROM g GROUP BY 1, 2, 3, 4, 5"""

# Beneath row level security the planner expects a row or two and sorts what are tens of thousands: a day
# took fifteen times as long as with a hash.
SORTS = text("SELECT set_config('enable_sort', :may, true)")

LIVE_DAYS = 3  # more are not added up while a page waits

SPENT = frozenset({"redeem", "capture"})
BACK = frozenset({"refund", "reversal"})


@dataclass(frozen=True, slots=True)
class Line:
    """Transactions of a kind and outcome on a date, of one part (a merchant, or a merchant's service)."""

    date: date
    kind: str
    approved: bool
    currency: str
    part_id: int
    count: int
    points: int
    settlement_minor: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What transactions come to. `spent` and `granted` as booked; `back` was refunded or reversed.

    `owed` is money to merchants, in minor units by currency: of what was sold, less what came back.
    """

    count: int = 0
    refused: int = 0
    spent: int = 0
    back: int = 0
    granted: int = 0
    owed: tuple[tuple[str, int], ...] = ()

    @property
    def refused_share(self) -> float:
        """From 0 to 1; for showing only."""
        return self.refused / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class PartFigures:
    """The figures of a merchant, or of a merchant's service, in the whole time."""

    part_id: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Totals:
    """`lines` by date of the whole; `parts` by part, without dates; `terminals` that sold on the open date.

    `behind` counts closed days that are not in it, because nobody has added them up yet.
    """

    lines: list[Line]
    parts: dict[int, list[Line]]
    open_date: date | None
    terminals: int
    behind: int


def add_up(database: Database, now: datetime | None) -> date | None:
    """Add the oldest closed day up that is not, in a transaction of its own; None when there is none.

    Harmless however often and in how many programs it is done. `now` None is the database's clock.
    """
    with database.transaction(Scope.everything()) as connection:
        return add_up_next(connection, now)


def add_up_next(connection: Connection, now: datetime | None) -> date | None:
    """The same in a transaction that sees everything."""
    found = connection.execute(NEXT).one_or_none()
    if found is None:
        return None
    until = NO_BOUND if found.following is None else found.following
    connection.execute(ADD_UP, {"first": found.first_transaction, "following": until, "date": found.date})
    connection.execute(ADDED_UP, {"date": found.date, "now": now})
    closed: date = found.date
    return closed


def totals(connection: Connection, whose: Whose, since: date, *, parts_since: date | None = None) -> Totals:
    """What the days from `since` on come to, for who asks; parts from `parts_since` on (None: `since`).

    Parts are merchants for operator and enterprises, and services for a merchant. Where the scope names
    units, closed days are those of its stores, and parts those of days that are not added up yet.
    """
    tenant = 0 if whose.everybody else whose.tenant_id
    parts_since = parts_since or since
    # A day that is being added up meanwhile is read once: which days are not, is asked before all else.
    days = connection.execute(OPEN_DAYS, {"since": since, "most": 1000}).all()
    not_added = {"live": [row.date for row in days]}
    asked: dict[str, Any] = {
        "tenant": tenant,
        "part": "store" if whose.narrowed else "all",
        "since": since,
    } | not_added
    lines = [Line(**row._asdict()) for row in connection.execute(STORED, asked)]
    asked = {"tenant": tenant, "part": "service" if whose.kind == "merchant" else "merchant"} | not_added
    by_part: dict[int, list[Line]] = {}
    for row in connection.execute(STORED_PARTS, asked | {"since": parts_since}):
        by_part.setdefault(row.part_id, []).append(Line(date=parts_since, **row._asdict()))
    live, open_date, terminals, behind = _live(connection, whose, days)
    for line in live:
        if line.date >= parts_since and line.part_id:
            by_part.setdefault(line.part_id, []).append(line)
    return Totals(lines + live, by_part, open_date, terminals, behind)


def _live(
    connection: Connection, whose: Whose, days: Sequence[Row[Any]]
) -> tuple[list[Line], date | None, int, int]:
    if not days:
        return [], None, 0, 0
    read = days[:LIVE_DAYS]
    part = "service_id" if whose.kind == "merchant" else "merchant_id"
    sql = LIVE.format(part=part, points=POINTS, where=walk_of(whose.kind).where)
    asked = {
        "before": NO_BOUND, "least": read[-1].first_transaction, "since": read[-1].date, "open": days[0].date,
    }  # fmt: skip
    if not whose.everybody:
        asked["walk"] = whose.tenant_id
    lines, terminals = [], 0
    connection.execute(SORTS, {"may": "off"})
    rows = connection.execute(text(sql), asked).all()
    connection.execute(SORTS, {"may": "on"})
    for row in rows:
        told = row._asdict()
        terminals = told.pop("terminals")
        lines.append(Line(**told))
    return lines, days[0].date, terminals, len(days) - len(read)


def figures(lines: Iterable[Line]) -> Figures:
    """What the lines come to."""
    count = refused = spent = back = granted = 0
    owed: dict[str, int] = {}
    for line in lines:
        count += line.count
        if not line.approved:
            refused += line.count
        elif line.kind in SPENT:
            spent += line.points
            owed[line.currency] = owed.get(line.currency, 0) + line.settlement_minor
        elif line.kind in BACK and line.points:
            back += line.points
            owed[line.currency] = owed.get(line.currency, 0) - line.settlement_minor
        elif line.kind == "grant":
            granted += line.points
    return Figures(count, refused, spent, back, granted, tuple(sorted(owed.items())))


def parts(by_part: dict[int, list[Line]], *, most: int) -> list[PartFigures]:
    """The parts that redeemed the most points, first the greatest."""
    found = [PartFigures(part, figures(lines)) for part, lines in by_part.items()]
    found.sort(key=lambda part: (-part.figures.spent, part.part_id))
    return [part for part in found if part.figures.spent][:most]
