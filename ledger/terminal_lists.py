"""Terminals as pages show them: lists, one with its batches, stores that may get one. Reading only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, Row, text

__all__ = [
    "Batch", "Difference", "KindTotals", "Status", "Store", "TerminalLine", "batches", "count_by_status",
    "find_terminal", "list_terminals", "stores",
]  # fmt: skip

Status: TypeAlias = Literal["all", "created", "active", "revoked"]

LINE = """
SELECT t.id, t.name, t.kind, t.status, t.tenant_id AS merchant_id, m.name AS merchant, t.store_id,
       s.name AS store, t.model, t.software, t.last_login_at, t.key_since, t.key_change_asked, t.clock_off_s,
       t.last_batch, b.code = 0 AS balanced, p.connected_until, p.heard_at
FROM terminal t
JOIN organisation m ON m.id = t.tenant_id
JOIN organisation s ON s.id = t.store_id
LEFT JOIN terminal_batch b ON b.terminal_id = t.id AND b.batch = t.last_batch
LEFT JOIN terminal_presence p ON p.terminal_id = t.id
WHERE t.kind <> 'office' AND """
MATCHES = """(:words = '' OR strpos(lower(t.name), lower(:words)) > 0
              OR strpos(lower(s.name), lower(:words)) > 0 OR strpos(lower(m.name), lower(:words)) > 0)"""
LIST = text(
    f"""{LINE} {MATCHES} AND (:status = 'all' OR t.status = :status)
        AND (CAST(:merchant AS int8) IS NULL OR t.tenant_id = :merchant)
        AND (CAST(:store AS int8) IS NULL OR t.store_id = :store)
        AND (CAST(:after AS int8) IS NULL OR (m.name, m.id, s.name, s.id, t.name, t.id) > (
            SELECT am.name, am.id, st.name, st.id, a.name, a.id FROM terminal a
            JOIN organisation am ON am.id = a.tenant_id JOIN organisation st ON st.id = a.store_id
            WHERE a.id = :after))
        ORDER BY m.name, m.id, s.name, s.id, t.name, t.id LIMIT :most"""
)
ONE = text(f"{LINE} t.id = :terminal")
COUNTS = text("SELECT status, count(*) AS terminals FROM terminal WHERE kind <> 'office' GROUP BY status")
# Names of shops are public, so the scope alone would show those of other merchants too.
STORES = text(
    """SELECT s.id, s.name, m.name AS merchant
       FROM organisation s JOIN organisation m ON m.id = s.tenant_id
       WHERE s.kind = 'store' AND s.status = 'open' AND m.kind = 'merchant' AND m.status = 'open'
         AND (CAST(:merchant AS int8) IS NULL OR s.tenant_id = :merchant)
       ORDER BY m.name, m.id, s.name, s.id LIMIT :most"""
)
BATCHES = text(
    """SELECT batch, code, business_date, reconciled_at FROM terminal_batch
       WHERE terminal_id = :terminal ORDER BY batch DESC LIMIT :most"""
)
TOTALS = text(
    """SELECT batch, kind, terminal_count, terminal_points, server_count, server_points
       FROM terminal_batch_total WHERE terminal_id = :terminal AND batch = ANY(:batches)
       ORDER BY batch, array_position(
           ARRAY['redeem', 'hold', 'capture', 'release', 'refund', 'reversal'], kind)"""
)
DIFFERENCES = text(
    """SELECT batch, txid, outcome, kind, terminal_state, terminal_points, server_code, server_points,
              noted_at
       FROM batch_difference WHERE terminal_id = :terminal AND batch = ANY(:batches)
       ORDER BY batch, txid"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalLine:
    """A terminal and its place. `kind`: pos, phone or counter; `status`: created, active or revoked.

    `clock_off_s` is its clock minus ours at its last login, in seconds. `last_batch` is the newest that
    was reconciled, `balanced` whether both sides had the same totals in it. `heard_at` is its last message
    as of the newest note of its server process (ledger.presence).
    """

    id: int
    name: str
    kind: str
    status: str
    merchant_id: int
    merchant: str
    store_id: int
    store: str
    model: str | None
    software: str | None
    last_login_at: datetime | None
    key_since: datetime | None
    key_change_asked: bool
    clock_off_s: int | None
    last_batch: int | None
    balanced: bool | None
    connected_until: datetime | None = None
    heard_at: datetime | None = None

    def connected(self, now: datetime) -> bool:
        """Whether a server process has noted it as connected, and lately."""
        return self.status == "active" and self.connected_until is not None and now < self.connected_until


@dataclass(frozen=True, slots=True)
class Store:
    """A store that may get a terminal."""

    id: int
    name: str
    merchant: str


@dataclass(frozen=True, slots=True)
class KindTotals:
    """Both sides' count and points of one kind of transaction in a batch."""

    kind: str
    terminal_count: int
    terminal_points: int
    server_count: int
    server_points: int

    @property
    def agree(self) -> bool:
        return (self.terminal_count, self.terminal_points) == (self.server_count, self.server_points)


@dataclass(frozen=True, slots=True)
class Difference:
    """A transaction on which the two sides differ, or (`outcome` agrees) did differ before.

    `terminal_state`: approved, refused, reversed or unknown; what is None one side does not have.
    """

    txid: UUID
    outcome: str
    kind: str
    terminal_state: str | None
    terminal_points: int | None
    server_code: int | None
    server_points: int | None
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that a terminal ended: `balanced` when the totals were the same."""

    batch: int
    balanced: bool
    business_date: date
    reconciled_at: datetime
    totals: list[KindTotals]
    differences: list[Difference]


def list_terminals(
    connection: Connection,
    *,
    words: str = "",
    status: Status = "all",
    merchant: int | None = None,
    store: int | None = None,
    after: int | None = None,
    most: int = 100,
) -> list[TerminalLine]:
    """At most `most` terminals of the scope, by merchant, store and name; the office is none of them.

    `words` is a part of the terminal's, the store's or the merchant's name. Of one merchant or store alone
    where they are named; from the one after the terminal `after`.
    """
    words = words.strip()
    if "\x00" in words:  # PostgreSQL's text has no NUL
        return []
    asked = {"words": words, "status": status, "merchant": merchant, "store": store, "after": after}
    rows = connection.execute(LIST, asked | {"most": most})
    return [TerminalLine(**row._asdict()) for row in rows]


def count_by_status(connection: Connection) -> dict[str, int]:
    """How many terminals of the scope are created, active and revoked, and all of them together."""
    found = {row.status: row.terminals for row in connection.execute(COUNTS)}
    counts = {status: found.get(status, 0) for status in ("created", "active", "revoked")}
    return {"all": sum(counts.values()), **counts}


def find_terminal(connection: Connection, terminal: int) -> TerminalLine | None:
    """One terminal, or None when the scope shows none with this id."""
    row = connection.execute(ONE, {"terminal": terminal}).one_or_none()
    return TerminalLine(**row._asdict()) if row is not None else None


def stores(connection: Connection, *, merchant: int | None = None, most: int = 10_000) -> list[Store]:
    """The open stores of one merchant, or of all, by name, at most `most`."""
    return [Store(*row) for row in connection.execute(STORES, {"merchant": merchant, "most": most})]


def batches(connection: Connection, terminal: int, *, most: int = 30) -> list[Batch]:
    """The terminal's newest batches that were reconciled, newest first, with totals and differences."""
    asked = connection.execute(BATCHES, {"terminal": terminal, "most": most}).all()
    wanted = {"terminal": terminal, "batches": [row.batch for row in asked]}
    totals = _by_batch(connection.execute(TOTALS, wanted))
    differences = _by_batch(connection.execute(DIFFERENCES, wanted))
    return [
        Batch(
            batch=row.batch,
            balanced=row.code == 0,
            business_date=row.business_date,
            reconciled_at=row.reconciled_at,
            totals=[KindTotals(*line) for line in totals.get(row.batch, [])],
            differences=[Difference(*line) for line in differences.get(row.batch, [])],
        )
        for row in asked
    ]


def _by_batch(rows: Iterable[Row[Any]]) -> dict[int, list[tuple[Any, ...]]]:
    """The rest of each row by its first column, the batch, in which order they come."""
    return {batch: [tuple(row)[1:] for row in group] for batch, group in groupby(rows, itemgetter(0))}
