"""Day's end of a terminal: the totals of its batch against ours, then, where they differ, item by item.

Nothing here moves points. A batch is closed by its reconciliation whether it agrees or not; what comes
for it later is booked on the open business date, and is named `late` when the batch is compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from ledger.books import NoOpenDay
from ledger.businessday import hold_date
from ledger.statements import TERMINAL_LOCK

__all__ = ["KINDS", "BatchTotal", "Compared", "Item", "Reconciled", "Result", "compare", "reconcile"]

KINDS = ("redeem", "hold", "capture", "release", "refund", "reversal")  # what a terminal adds up
# A terminal's advice may be stored while it has no line, and comes with the batch of that day or a later one.
BATCHES_BACK = 14

# In the order of the books: the day first. What is being posted for the terminal commits before the totals
# are added up, and is in them; what comes later waits, and is dated after the closing.
LOCK_POSTINGS = text("SELECT pg_advisory_xact_lock(:key)")
LOCK_TERMINAL = text("SELECT tenant_id, last_batch FROM terminal WHERE id = :terminal FOR NO KEY UPDATE")
CLOCK = text("SELECT clock_timestamp()")
RECORDED = text(
    """SELECT b.batch, b.code, b.business_date FROM terminal_batch b
       WHERE b.terminal_id = :terminal AND b.txid = :txid"""
)
RECORDED_TOTALS = text(
    """SELECT kind, terminal_count, terminal_points, server_count, server_points
       FROM terminal_batch_total WHERE terminal_id = :terminal AND batch = :batch"""
)
# Counted as the terminal counts: what was approved and moved or reserved points. By transaction_batch_idx.
TOTALS = text(
    """SELECT kind, count(*), sum(points)::int8 FROM transaction
       WHERE terminal_id = :terminal AND batch = :batch AND code = 0 AND points > 0 AND kind = ANY(:kinds)
       GROUP BY kind"""
)
INSERT_BATCH = text(
    """INSERT INTO terminal_batch (terminal_id, batch, tenant_id, txid, code, business_date, reconciled_at)
       VALUES (:terminal, :batch, :tenant, :txid, :code, :business_date, :now)"""
)
INSERT_TOTALS = text(
    """INSERT INTO terminal_batch_total (terminal_id, batch, kind, tenant_id, terminal_count, terminal_points,
                                         server_count, server_points)
       VALUES (:terminal, :batch, :kind, :tenant, :terminal_count, :terminal_points, :server_count,
               :server_points)"""
)
CLOSE_BATCH = text("UPDATE terminal SET last_batch = :batch WHERE id = :terminal")

BATCH = text(
    """SELECT t.tenant_id, b.reconciled_at FROM terminal t
       LEFT JOIN terminal_batch b ON b.terminal_id = t.id AND b.batch = :batch WHERE t.id = :terminal"""
)
# A batch may be as long as a terminal likes, so what became of a row is asked only of those that are kept,
# and of each by itself: OFFSET 0 keeps the planner from reading the whole table for many.
FOUND = """SELECT t.txid, t.kind, t.code, t.points, t.business_date, t.batch, t.posted_at,
       (EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                AND r.reverses = t.id OFFSET 0)
        OR EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                   AND r.ends = t.id AND r.kind <> 'capture' OFFSET 0)) AS undone
FROM found t"""
LISTED = text(
    f"""WITH found AS MATERIALIZED (
            SELECT * FROM transaction
            WHERE terminal_id = :terminal AND batch = :batch AND txid = ANY(:txids)
        ) {FOUND}"""
)
# What the terminal should have listed in a range of ids: one more than fits says that there is more.
EXPECTED = text(
    f"""WITH found AS MATERIALIZED (
            SELECT * FROM transaction
            WHERE terminal_id = :terminal AND batch = :batch
              AND code = 0 AND points > 0 AND kind = ANY(:kinds)
              AND (CAST(:after AS uuid) IS NULL OR txid > :after)
              AND (CAST(:until AS uuid) IS NULL OR txid <= :until)
            ORDER BY txid LIMIT :most + 1
        ) {FOUND} ORDER BY t.txid"""
)
# A tombstone is of no batch, but the reversal that left it is, and stands in the same account.
ELSEWHERE = text(
    f"""WITH found AS MATERIALIZED (
            SELECT * FROM transaction
            WHERE terminal_id = :terminal AND batch >= :oldest AND txid = ANY(:txids)
            UNION ALL
            SELECT t.* FROM (
                SELECT DISTINCT slot, account_id, terminal_id FROM transaction
                WHERE terminal_id = :terminal AND batch >= :oldest AND kind = 'reversal'
                  AND detail = 'never_seen'
            ) r JOIN transaction t ON t.slot = r.slot AND t.account_id = r.account_id
                     AND t.terminal_id = r.terminal_id AND t.txid = ANY(:txids) AND t.batch IS NULL
        ) {FOUND}"""
)
# The newest word counts; what agrees leaves a row only where an earlier upload named a difference.
NOTE = text(
    """INSERT INTO batch_difference (terminal_id, batch, txid, tenant_id, outcome, kind, terminal_state,
                                     terminal_points, server_code, server_points, noted_at)
       SELECT :terminal, :batch, :txid, :tenant, :outcome, :kind, :terminal_state,
              CAST(:terminal_points AS int8), CAST(:server_code AS int2), CAST(:server_points AS int8), :now
       WHERE :outcome <> 'agrees' OR EXISTS (
           SELECT FROM batch_difference WHERE terminal_id = :terminal AND batch = :batch AND txid = :txid)
       ON CONFLICT (terminal_id, batch, txid) DO UPDATE
       SET outcome = excluded.outcome, kind = excluded.kind, terminal_state = excluded.terminal_state,
           terminal_points = excluded.terminal_points, server_code = excluded.server_code,
           server_points = excluded.server_points, noted_at = excluded.noted_at"""
)

APPROVED, OUT_OF_BALANCE, TXID_REUSED, BATCH_BACKWARDS = 0, 1401, 3008, 3023  # as protocol.codes names them


@dataclass(frozen=True, slots=True)
class BatchTotal:
    """How many approved transactions of a kind, and the sum of their points."""

    kind: str
    count: int
    points: int


@dataclass(frozen=True, slots=True)
class Item:
    """A transaction as its terminal has it. `state`: approved, refused, reversed or unknown."""

    txid: UUID
    kind: str
    points: int
    state: str


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The answer to a reconciliation: 0, 1401 (closed, out of balance), 3008 or 3023 (nothing was done).

    `totals` are ours; `last_batch` is the newest that this terminal has closed. `recorded`: the answer was
    given before.
    """

    code: int
    totals: list[BatchTotal]
    last_batch: int | None
    business_date: date
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How one transaction compares. `code` and `points` are ours, `booked` our business date; None: no row.

    `outcome`: agrees; reply_lost (approved here, the terminal does not know); reversal_pending (the
    terminal has reversed it, we have not); late (booked after the batch was closed, or under another);
    unknown_here; unknown_there (approved here, not listed); amount_differs.
    """

    txid: UUID
    outcome: str
    kind: str
    code: int | None = None
    points: int = 0
    booked: date | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """A page of results in the order of their ids. `through`: the page was cut; go on after this id."""

    results: list[Result]
    through: UUID | None


def reconcile(
    connection: Connection,
    terminal: int,
    batch: int,
    totals: Sequence[BatchTotal],
    *,
    txid: UUID,
    now: datetime | None,
) -> Reconciled:
    """Close a terminal's batch: its totals against ours. Asked again under the same txid, the same answer.

    A kind that is left out has none. `now` None is the database's clock, as for the books. Waits for what
    is being posted for the terminal. Raises NoOpenDay.
    """
    asked = {"terminal": terminal, "batch": batch}
    today = hold_date(connection)
    if today is None:
        raise NoOpenDay("no business day is open")
    connection.execute(LOCK_POSTINGS, {"key": TERMINAL_LOCK + terminal})
    tenant, last_batch = connection.execute(LOCK_TERMINAL, asked).one()
    closed_at = connection.execute(CLOCK).scalar_one() if now is None else now
    theirs = _by_kind(totals)
    recorded = connection.execute(RECORDED, {"terminal": terminal, "txid": txid}).one_or_none()
    if recorded is not None:
        again = (
            _recorded(connection, terminal, recorded, theirs, last_batch) if recorded.batch == batch else None
        )
        return again or Reconciled(TXID_REUSED, [], last_batch, today)
    if last_batch is not None and batch <= last_batch:
        return Reconciled(BATCH_BACKWARDS, [], last_batch, today)
    ours = _by_kind(BatchTotal(*row) for row in connection.execute(TOTALS, asked | {"kinds": list(KINDS)}))
    code = APPROVED if theirs == ours else OUT_OF_BALANCE
    row = asked | {"tenant": tenant}
    closing = {"txid": txid, "code": code, "business_date": today, "now": closed_at}
    connection.execute(INSERT_BATCH, row | closing)
    pairs = [row | _pair(kind, theirs, ours) for kind in KINDS if kind in theirs or kind in ours]
    if pairs:
        connection.execute(INSERT_TOTALS, pairs)
    connection.execute(CLOSE_BATCH, asked)
    return Reconciled(code, _listed(ours), batch, today)


def compare(
    connection: Connection,
    terminal: int,
    batch: int,
    items: Sequence[Item],
    *,
    after: UUID | None,
    last: bool,
    now: datetime,
    most: int,
) -> Compared:
    """One page of a batch, item by item: those above `after`, and to the end of the batch when `last`.

    What only we have in that range of ids is named too. At most `most` results. When the batch is closed a
    difference is noted, and so is one that agrees by now where an earlier page had named it.
    """
    listed = {item.txid: item for item in items if after is None or item.txid > after}
    if not listed and not last:
        return Compared([], None)
    asked = {"terminal": terminal, "batch": batch}
    tenant, closed_at = connection.execute(BATCH, asked).one()
    span = {"after": after, "until": None if last else max(listed), "most": most}
    expected = connection.execute(EXPECTED, {**asked, **span, "kinds": list(KINDS)}).all()
    rows = _rows(connection, asked, listed, expected)
    # Beyond the last of a full list we do not know what we have.
    full = expected[most].txid if len(expected) > most else None
    txids = sorted(txid for txid in listed.keys() | rows.keys() if full is None or txid <= full)
    shown = [_result(txid, listed.get(txid), rows.get(txid), batch, closed_at) for txid in txids[:most]]
    if shown and closed_at is not None:
        row = asked | {"tenant": tenant, "now": now}
        connection.execute(NOTE, [row | _noted(result, listed.get(result.txid)) for result in shown])
    return Compared(shown, shown[-1].txid if full is not None or len(txids) > most else None)


# ---- totals -------------------------------------------------------------------------------------


def _by_kind(totals: Iterable[BatchTotal]) -> dict[str, tuple[int, int]]:
    """Count and points of each kind that has any."""
    found: dict[str, tuple[int, int]] = {}
    for total in totals:
        count, points = found.get(total.kind, (0, 0))
        found[total.kind] = (count + total.count, points + total.points)
    return {kind: sums for kind, sums in found.items() if sums != (0, 0)}


def _listed(by_kind: Mapping[str, tuple[int, int]]) -> list[BatchTotal]:
    return [BatchTotal(kind, *by_kind[kind]) for kind in KINDS if kind in by_kind]


def _pair(
    kind: str, theirs: Mapping[str, tuple[int, int]], ours: Mapping[str, tuple[int, int]]
) -> dict[str, Any]:
    terminal_count, terminal_points = theirs.get(kind, (0, 0))
    server_count, server_points = ours.get(kind, (0, 0))
    return {
        "kind": kind,
        "terminal_count": terminal_count,
        "terminal_points": terminal_points,
        "server_count": server_count,
        "server_points": server_points,
    }


def _recorded(
    connection: Connection,
    terminal: int,
    recorded: Row[Any],
    theirs: Mapping[str, tuple[int, int]],
    last_batch: int | None,
) -> Reconciled | None:
    """The answer that was given under this txid; None when other totals were told then."""
    totals = connection.execute(RECORDED_TOTALS, {"terminal": terminal, "batch": recorded.batch}).all()
    if _by_kind(BatchTotal(row.kind, row.terminal_count, row.terminal_points) for row in totals) != theirs:
        return None
    ours = _by_kind(BatchTotal(row.kind, row.server_count, row.server_points) for row in totals)
    return Reconciled(recorded.code, _listed(ours), last_batch, recorded.business_date, recorded=True)


# ---- items --------------------------------------------------------------------------------------


def _rows(
    connection: Connection,
    asked: Mapping[str, int],
    listed: Mapping[UUID, Item],
    expected: Iterable[Row[Any]],
) -> dict[UUID, Row[Any]]:
    """Our rows of a page, by txid: `expected`, those that are listed, and of these from elsewhere."""
    batch = connection.execute(LISTED, {**asked, "txids": list(listed)}) if listed else ()
    rows = _one_each((*batch, *expected))
    missing = [txid for txid in listed if txid not in rows]
    if missing:
        elsewhere = {**asked, "txids": missing, "oldest": asked["batch"] - BATCHES_BACK}
        rows |= _one_each(connection.execute(ELSEWHERE, elsewhere))
    return rows


def _one_each(rows: Iterable[Row[Any]]) -> dict[UUID, Row[Any]]:
    """By txid. A key names an account too, so one txid may have several rows: what was approved counts."""
    return {row.txid: row for row in sorted(rows, key=lambda row: (row.code == APPROVED, row.points))}


def _result(
    txid: UUID, item: Item | None, row: Row[Any] | None, batch: int, closed_at: datetime | None
) -> Result:
    if row is None:
        assert item is not None
        known = item.state in ("approved", "reversed")
        return Result(txid, "unknown_here" if known else "agrees", item.kind)
    late = row.batch != batch or (closed_at is not None and row.posted_at > closed_at)
    return Result(
        txid,
        "unknown_there" if item is None else _outcome(item, row, late=late),
        row.kind if item is None or row.kind in KINDS else item.kind,
        row.code,
        row.points,
        row.business_date,
    )


def _outcome(item: Item, row: Row[Any], *, late: bool) -> str:
    """What a terminal has of a transaction against our row of it."""
    moved = row.code == APPROVED and row.points > 0
    match item.state:
        case "unknown" | "refused":
            return "reply_lost" if moved else "agrees"
        case "reversed":
            return "reversal_pending" if moved and not row.undone else "agrees"
    if row.code != APPROVED or (row.kind, row.points) != (item.kind, item.points):
        return "amount_differs"
    return "late" if late else "agrees"


def _noted(result: Result, item: Item | None) -> dict[str, Any]:
    return {
        "txid": result.txid,
        "outcome": result.outcome,
        "kind": result.kind,
        "terminal_state": None if item is None else item.state,
        "terminal_points": None if item is None else item.points,
        "server_code": result.code,
        "server_points": None if result.code is None else result.points,
    }
