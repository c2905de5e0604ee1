"""One transaction with everything that belongs to it. Reading only; what the scope hides is None."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.reports import JOINED, TransactionLine

__all__ = ["Details", "EntryLine", "HoldFacts", "MisuseLine", "Raw", "read_transaction"]

LINE = text(JOINED.format(rows="SELECT * FROM transaction WHERE id = :id"))
RAW = text(
    """SELECT t.slot, t.account_id, t.txid, t.posted_at, t.terminal_at, t.stan, t.batch, t.reference,
              t.detail, t.quantity, t.settlement_minor, t.currency, t.rest, t.card_tail,
              encode(t.meaning, 'hex') AS meaning, t.merchant_id, t.store_id, t.terminal_id,
              t.enterprise_id, e.name AS enterprise, t.price_id, lower(p.during) AS price_since,
              upper(p.during) AS price_until, p.points AS price_points,
              p.settlement_minor AS price_minor, p.open AS price_open, s.name AS staff,
              c.number AS card, m.id AS member_id, m.code AS member_code
       FROM transaction t
       LEFT JOIN organisation e ON e.id = t.enterprise_id
       LEFT JOIN price p ON p.id = t.price_id
       LEFT JOIN staff s ON s.id = t.staff_id
       LEFT JOIN card c ON c.slot = t.slot AND c.account_id = t.account_id AND c.id = t.card_id
       LEFT JOIN account a ON a.slot = t.slot AND a.id = t.account_id
       LEFT JOIN member m ON m.id = a.member_id
       WHERE t.id = :id"""
)
ENTRIES = text(
    """SELECT e.from_side, e.to_side, e.points, e.lot_id, l.kind AS lot_kind, l.expires_on, f.name AS funder,
              m.name AS merchant
       FROM entry e
       LEFT JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
       LEFT JOIN organisation f ON f.id = e.funder_id
       LEFT JOIN organisation m ON m.id = e.merchant_id
       WHERE e.slot = :slot AND e.account_id = :account AND e.transaction_id = :id ORDER BY e.lot_id"""
)
# What it reverses, refunds or ends, and what did so to it; each by a key of its own.
RELATED = text(
    JOINED.format(
        rows="""SELECT r.* FROM transaction r JOIN transaction t
                  ON r.slot = t.slot AND r.account_id = t.account_id
                     AND r.id IN (t.reverses, t.refunds, t.ends)
                WHERE t.slot = :slot AND t.account_id = :account AND t.id = :id
                UNION ALL
                SELECT * FROM transaction WHERE slot = :slot AND account_id = :account AND reverses = :id
                UNION ALL
                SELECT * FROM transaction WHERE slot = :slot AND account_id = :account AND refunds = :id
                UNION ALL
                SELECT * FROM transaction WHERE slot = :slot AND account_id = :account AND ends = :id"""
    )
)
MISUSES = text(
    """SELECT kind, code, happened_at, encode(meaning, 'hex') AS meaning FROM misuse
       WHERE slot = :slot AND account_id = :account AND terminal_id = :terminal AND txid = :txid
       ORDER BY id LIMIT 100"""
)
HOLD = text(
    """SELECT points, expires_at FROM hold
       WHERE slot = :slot AND account_id = :account AND transaction_id = :id"""
)
HOLD_LOTS = text(
    """SELECT lot_id, points FROM hold_lot
       WHERE slot = :slot AND account_id = :account AND transaction_id = :id ORDER BY lot_id"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The row itself, with the names that belong to its numbers. Money is in minor units of `currency`."""

    slot: int
    account_id: int
    txid: UUID
    posted_at: datetime
    terminal_at: datetime | None
    stan: int | None
    batch: int | None
    reference: str | None
    detail: str | None
    quantity: int | None
    settlement_minor: int | None
    currency: str | None
    rest: int | None
    card_tail: str | None
    meaning: str
    merchant_id: int | None
    store_id: int | None
    terminal_id: int
    enterprise_id: int
    enterprise: str | None
    price_id: int | None
    price_since: date | None
    price_until: date | None
    price_points: int | None
    price_minor: int | None
    price_open: bool | None
    staff: str | None
    card: str | None
    member_id: int | None
    member_code: str | None


@dataclass(frozen=True, slots=True)
class EntryLine:
    """Points of one lot that went from one side to another: funder, member or merchant."""

    from_side: str
    to_side: str
    points: int
    lot_id: int
    lot_kind: str | None
    expires_on: date | None
    funder: str | None
    merchant: str | None


@dataclass(frozen=True, slots=True)
class MisuseLine:
    """The same txid with another meaning: it was refused and changed nothing."""

    kind: str
    code: int
    happened_at: datetime
    meaning: str


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """What a hold reserves, in all and by lot (its number and points)."""

    points: int
    expires_at: datetime
    lots: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Details:
    """A transaction: as a list shows it, its row, and what hangs on it. `related` newest first."""

    line: TransactionLine
    raw: Raw
    entries: list[EntryLine]
    related: list[TransactionLine]
    misuses: list[MisuseLine]
    hold: HoldFacts | None


def read_transaction(connection: Connection, id: int) -> Details | None:  # noqa: A002 - the noun's own word
    """The transaction with this id; None when there is none, or none that the scope shows."""
    row = connection.execute(RAW, {"id": id}).one_or_none()
    if row is None:
        return None
    raw = Raw(**row._asdict())
    line = TransactionLine(**connection.execute(LINE, {"id": id}).one()._asdict())
    key = {"slot": raw.slot, "account": raw.account_id, "id": id}
    repeats = {"slot": raw.slot, "account": raw.account_id, "terminal": raw.terminal_id, "txid": raw.txid}
    return Details(
        line,
        raw,
        [EntryLine(*each) for each in connection.execute(ENTRIES, key)],
        [TransactionLine(**each._asdict()) for each in connection.execute(RELATED, key)],
        [MisuseLine(*each) for each in connection.execute(MISUSES, repeats)],
        _hold(connection, key) if line.kind == "hold" else None,
    )


def _hold(connection: Connection, key: dict[str, int]) -> HoldFacts | None:
    found = connection.execute(HOLD, key).one_or_none()
    if found is None:
        return None
    lots = [(lot, points) for lot, points in connection.execute(HOLD_LOTS, key)]
    return HoldFacts(found.points, found.expires_at, lots)
