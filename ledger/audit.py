"""The invariants of the books, each one SQL query that returns the rows which break it: none, ever.

They run after each test, at the end of the bench, and from `python -m ledger invariants`. Run them
as a role that sees every tenant (tessera_server, or tessera_site with scope "everything").
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

__all__ = ["INVARIANTS", "Breach", "breaches"]

OPEN_HOLDS = """
SELECT h.* FROM hold h
WHERE NOT EXISTS (SELECT FROM transaction t WHERE t.slot = h.slot AND t.account_id = h.account_id
                  AND t.ends = h.transaction_id)"""

OF_AN_ACCOUNT = " UNION ALL ".join(
    f"SELECT slot, account_id, {key} AS id, enterprise_id FROM {table}"
    for table, key in {
        "card": "id", "lot": "id", "transaction": "id", "entry": "transaction_id", "hold": "transaction_id",
        "hold_lot": "transaction_id", "card_event": "id", "misuse": "id",
    }.items()
)  # fmt: skip

INVARIANTS: dict[str, str] = {
    "every organisation hangs, by those above it, on its tenant": """
        WITH RECURSIVE hung AS (
            SELECT id FROM organisation WHERE parent_id IS NULL
            UNION
            SELECT o.id FROM organisation o JOIN hung h ON o.parent_id = h.id
        ) SELECT id FROM organisation EXCEPT SELECT id FROM hung""",
    "an account's points are the points that remain in its lots": """
        SELECT a.slot, a.id, a.posted, coalesce(l.remaining, 0) AS in_lots
        FROM account a
        LEFT JOIN (SELECT slot, account_id, sum(remaining) AS remaining FROM lot GROUP BY 1, 2) l
             ON l.slot = a.slot AND l.account_id = a.id
        WHERE a.posted <> coalesce(l.remaining, 0)""",
    "an account's held points are those of its open holds": f"""
        SELECT a.slot, a.id, a.held, coalesce(h.points, 0) AS by_holds
        FROM account a LEFT JOIN (SELECT slot, account_id, sum(points) AS points FROM ({OPEN_HOLDS}) o
                                  GROUP BY 1, 2) h
             ON h.slot = a.slot AND h.account_id = a.id
        WHERE a.held <> coalesce(h.points, 0)""",
    "a lot's held points are what open holds reserve of it": f"""
        SELECT l.slot, l.account_id, l.id, l.held, coalesce(h.points, 0) AS by_holds
        FROM lot l LEFT JOIN (
            SELECT p.slot, p.account_id, p.lot_id, sum(p.points) AS points
            FROM hold_lot p JOIN ({OPEN_HOLDS}) o ON o.slot = p.slot AND o.account_id = p.account_id
                 AND o.transaction_id = p.transaction_id
            GROUP BY 1, 2, 3
        ) h ON h.slot = l.slot AND h.account_id = l.account_id AND h.lot_id = l.id
        WHERE l.held <> coalesce(h.points, 0)""",
    "a hold reserves what its transaction says, lot by lot": """
        SELECT coalesce(h.slot, t.slot), coalesce(h.account_id, t.account_id),
               coalesce(h.transaction_id, t.id)
        FROM hold h
        FULL JOIN (SELECT * FROM transaction WHERE kind = 'hold' AND code = 0) t
             ON t.slot = h.slot AND t.account_id = h.account_id AND t.id = h.transaction_id
        LEFT JOIN (SELECT slot, account_id, transaction_id, sum(points) AS points FROM hold_lot
                   GROUP BY 1, 2, 3) p
             ON p.slot = h.slot AND p.account_id = h.account_id AND p.transaction_id = h.transaction_id
        WHERE (h.points, h.points, h.enterprise_id, h.merchant_id)
              IS DISTINCT FROM (t.points, p.points, t.enterprise_id, t.merchant_id)""",
    "what ends a hold gives back, or takes and gives back, all of it": """
        SELECT t.slot, t.account_id, t.id
        FROM transaction t JOIN hold h
             ON h.slot = t.slot AND h.account_id = t.account_id AND h.transaction_id = t.ends
        WHERE t.code <> 0 OR t.merchant_id IS DISTINCT FROM h.merchant_id
           OR h.points <> t.points + CASE t.kind WHEN 'capture' THEN coalesce(t.rest, 0) ELSE 0 END
           OR t.kind = 'lapse' AND t.posted_at < h.expires_at
           OR t.kind <> 'lapse' AND t.posted_at >= h.expires_at""",
    "a capture takes of each lot at most what its hold reserved": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id, e.points, p.points AS reserved
        FROM transaction t
        JOIN entry e ON e.slot = t.slot AND e.account_id = t.account_id AND e.transaction_id = t.id
        LEFT JOIN hold_lot p ON p.slot = t.slot AND p.account_id = t.account_id AND p.transaction_id = t.ends
             AND p.lot_id = e.lot_id
        WHERE t.kind = 'capture' AND (p.points IS NULL OR e.points > p.points)""",
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
        WHERE coalesce(e.points, 0) <> CASE
              WHEN t.kind IN ('hold', 'release', 'lapse') OR t.kind = 'reversal' AND t.ends IS NOT NULL THEN 0
              ELSE t.points END""",
    "an entry says the same as its transaction and its lot": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id
        FROM entry e
        JOIN transaction t ON t.slot = e.slot AND t.account_id = e.account_id AND t.id = e.transaction_id
        JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
        WHERE e.business_date <> t.business_date OR e.funder_id <> l.funder_id
           OR e.enterprise_id <> t.enterprise_id OR e.merchant_id IS DISTINCT FROM
              CASE WHEN t.kind NOT IN ('grant', 'adjustment', 'expiry') THEN t.merchant_id END
           OR (e.from_side, e.to_side) IS DISTINCT FROM (
              CASE t.kind WHEN 'grant' THEN 'funder' WHEN 'reversal' THEN 'merchant'
                          WHEN 'refund' THEN 'merchant' ELSE 'member' END,
              CASE t.kind WHEN 'redeem' THEN 'merchant' WHEN 'capture' THEN 'merchant'
                          WHEN 'expiry' THEN 'funder' WHEN 'adjustment' THEN 'funder'
                          ELSE 'member' END)""",
    "a reversal undoes an approved redemption or capture, wholly, once": """
        SELECT r.slot, r.account_id, r.id
        FROM transaction r LEFT JOIN transaction t
             ON t.slot = r.slot AND t.account_id = r.account_id AND t.id = r.reverses
        WHERE r.reverses IS NOT NULL
          AND (t.kind IS NULL OR t.kind NOT IN ('redeem', 'capture') OR t.code <> 0 OR t.points <> r.points
               OR t.merchant_id <> r.merchant_id OR t.settlement_minor <> r.settlement_minor)""",
    "refunds give back at most what was sold, and nothing of what was reversed": """
        SELECT t.slot, t.account_id, t.id, t.points, sum(r.points) AS refunded
        FROM transaction r LEFT JOIN transaction t
             ON t.slot = r.slot AND t.account_id = r.account_id AND t.id = r.refunds
        WHERE r.refunds IS NOT NULL
        GROUP BY t.slot, t.account_id, t.id, t.kind, t.code, t.points, t.settlement_minor
        HAVING t.kind IS NULL OR t.kind NOT IN ('redeem', 'capture') OR t.code <> 0
            OR sum(r.points) > t.points
            OR sum(r.settlement_minor)
               <> div(2 * t.settlement_minor * sum(r.points) + t.points, 2 * t.points)
            OR bool_or(r.merchant_id <> t.merchant_id OR r.currency <> t.currency)
            OR EXISTS (SELECT FROM transaction v WHERE v.slot = t.slot AND v.account_id = t.account_id
                       AND v.reverses = t.id)""",
    # The points of a reversal are all of the sale's, so it returns to each lot exactly what was taken.
    "what comes back returns to a lot at most what the sale took from it": """
        SELECT s.slot, s.account_id, s.transaction_id, b.lot_id, b.points, s.points AS taken
        FROM (SELECT r.slot, r.account_id, coalesce(r.reverses, r.refunds) AS sale, e.lot_id,
                     sum(e.points) AS points
              FROM transaction r JOIN entry e ON e.slot = r.slot AND e.account_id = r.account_id
                   AND e.transaction_id = r.id
              WHERE r.reverses IS NOT NULL OR r.refunds IS NOT NULL GROUP BY 1, 2, 3, 4) b
        LEFT JOIN entry s ON s.slot = b.slot AND s.account_id = b.account_id
             AND s.transaction_id = b.sale AND s.lot_id = b.lot_id
        WHERE s.points IS NULL OR b.points > s.points""",
    "what undoes, refunds or ends another transaction is booked after it": """
        SELECT slot, account_id, id FROM transaction WHERE id <= greatest(reverses, refunds, ends)""",
    "a merchant is owed the points of what it sold, less what was undone": """
        SELECT merchant_id, e.points AS by_entries, t.points AS by_sales
        FROM (SELECT merchant_id, sum(CASE to_side WHEN 'merchant' THEN points ELSE -points END) AS points
              FROM entry WHERE 'merchant' IN (from_side, to_side) GROUP BY 1) e
        FULL JOIN (SELECT merchant_id,
                          sum(CASE WHEN kind IN ('redeem', 'capture') THEN points ELSE -points END) AS points
                   FROM transaction
                   WHERE code = 0 AND (kind IN ('redeem', 'capture', 'refund') OR reverses IS NOT NULL)
                   GROUP BY 1) t USING (merchant_id)
        WHERE coalesce(e.points, 0) <> coalesce(t.points, 0)""",
    "what is sold or held costs its price of the day on which it was agreed": """
        SELECT t.slot, t.account_id, t.id
        FROM transaction t
        LEFT JOIN transaction h ON h.slot = t.slot AND h.account_id = t.account_id AND h.id = t.ends
             AND t.kind = 'capture'
        LEFT JOIN price p ON p.id = t.price_id
        WHERE t.kind IN ('redeem', 'hold', 'capture') AND t.code = 0
          AND (p.id IS NULL OR t.points <> t.quantity * p.points
               OR t.settlement_minor <> t.quantity * p.settlement_minor OR t.currency <> p.currency
               OR t.merchant_id <> p.merchant_id OR t.service_id <> p.service_id
               OR NOT p.during @> coalesce(h.business_date, t.business_date))""",
    "no redemption or adjustment takes points on a day after their last": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id, l.expires_on, e.business_date
        FROM entry e
        JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
        JOIN transaction t ON t.slot = e.slot AND t.account_id = e.account_id AND t.id = e.transaction_id
        LEFT JOIN transaction h ON h.slot = t.slot AND h.account_id = t.account_id AND h.id = t.ends
        WHERE (e.to_side = 'merchant' OR t.kind = 'adjustment')
          AND l.expires_on < coalesce(h.business_date, e.business_date)""",
    "no points expire before their day is over": """
        SELECT e.slot, e.account_id, e.transaction_id, e.lot_id
        FROM entry e
        JOIN lot l ON l.slot = e.slot AND l.account_id = e.account_id AND l.id = e.lot_id
        JOIN transaction t ON t.slot = e.slot AND t.account_id = e.account_id AND t.id = e.transaction_id
        WHERE t.kind = 'expiry' AND (l.expires_on IS NULL OR l.expires_on >= e.business_date)
          AND NOT EXISTS (SELECT FROM entry b WHERE b.slot = e.slot AND b.account_id = e.account_id
                          AND b.lot_id = e.lot_id AND b.from_side = 'merchant'
                          AND b.business_date >= e.business_date)""",
    "a card's product is its own enterprise's": """
        SELECT c.slot, c.account_id, c.id FROM card c LEFT JOIN card_product p ON p.id = c.product_id
        WHERE c.product_id IS NOT NULL AND p.enterprise_id IS DISTINCT FROM c.enterprise_id""",
    "what hangs on an account is of its enterprise": f"""
        SELECT x.slot, x.account_id, x.id, x.enterprise_id, a.enterprise_id AS of_account
        FROM ({OF_AN_ACCOUNT}) x JOIN account a ON a.slot = x.slot AND a.id = x.account_id
        WHERE x.enterprise_id <> a.enterprise_id""",
    "points are funded by an organisation that can be billed: a tenant": """
        SELECT l.slot, l.account_id, l.id, l.funder_id FROM lot l
        LEFT JOIN organisation f ON f.id = l.funder_id AND f.parent_id IS NULL
        WHERE f.id IS NULL""",
    "a transaction names a card of its account, and the end of its number": """
        SELECT t.slot, t.account_id, t.id, t.card_id, t.card_tail
        FROM transaction t
        LEFT JOIN card c ON c.slot = t.slot AND c.account_id = t.account_id AND c.id = t.card_id
        WHERE (t.card_id, t.card_tail) IS DISTINCT FROM (c.id, right(c.number, 4))""",
    "a transaction names a terminal that exists, with its merchant and store": """
        SELECT t.slot, t.account_id, t.id, t.terminal_id, t.merchant_id, t.store_id
        FROM transaction t LEFT JOIN terminal d ON d.id = t.terminal_id
        WHERE d.id IS NULL
           OR d.kind <> 'office' AND t.merchant_id IS NOT NULL
              AND (t.merchant_id, t.store_id) IS DISTINCT FROM (d.tenant_id, d.store_id)
           OR d.kind = 'office' AND t.kind IN ('redeem', 'hold', 'capture', 'refund')""",
    "a transaction is booked on a day that was open": """
        SELECT t.slot, t.account_id, t.id, t.business_date, t.posted_at
        FROM transaction t LEFT JOIN business_day d ON d.date = t.business_date
        WHERE d.date IS NULL OR t.posted_at < d.opened_at - interval '1 minute'
           OR t.posted_at > d.closed_at + interval '1 minute'""",
    "a batch is in balance exactly when all its totals are equal": """
        SELECT b.terminal_id, b.batch, b.code FROM terminal_batch b
        WHERE (b.code <> 0) <> EXISTS (
            SELECT FROM terminal_batch_total t WHERE t.terminal_id = b.terminal_id AND t.batch = b.batch
            AND (t.terminal_count, t.terminal_points) <> (t.server_count, t.server_points))""",
    "a terminal knows the last batch that it closed": """
        SELECT d.id, d.last_batch, b.batch FROM terminal d
        LEFT JOIN (SELECT terminal_id, max(batch) AS batch FROM terminal_batch GROUP BY 1) b
             ON b.terminal_id = d.id
        WHERE d.last_batch IS DISTINCT FROM b.batch""",
    "a budget has borne what its orders say that it bears": """
        SELECT b.id, b.enterprise_id, b.used, coalesce(o.points, 0) AS by_orders
        FROM budget b LEFT JOIN (
            SELECT tenant_id, budget_id, sum(budget_points) AS points FROM point_order
            WHERE budget_id IS NOT NULL GROUP BY 1, 2
        ) o ON o.tenant_id = b.enterprise_id AND o.budget_id = b.id
        WHERE b.used <> coalesce(o.points, 0)""",
    "an order of points counts its lines, and its budget bears what they granted": """
        SELECT o.id, o.state, o.points, o.asked, o.approved, o.approved_points, o.budget_points
        FROM point_order o LEFT JOIN (
            SELECT order_id, count(*) AS members, sum(points) AS points, count(code) AS asked,
                   count(*) FILTER (WHERE code = 0) AS approved,
                   coalesce(sum(points) FILTER (WHERE code = 0), 0) AS approved_points
            FROM point_order_line GROUP BY 1
        ) l ON l.order_id = o.id
        WHERE (o.members, o.points, o.asked, o.approved, o.approved_points)
              IS DISTINCT FROM (l.members, l.points, l.asked, l.approved, l.approved_points)
           OR o.asked > 0 AND o.state NOT IN ('approved', 'done') OR o.state = 'done' AND o.asked < o.members
           OR o.budget_points <> CASE WHEN o.budget_id IS NULL THEN 0 WHEN o.state = 'approved' THEN o.points
                                      WHEN o.state = 'done' THEN o.approved_points ELSE 0 END""",
    "a line of an order that was approved is a transaction of its points": """
        SELECT l.order_id, l.number, l.transaction_id
        FROM point_order_line l JOIN point_order o ON o.id = l.order_id
        LEFT JOIN transaction t ON t.slot = l.slot AND t.account_id = l.account_id AND t.id = l.transaction_id
        WHERE l.code = 0 AND (t.code, t.points, t.kind) IS DISTINCT FROM
              (0, l.points, CASE WHEN o.takes THEN 'adjustment' ELSE 'grant' END)""",
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
