"""The statements of the books: what a batch locks, reads and writes, each with arrays.

So their number does not depend on the size of the batch. Every one is an index access, and leads with
`slot` where the member side is concerned. OFFSET 0 says that a subquery is planned by itself: its table is
looked up row by row, by every column that identifies the row, whatever is known of how many rows there are.
"""

from collections.abc import Iterable

from ledger.database import Statement

__all__ = [
    "CARD_COLUMNS", "ENTRY_COLUMNS", "HOLD_COLUMNS", "HOLD_LOT_COLUMNS", "INSERT_ENTRIES",
    "INSERT_HOLDS", "INSERT_HOLD_LOTS", "INSERT_LOTS", "INSERT_MISUSES", "INSERT_TRANSACTIONS",
    "KEEP_DAY", "LOCK_ACCOUNTS", "LOCK_TERMINALS", "LOT_COLUMNS", "MISUSE_COLUMNS", "PREPARED",
    "READ_CARDS", "READ_DAY", "READ_ENTRIES", "READ_GRACE", "READ_HOLDS", "READ_LOTS", "READ_TERMINALS",
    "READ_TRANSACTIONS", "STATEMENTS", "TERMINAL_LOCK", "TRANSACTION_COLUMNS", "UPDATE_ACCOUNTS",
    "UPDATE_CARDS", "UPDATE_LOTS",
]  # fmt: skip

TRANSACTION_COLUMNS = {
    "slot": "int2", "account_id": "int8", "id": "int8", "terminal_id": "int8", "txid": "uuid", "kind": "text",
    "code": "int2", "posted_at": "timestamptz", "business_date": "date", "enterprise_id": "int8",
    "merchant_id": "int8", "store_id": "int8", "card_id": "int8", "card_tail": "text", "service_id": "int8",
    "price_id": "int8", "quantity": "int8", "points": "int8", "settlement_minor": "int8", "currency": "text",
    "balance": "int8", "meaning": "bytea", "reverses": "int8", "ends": "int8",
    "refunds": "int8", "rest": "int8", "detail": "text", "reference": "text",
    "terminal_at": "timestamptz", "stan": "int8", "batch": "int8", "staff_id": "int8",
}  # fmt: skip
ENTRY_COLUMNS = {
    "slot": "int2", "account_id": "int8", "transaction_id": "int8", "lot_id": "int8", "from_side": "text",
    "to_side": "text", "points": "int8", "enterprise_id": "int8", "funder_id": "int8", "merchant_id": "int8",
    "business_date": "date",
}  # fmt: skip
HOLD_COLUMNS = {
    "slot": "int2", "account_id": "int8", "transaction_id": "int8", "enterprise_id": "int8",
    "merchant_id": "int8", "points": "int8", "expires_at": "timestamptz",
}  # fmt: skip
HOLD_LOT_COLUMNS = {
    "slot": "int2", "account_id": "int8", "transaction_id": "int8", "lot_id": "int8", "enterprise_id": "int8",
    "points": "int8",
}  # fmt: skip
MISUSE_COLUMNS = {
    "slot": "int2", "account_id": "int8", "enterprise_id": "int8", "terminal_id": "int8", "txid": "uuid",
    "kind": "text", "code": "int2", "meaning": "bytea", "happened_at": "timestamptz",
}  # fmt: skip
LOT_COLUMNS = {
    "slot": "int2", "id": "int8", "account_id": "int8", "enterprise_id": "int8", "funder_id": "int8",
    "kind": "text", "granted": "int8", "remaining": "int8", "held": "int8", "expires_on": "date",
    "priority": "int2",
}  # fmt: skip

CARD_COLUMNS = {
    "slot": "int2", "account_id": "int8", "id": "int8", "status": "text", "pin_verifier": "bytea",
    "pin_tries": "int2", "pin_code": "bytea", "pin_code_until": "timestamptz", "pin_code_tries": "int2",
}  # fmt: skip


def _unnest(types: Iterable[str]) -> str:
    return "unnest(" + ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(types, 1)) + ")"


def _arrays(types: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{kind}[]" for kind in types)


def _insert(table: str, columns: dict[str, str]) -> Statement:
    # Not unnest, which would first write each of the many columns down as a table of its own.
    values = ", ".join(f"(${n}::{kind}[])[i]" for n, kind in enumerate(columns.values(), 1))
    sql = f"""INSERT INTO {table} ({", ".join(columns)})
              SELECT {values} FROM generate_subscripts($1::{columns["slot"]}[], 1) AS i"""
    return Statement(f"insert_{table}", sql, _arrays(columns.values()))


ACCOUNT = ("int2", "int8")
PURCHASE = ("int2", "int8", "int8", "uuid")
LOT_READ = ", ".join(f"l.{column}" for column in LOT_COLUMNS)
TRANSACTION_READ = ", ".join(f"t.{column}" for column in TRANSACTION_COLUMNS)

# Who posts for a terminal shares this lock; who closes its batch takes it alone: after those under way.
TERMINAL_LOCK = 0x7E55 << 48  # plus the terminal's number; the labels of advisory locks are all ours

# A posting keeps the day open that it reads afterwards, for closing it wants the table alone. A lock of the
# row would do the same, but be written: by all batches that overlap, to one and the same row.
KEEP_DAY = Statement("keep_day", "LOCK TABLE business_day IN ROW SHARE MODE")
# In the order of the array: two batches that wait behind two closings must not wait for each other.
LOCK_TERMINALS = Statement(
    "lock_terminals",
    f"""SELECT count(pg_advisory_xact_lock_shared({TERMINAL_LOCK} + k.id))
        FROM unnest($1::int8[]) AS k(id)""",
    ("int8[]",),
)
# As above, one after the other: the locks lie inside, so that no plan can take them in another order.
LOCK_ACCOUNTS = Statement(
    "lock_accounts",
    f"""SELECT a.* FROM {_unnest(ACCOUNT)} AS k(slot, id)
        CROSS JOIN LATERAL (SELECT a.slot, a.id, a.enterprise_id, a.posted, a.held, a.status FROM account a
                            WHERE a.slot = k.slot AND a.id = k.id FOR UPDATE) AS a""",
    _arrays(ACCOUNT),
)
# What a card has spent today is added up only where a limit asks for it: the sales of the day that stand, and
# the holds of the day: what is reserved while they are open, what they came to afterwards. No row of today
# has an id below the day's first.
SPENT_TODAY = """
SELECT coalesce(sum(CASE WHEN t.kind = 'redeem' OR f.id IS NULL THEN t.points
                         WHEN f.kind = 'capture' THEN f.points ELSE 0 END), 0)::int8
FROM (SELECT t.* FROM transaction t
      WHERE t.slot = c.slot AND t.account_id = c.account_id AND t.card_id = c.id AND t.code = 0
        AND t.id >= (SELECT first_transaction FROM business_day WHERE status = 'open')
        AND t.business_date = (SELECT date FROM business_day WHERE status = 'open')
        AND t.kind IN ('redeem', 'hold') OFFSET 0) AS t
LEFT JOIN LATERAL (SELECT f.id, f.kind, f.points FROM transaction f
                   WHERE f.slot = t.slot AND f.account_id = t.account_id AND f.ends = t.id
                   OFFSET 0) AS f ON true
WHERE NOT EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                  AND r.reverses = CASE t.kind WHEN 'redeem' THEN t.id ELSE f.id END OFFSET 0)"""
READ_CARDS = Statement(
    "read_cards",
    f"""SELECT c.slot, c.id, c.account_id, c.number, c.issue, c.status, c.expires_on, c.pin_verifier,
               c.pin_tries, coalesce(c.limit_points, p.limit_points, e.limit_points) AS limit_points,
               coalesce(c.day_limit_points, p.day_limit_points, e.day_limit_points) AS day_limit_points,
               coalesce(c.pin_above_points, p.pin_above_points, e.pin_above_points, 0) AS pin_above_points,
               c.pin_code, c.pin_code_until, c.pin_code_tries,
               CASE WHEN coalesce(c.day_limit_points, p.day_limit_points, e.day_limit_points) IS NULL THEN 0
                    ELSE ({SPENT_TODAY}) END AS spent_today
        FROM {_unnest(("int2", "int8", "int8"))} AS k(slot, account_id, id)
        JOIN card c ON c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id
        LEFT JOIN card_product p ON p.id = c.product_id AND p.enterprise_id = c.enterprise_id
        LEFT JOIN enterprise_terms e ON e.enterprise_id = c.enterprise_id""",
    _arrays(("int2", "int8", "int8")),
)
READ_LOTS = Statement(
    "read_lots",
    f"""SELECT {LOT_READ} FROM {_unnest(ACCOUNT)} AS k(slot, account_id)
        JOIN lot l ON l.slot = k.slot AND l.account_id = k.account_id AND l.open""",
    _arrays(ACCOUNT),
)
# Only an account with held points has open holds; those whose time is over, or may be when the clock is read,
# come with the id of the row that will say so.
READ_HOLDS = Statement(
    "read_holds",
    f"""SELECT {TRANSACTION_READ}, h.expires_at, hl.lot_id, hl.points,
               CASE WHEN h.expires_at <= coalesce($3::timestamptz, clock_timestamp() + interval '1 minute')
                    THEN nextval('transaction_id_seq') END
        FROM unnest($1::int2[], $2::int8[]) AS k(slot, account_id)
        CROSS JOIN LATERAL (SELECT FROM account a
                            WHERE a.slot = k.slot AND a.id = k.account_id AND a.held > 0 OFFSET 0) AS a
        CROSS JOIN LATERAL (SELECT h.* FROM hold h
                            WHERE h.slot = k.slot AND h.account_id = k.account_id
                              AND NOT EXISTS (SELECT FROM transaction e
                                              WHERE e.slot = h.slot AND e.account_id = h.account_id
                                                AND e.ends = h.transaction_id OFFSET 0) OFFSET 0) AS h
        CROSS JOIN LATERAL (SELECT p.lot_id, p.points FROM hold_lot p
                            WHERE p.slot = h.slot AND p.account_id = h.account_id
                              AND p.transaction_id = h.transaction_id OFFSET 0) AS hl
        CROSS JOIN LATERAL (SELECT t.* FROM transaction t
                            WHERE t.slot = h.slot AND t.account_id = h.account_id
                              AND t.id = h.transaction_id OFFSET 0) AS t""",
    ("int2[]", "int8[]", "timestamptz"),
)
# The account is compared outside: inside, the primary key would look as good as the purchase's own, and reads
# the whole history of the account.
BY_KEY = """SELECT t.* FROM transaction t
            WHERE t.slot = k.slot AND t.txid = k.txid AND t.terminal_id = k.terminal_id OFFSET 0"""
# What ended a hold is compared after it was found: as a condition it would make an index by kind look good.
READ_TRANSACTIONS = Statement(
    "read_transactions",
    f"""SELECT {TRANSACTION_READ},
               EXISTS (SELECT FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                       AND r.reverses = t.id OFFSET 0)
               OR (SELECT r.kind FROM transaction r WHERE r.slot = t.slot AND r.account_id = t.account_id
                   AND r.ends = t.id) IS NOT DISTINCT FROM 'reversal' AS reversed,
               (SELECT coalesce(sum(r.points), 0)::int8 FROM transaction r
                WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.refunds = t.id) AS refunded,
               (SELECT r.kind FROM transaction r
                WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.ends = t.id) AS ended,
               (SELECT h.expires_at FROM hold h
                WHERE h.slot = t.slot AND h.account_id = t.account_id AND h.transaction_id = t.id)
                   AS expires_at,
               (SELECT r.business_date FROM transaction r
                WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.id = t.ends) AS held_on
        FROM {_unnest(PURCHASE)} AS k(slot, account_id, terminal_id, txid)
        CROSS JOIN LATERAL ({BY_KEY}) AS t WHERE t.account_id = k.account_id""",
    _arrays(PURCHASE),
)
# Of a sale and of what was refunded of it: the sale's id leads, then the entry, then its lot.
READ_ENTRIES = Statement(
    "read_entries",
    f"""SELECT t.id, e.slot, e.account_id, e.transaction_id, e.lot_id, e.from_side, e.to_side, e.points,
               e.enterprise_id, e.funder_id, e.merchant_id, e.business_date, {LOT_READ}
        FROM {_unnest(PURCHASE)} AS k(slot, account_id, terminal_id, txid)
        CROSS JOIN LATERAL ({BY_KEY}) AS t
        CROSS JOIN LATERAL (
            SELECT t.id UNION ALL
            SELECT r.id FROM transaction r
            WHERE r.slot = t.slot AND r.account_id = t.account_id AND r.refunds = t.id
        ) AS about(id)
        CROSS JOIN LATERAL (SELECT e.* FROM entry e
                            WHERE e.slot = t.slot AND e.account_id = t.account_id
                              AND e.transaction_id = about.id OFFSET 0) AS e
        CROSS JOIN LATERAL (SELECT l.* FROM lot l
                            WHERE l.slot = e.slot AND l.account_id = e.account_id
                              AND l.id = e.lot_id OFFSET 0) AS l
        WHERE t.account_id = k.account_id""",
    _arrays(PURCHASE),
)
READ_GRACE = Statement(
    "read_grace",
    f"""SELECT a.slot, a.id, e.refund_grace_days FROM {_unnest(ACCOUNT)} AS k(slot, id)
        JOIN account a ON a.slot = k.slot AND a.id = k.id
        JOIN enterprise_terms e ON e.enterprise_id = a.enterprise_id""",
    _arrays(ACCOUNT),
)
# A terminal with what stands above it, and the agreement for a service of a code there: NULLs without one.
READ_TERMINALS = Statement(
    "read_terminals",
    """SELECT t.id, t.status, t.tenant_id AS merchant_id, t.store_id,
              s.status = 'open' AND m.status = 'open' AS open,
              p.id, p.merchant_id, p.service_id, k.code AS service, p.points, p.settlement_minor,
              p.currency, p.open, p.min_points, p.max_points
       FROM unnest($1::int8[], $2::text[]) AS k(terminal_id, code)
       JOIN terminal t ON t.id = k.terminal_id
       JOIN organisation s ON s.id = t.store_id
       JOIN organisation m ON m.id = t.tenant_id
       LEFT JOIN service v ON v.code = k.code AND v.status = 'open'
       LEFT JOIN LATERAL (SELECT p.* FROM price p
                          WHERE p.merchant_id = t.tenant_id AND p.service_id = v.id
                            AND p.during @> (SELECT date FROM business_day WHERE status = 'open')
                          OFFSET 0) AS p ON true""",
    ("int8[]", "text[]"),
)
# Last of all that is read, so that no lock was waited for after it: what is booked later has a later time.
READ_DAY = Statement(
    "read_day",
    """SELECT (SELECT date FROM business_day WHERE status = 'open'), clock_timestamp(),
              ARRAY(SELECT nextval('transaction_id_seq') FROM generate_series(1, $1::int8)),
              ARRAY(SELECT nextval('lot_id_seq') FROM generate_series(1, $2::int8))""",
    ("int8", "int8"),
)
INSERT_TRANSACTIONS = _insert("transaction", TRANSACTION_COLUMNS)
INSERT_LOTS = _insert("lot", LOT_COLUMNS)
INSERT_ENTRIES = _insert("entry", ENTRY_COLUMNS)
INSERT_HOLDS = _insert("hold", HOLD_COLUMNS)
INSERT_HOLD_LOTS = _insert("hold_lot", HOLD_LOT_COLUMNS)
INSERT_MISUSES = _insert("misuse", MISUSE_COLUMNS)
UPDATED_LOT = ("int2", "int8", "int8", "int8", "int8", "date")
UPDATE_LOTS = Statement(
    "update_lots",
    f"""UPDATE lot l SET remaining = k.remaining, held = k.held, expires_on = k.expires_on
        FROM {_unnest(UPDATED_LOT)} AS k(slot, account_id, id, remaining, held, expires_on)
        WHERE l.slot = k.slot AND l.account_id = k.account_id AND l.id = k.id""",
    _arrays(UPDATED_LOT),
)
UPDATE_ACCOUNTS = Statement(
    "update_accounts",
    f"""UPDATE account a SET posted = k.posted, held = k.held
        FROM {_unnest(("int2", "int8", "int8", "int8"))} AS k(slot, id, posted, held)
        WHERE a.slot = k.slot AND a.id = k.id""",
    _arrays(("int2", "int8", "int8", "int8")),
)
UPDATE_CARDS = Statement(
    "update_cards",
    f"""UPDATE card c SET status = k.status, pin_verifier = k.pin_verifier, pin_tries = k.pin_tries,
               pin_code = k.pin_code, pin_code_until = k.pin_code_until, pin_code_tries = k.pin_code_tries
        FROM {_unnest(CARD_COLUMNS.values())} AS k({", ".join(CARD_COLUMNS)})
        WHERE c.slot = k.slot AND c.account_id = k.account_id AND c.id = k.id""",
    _arrays(CARD_COLUMNS.values()),
)

READS = (
    LOCK_TERMINALS, LOCK_ACCOUNTS, READ_CARDS, READ_LOTS, READ_HOLDS, READ_TRANSACTIONS, READ_ENTRIES,
    READ_GRACE, READ_TERMINALS, READ_DAY,
)  # fmt: skip
WRITES = (
    INSERT_TRANSACTIONS, INSERT_LOTS, INSERT_HOLDS, INSERT_HOLD_LOTS, INSERT_ENTRIES, INSERT_MISUSES,
    UPDATE_LOTS, UPDATE_ACCOUNTS, UPDATE_CARDS,
)  # fmt: skip
STATEMENTS = (*READS, *WRITES)  # those that are planned
PREPARED = (KEEP_DAY, *STATEMENTS)
