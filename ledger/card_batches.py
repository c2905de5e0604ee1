"""Batches of cards: for whom they are asked, and what came of them. The work itself is card_batch_work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from ledger.cards import Card

__all__ = [
    "BATCH_MOST", "Batch", "BatchCard", "Unit", "Wanted", "batch_cards", "batches", "card_to_print",
    "count_wanted", "create_batch", "find_batch", "known_codes", "print_cards", "units_of",
]  # fmt: skip

BATCH_MOST = 20_000  # a print shop's order; whoever needs more makes another batch of those still without

# Of an enterprise, who may get a card now. One that was closed does not count; for a lost one the member is
# to get a replacement.
WITHOUT_CARD = """
    FROM member m JOIN account a ON a.member_id = m.id
    WHERE m.enterprise_id = :enterprise AND m.status = 'active' AND a.status = 'open'
      AND NOT EXISTS (SELECT FROM card c WHERE c.slot = a.slot AND c.account_id = a.id
                      AND c.status <> 'closed')"""
BY_CODES = " AND m.code = ANY(CAST(:codes AS text[]))"
BY_UNITS = " AND coalesce(m.organisation_id, m.enterprise_id) = ANY(CAST(:units AS bigint[]))"
KNOWN = text(
    "SELECT code FROM member WHERE enterprise_id = :enterprise AND code = ANY(CAST(:codes AS text[]))"
)
# Units that look after members, each after the one it belongs to, with those below it.
UNITS = text(
    """WITH RECURSIVE tree AS (
           SELECT id, name, 0 AS depth, ARRAY[lpad(id::text, 20)] AS place, ARRAY[id] AS line
           FROM organisation WHERE id = :enterprise
           UNION ALL
           SELECT o.id, o.name, t.depth + 1, t.place || (o.name || lpad(o.id::text, 20)), t.line || o.id
           FROM organisation o JOIN tree t ON o.parent_id = t.id
           WHERE o.tenant_id = :enterprise AND o.status = 'open'
       ) SELECT t.id, t.name, t.depth, ARRAY(SELECT b.id FROM tree b WHERE t.id = ANY(b.line)) AS below
         FROM tree t ORDER BY t.place LIMIT :most"""
)
INSERT = text(
    """INSERT INTO card_batch (enterprise_id, units, staff_id, product_id, status, expires_on, note, lines,
                               made_at)
       VALUES (:enterprise, :units, :staff, :product, :status, :expires_on, :note, 0, :now) RETURNING id"""
)
SET_LINES = text("UPDATE card_batch SET lines = :lines WHERE id = :batch")
READ = """
    SELECT b.id, b.enterprise_id, o.name AS enterprise, s.name AS staff, b.staff_id, b.product_id,
           p.name AS product, b.status, b.expires_on, b.note, b.lines, b.issued, b.passed, b.made_at
    FROM card_batch b LEFT JOIN organisation o ON o.id = b.enterprise_id
    LEFT JOIN staff s ON s.id = b.staff_id LEFT JOIN card_product p ON p.id = b.product_id"""
FIND = text(f"{READ} WHERE b.id = :batch")
LIST = text(
    f"""{READ} WHERE (CAST(:before AS bigint) IS NULL OR b.id < :before) ORDER BY b.id DESC LIMIT :most"""
)
COLUMNS = """c.slot, c.account_id, c.id, c.issue, c.number, c.status, c.expires_on,
    coalesce(c.expires_on < d.date, false) AS expired, m.id AS member_id, m.code AS member_code,
    m.name AS member"""
# The lines first: planned with what hangs on them, all of the batch were joined before a page is cut off it.
CARDS = f"""
    SELECT l.number AS line, {COLUMNS}
    FROM (SELECT * FROM card_batch_line WHERE batch_id = :batch AND number > :after {{lines}}) AS l
    JOIN account a ON a.slot = l.slot AND a.id = l.account_id
    JOIN member m ON m.id = a.member_id
    LEFT JOIN card c ON c.slot = l.slot AND c.account_id = l.account_id AND c.id = l.card_id
    LEFT JOIN business_day d ON d.status = 'open' {{which}} ORDER BY l.number"""
LINES = text(CARDS.format(lines="ORDER BY number LIMIT :most", which=""))
# What can be used, now or once it is active; a card that is lost or closed is not printed again.
PRINT = text(
    CARDS.format(
        lines="AND number <= :upto ORDER BY number LIMIT :upto - :after",
        which="""WHERE c.status IN ('issued', 'active', 'suspended')
                 AND NOT coalesce(c.expires_on < d.date, false)""",
    )
)
PRINT_ONE = text(
    f"""SELECT 1 AS line, {COLUMNS}
        FROM card c JOIN account a ON a.slot = c.slot AND a.id = c.account_id
        JOIN member m ON m.id = a.member_id LEFT JOIN business_day d ON d.status = 'open'
        WHERE c.slot = :slot AND c.account_id = :account_id AND c.id = :id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Members of an enterprise who have no card: those with these codes, or of these units, or all."""

    enterprise: int
    codes: tuple[str, ...] | None = None
    units: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of an enterprise, how deep it stands in the tree, and itself with all below it."""

    id: int
    name: str
    depth: int
    below: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as a page shows it: `lines` asked for, of which `issued` are made and `passed` had one."""

    id: int
    enterprise_id: int
    enterprise: str | None
    staff: str | None
    staff_id: int | None
    product_id: int | None
    product: str | None
    status: str
    expires_on: date | None
    note: str | None
    lines: int
    issued: int
    passed: int
    made_at: datetime

    @property
    def done(self) -> bool:
        return self.issued + self.passed == self.lines


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCard:
    """One line of a batch; `card` is None while it waits, and where the member had a card already."""

    line: int
    card: Card | None
    status: str | None
    expires_on: date | None
    expired: bool
    member_id: int
    member_code: str
    member: str


def units_of(connection: Connection, enterprise: int, *, most: int = 500) -> list[Unit]:
    """The enterprise itself and its open units, as a tree is read."""
    rows = connection.execute(UNITS, {"enterprise": enterprise, "most": most})
    return [Unit(row.id, row.name, row.depth, tuple(row.below)) for row in rows]


def count_wanted(connection: Connection, wanted: Wanted) -> int:
    """How many members a batch would be for now, BATCH_MOST + 1 standing for more."""
    counted = text(f"SELECT count(*) FROM (SELECT 1 {_chosen(wanted)} LIMIT :most) AS chosen")
    found: int = connection.execute(counted, _told(wanted) | {"most": BATCH_MOST + 1}).scalar_one()
    return found


def known_codes(connection: Connection, enterprise: int, codes: Sequence[str]) -> set[str]:
    """Which of `codes` are codes of members whom the scope shows."""
    rows = connection.execute(KNOWN, {"enterprise": enterprise, "codes": list(codes)})
    return {row.code for row in rows}


def create_batch(
    connection: Connection,
    wanted: Wanted,
    *,
    now: datetime,
    status: str,
    product_id: int | None = None,
    expires_on: date | None = None,
    note: str | None = None,
    units: Sequence[int] | None = None,
    staff: int | None = None,
) -> tuple[int, int]:
    """A batch for the first BATCH_MOST who are wanted, in the order of their codes: its id and its lines.

    No card is made yet. `units`: who else may see it, of those whose scope names units. Whether the product
    is one of the enterprise is for the caller to see to.
    """
    batch: int = connection.execute(
        INSERT,
        {
            "enterprise": wanted.enterprise,
            "units": None if units is None else list(units),
            "staff": staff,
            "product": product_id,
            "status": status,
            "expires_on": expires_on,
            "note": note,
            "now": now,
        },
    ).scalar_one()
    lines = connection.execute(_insert_lines(wanted), _told(wanted) | {"batch": batch, "most": BATCH_MOST})
    connection.execute(SET_LINES, {"batch": batch, "lines": lines.rowcount})
    return batch, lines.rowcount


def find_batch(connection: Connection, batch: int) -> Batch | None:
    """The batch with this id, as far as the scope shows it."""
    row = connection.execute(FIND, {"batch": batch}).one_or_none()
    return None if row is None else Batch(**row._asdict())


def batches(connection: Connection, *, before: int | None = None, most: int) -> list[Batch]:
    """Batches, newest first; `before` is the last one's id of the page before."""
    return [Batch(**row._asdict()) for row in connection.execute(LIST, {"before": before, "most": most})]


def batch_cards(connection: Connection, batch: int, *, after: int = 0, most: int) -> list[BatchCard]:
    """The lines of a batch in order, from the one that follows line `after`."""
    rows = connection.execute(LINES, {"batch": batch, "after": after, "most": most})
    return [_line(row) for row in rows]


def print_cards(connection: Connection, batch: int, *, after: int, upto: int) -> list[BatchCard]:
    """The cards of the lines after `after`, up to `upto`, that are or can become good to spend with."""
    rows = connection.execute(PRINT, {"batch": batch, "after": after, "upto": upto})
    return [_line(row) for row in rows]


def card_to_print(connection: Connection, card: Card) -> BatchCard:
    """One card as `print_cards` gives it, whether it belongs to a batch or not. NoResultFound."""
    key = {"slot": card.slot, "account_id": card.account_id, "id": card.id}
    return _line(connection.execute(PRINT_ONE, key).one())


def _insert_lines(wanted: Wanted) -> TextClause:
    # Numbered after the limit: a window over all of a million members would be sorted twice.
    return text(
        f"""INSERT INTO card_batch_line (slot, account_id, batch_id, number, enterprise_id)
            SELECT slot, id, :batch, row_number() OVER (ORDER BY code, id), :enterprise
            FROM (SELECT a.slot, a.id, m.code {_chosen(wanted)}
                  ORDER BY m.code, a.id LIMIT :most) AS chosen"""
    )


def _chosen(wanted: Wanted) -> str:
    sql = WITHOUT_CARD
    if wanted.codes is not None:
        sql += BY_CODES
    if wanted.units is not None:
        sql += BY_UNITS
    return sql


def _told(wanted: Wanted) -> dict[str, object]:
    told: dict[str, object] = {"enterprise": wanted.enterprise}
    if wanted.codes is not None:
        told["codes"] = list(wanted.codes)
    if wanted.units is not None:
        told["units"] = list(wanted.units)
    return told


def _line(row: Row[Any]) -> BatchCard:
    fields = row._asdict()
    slot, account, number = fields.pop("slot"), fields.pop("account_id"), fields.pop("number")
    card, issue = fields.pop("id"), fields.pop("issue")
    return BatchCard(card=None if card is None else Card(slot, account, card, issue, number), **fields)
