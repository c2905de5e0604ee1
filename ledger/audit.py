"""The invariants of the books, each one SQL query that returns the rows which break it: none, ever.

They run after each test, at the end of the bench, and from `python -m ledger invariants`. Run them
as a role that sees every tenant (tessera_server, or tessera_site with scope "everything").
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

__all__ = ["INVARIANTS", "Breach", "breaches"]

INVARIANTS: dict[str, str] = {
    "an account's points are the points that remain in its lots": """
        SELECT a.slot, a.id, a.posted, coalesce(l.remaining, 0) AS in_lots
        FROM account a
        LEFT JOIN (SELECT slot, account_id, sum(remaining) AS remaining FROM lot GROUP BY 1, 2) l
             ON l.slot = a.slot AND l.account_id = a.id
        WHERE a.posted <> coalesce(l.remaining, 0)""",
    "an account's held points are the held points of its lots": """
        SELECT a.slot, a.id, a.held, coalesce(l.held, 0) AS in_lots
        FROM account a LEFT JOIN (SELECT slot, account_id, sum(held) AS held FROM lot GROUP BY 1, 2) l
             ON l.slot = a.slot AND l.account_id = a.id
        WHERE a.held <> coalesce(l.held, 0)""",
    "what remains in a lot is what its entries brought less what they took": """
        SELECT l.slot, l.account_id, l.id, l.remaining, coalesce(e.points, 0) AS by_entries
        FROM lot l LEFT JOIN (
            SELECT slot, account_id, lot_id,
                   sum(CASE WHEN to_side = 'member' THEN points ELSE -points END) AS points
            FROM entry GROUP BY 1, 2, 3
        ) e ON e.slot = l.slot AND e.account_id = l.account_id AND e.lot_id = l.id
        WHERE l.remaining <> coalesce(e.points, 0)""",
    "a lot was granted once, by entries that sum to what was granted": """
        SELECT l.slot, l.account_id, l.id, l.granted, coalesce(e.points, 0) AS by_entries
        FROM lot l LEFT JOIN (
            SELECT slot, account_id, lot_id, sum(points) AS points
            FROM entry WHERE from_side = 'funder' GROUP BY 1, 2, 3
        ) e ON e.slot = l.slot AND e.account_id = l.account_id AND e.lot_id = l.id
        WHERE l.granted <> coalesce(e.points, 0)""",
    "a transaction moved exactly the points that it says": """
        SELECT t.slot, t.account_id, t.id, t.points, coalesce(e.points, 0) AS by_entries
        FROM transaction t LEFT JOIN (
            SELECT slot, account_id, transaction_id, sum(points) AS points FROM entry GROUP BY 1, 2, 3
        ) e ON e.slot = t.slot AND e.account_id = t.account_id AND e.transaction_id = t.id
        WHERE t.points <> coalesce(e.points, 0)""",
    "an entry says the same as its transaction and its lot": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id
        FROM entry e
        JOIN transaction t ON t.slot = e.slot AND t.account_id = e.account_id AND t.id = e.transaction_id
        JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
        WHERE e.business_date <> t.business_date OR e.funder_id <> l.funder_id
           OR e.enterprise_id <> t.enterprise_id OR e.merchant_id IS DISTINCT FROM
              CASE WHEN t.kind IN ('redeem', 'reversal') THEN t.merchant_id END
           OR (e.from_side, e.to_side) IS DISTINCT FROM (
              CASE t.kind WHEN 'grant' THEN 'funder' WHEN 'redeem' THEN 'member' ELSE 'merchant' END,
              CASE t.kind WHEN 'redeem' THEN 'merchant' ELSE 'member' END)""",
    "a reversal undoes an approved redemption, wholly, once": """
        SELECT r.slot, r.account_id, r.id
        FROM transaction r LEFT JOIN transaction t
             ON t.slot = r.slot AND t.account_id = r.account_id AND t.id = r.reverses
        WHERE r.reverses IS NOT NULL
          AND (t.kind IS DISTINCT FROM 'redeem' OR t.code <> 0 OR t.points <> r.points
               OR t.merchant_id <> r.merchant_id OR t.settlement_minor <> r.settlement_minor)""",
    "what merchants are owed is what funders are billed": """
        SELECT m.points AS merchants, f.points AS funders
        FROM (SELECT sum(CASE to_side WHEN 'merchant' THEN points ELSE -points END) AS points
              FROM entry WHERE merchant_id IS NOT NULL) m,
             (SELECT sum(points) AS points FROM (
                  SELECT sum(CASE WHEN to_side = 'merchant' THEN points
                                  WHEN from_side = 'merchant' THEN -points ELSE 0 END) AS points
                  FROM entry GROUP BY funder_id) by_funder) f
        WHERE coalesce(m.points, 0) <> coalesce(f.points, 0)""",
    "an approved redemption costs its price": """
        SELECT t.slot, t.account_id, t.id
        FROM transaction t LEFT JOIN price p ON p.id = t.price_id
        WHERE t.kind = 'redeem' AND t.code = 0
          AND (p.id IS NULL OR t.points <> t.quantity * p.points
               OR t.settlement_minor <> t.quantity * p.settlement_minor OR t.currency <> p.currency
               OR t.merchant_id <> p.merchant_id OR t.service_id <> p.service_id
               OR NOT p.during @> t.business_date)""",
    "no redemption takes points on a day after their last": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id, l.expires_on, e.business_date
        FROM entry e JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
        WHERE e.to_side = 'merchant' AND l.expires_on < e.business_date""",
    "a transaction names a terminal that exists": """
        SELECT t.slot, t.account_id, t.id, t.terminal_id
        FROM transaction t LEFT JOIN terminal d ON d.id = t.terminal_id WHERE d.id IS NULL""",
    "a transaction is booked on a day that was open": """
        SELECT t.slot, t.account_id, t.id, t.business_date
        FROM transaction t LEFT JOIN business_day d ON d.date = t.business_date
        WHERE d.date IS NULL OR t.posted_at > d.closed_at + interval '1 minute'""",
}

SHOWN = 5  # rows named per broken invariant: enough to start looking


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that does not hold, with the first rows that break it."""

    invariant: str
    rows: list[tuple[Any, ...]]


def breaches(connection: Connection) -> list[Breach]:
    """Every invariant that is broken now; an empty list when the books are right."""
    found = []
    for invariant, sql in INVARIANTS.items():
        rows = connection.execute(text(f"SELECT * FROM ({sql}) broken LIMIT {SHOWN}")).all()
        if rows:
            found.append(Breach(invariant, [tuple(row) for row in rows]))
    return found
