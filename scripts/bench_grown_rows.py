"""The SQL of scripts.bench_grown: rows by the million, each from its number alone.

Account number a (0, 1, …) makes its sale of round r as sale number n, where r = n / accounts and
a = n * step modulo accounts; `step` and `accounts` have no common divisor, so each account sells once a
round, and how much it has left is known without adding anything up.

The values come as literals (psycopg's client cursor), so that the planner sees them.
"""

__all__ = [
    "ADD_OUTLETS", "ANALYZE_OUTLETS", "CLOSE_DAY", "INSERT_ACCOUNTS", "INSERT_DAYS", "INSERT_ENTERPRISES",
    "INSERT_MERCHANTS", "INSERT_PRICES", "INSERT_SALES", "INSERT_SERVICE", "INSERT_STORES",
    "INSERT_TERMINALS", "OPEN_DAY", "check_sums",
]  # fmt: skip

_TENANTS = """
INSERT INTO organisation (id, tenant_id, kind, code, name)
SELECT id, id, '{kind}', '{code}-' || id, '{name} ' || n
FROM (SELECT n, nextval(pg_get_serial_sequence('organisation', 'id')) AS id
      FROM generate_series(1, %({count})s) AS n) AS new
RETURNING id
"""
INSERT_ENTERPRISES = _TENANTS.format(
    kind="enterprise", code="GROWN", name="Grown enterprise", count="enterprises"
)
INSERT_MERCHANTS = _TENANTS.format(kind="merchant", code="GROWN", name="Grown merchant", count="merchants")
INSERT_STORES = """
INSERT INTO organisation (tenant_id, parent_id, kind, code, name)
SELECT id, id, 'store', 'S', 'Store' FROM unnest(%(merchant_ids)s::int8[]) AS m(id)
"""
INSERT_TERMINALS = """
INSERT INTO terminal (tenant_id, store_id, kind, name, status, public_key, key_since)
SELECT s.tenant_id, s.id, 'pos', 'POS ' || n, 'active', sha256(gen_random_uuid()::text::bytea), now()
FROM organisation s, generate_series(1, %(terminals)s) AS n
WHERE s.tenant_id = ANY(%(merchant_ids)s::int8[]) AND s.kind = 'store'
"""
INSERT_SERVICE = """
INSERT INTO service (code, name, name_zh, unit) VALUES ('grown', 'Grown', '往来', 'time')
ON CONFLICT (code) DO UPDATE SET status = 'open' RETURNING id
"""
INSERT_PRICES = """
INSERT INTO price (merchant_id, service_id, during, points, settlement_minor, currency)
SELECT id, %(service)s, daterange(%(first_day)s, NULL), %(price)s, %(money)s, 'CNY'
FROM unnest(%(merchant_ids)s::int8[]) AS m(id)
"""
ADD_OUTLETS = """
CREATE TEMP TABLE outlet ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY t.name, t.id) - 1 AS n, t.id AS terminal, t.tenant_id AS merchant,
       t.store_id AS store, p.id AS price
FROM terminal t JOIN price p ON p.merchant_id = t.tenant_id
WHERE t.tenant_id = ANY(%(merchant_ids)s::int8[])
"""
ANALYZE_OUTLETS = "ANALYZE outlet"

# ---- days ---------------------------------------------------------------------------------------

# The first day is that of the grants; the sales are spread evenly over the others.
INSERT_DAYS = """
INSERT INTO business_day (date, status, opened_at, closed_at, first_transaction)
SELECT %(first_day)s::date + d, 'closed', %(began)s::timestamptz + d * interval '1 day',
       %(began)s::timestamptz + (d + 1) * interval '1 day',
       %(transaction)s + CASE WHEN d = 0 THEN 0 ELSE %(accounts)s END
           + ((d - 1)::int8 * %(sales)s + %(days)s - 2) / (%(days)s - 1)
FROM generate_series(0, %(days)s - 1) AS d
"""
CLOSE_DAY = "UPDATE business_day SET status = 'closed', closed_at = clock_timestamp() WHERE status = 'open'"
OPEN_DAY = """
INSERT INTO business_day (date, opened_at, first_transaction)
SELECT max(date) + 1, clock_timestamp(), nextval('transaction_id_seq') FROM business_day
"""

# ---- the number on a card -----------------------------------------------------------------------


def check_sums() -> tuple[list[int], list[int]]:
    """What three digits, 000 to 999, bring to a Luhn sum: where the outer two are doubled, and the middle."""

    def doubled(digit: int) -> int:
        return digit * 2 - 9 if digit > 4 else digit * 2

    outer = [doubled(n // 100) + n // 10 % 10 + doubled(n % 10) for n in range(1000)]
    middle = [n // 100 + doubled(n // 10 % 10) + n % 10 for n in range(1000)]
    return outer, middle


# The digit that ledger.cards.card_number puts at the end, from the threes of 86, slot and card.
_CHECK = """mod(1000 - (%(outer)s::int2[])[1 + mod(card, 1000)]
    - (%(middle)s::int2[])[1 + mod(card / 1000, 1000)] - (%(outer)s::int2[])[1 + mod(card / 1000000, 1000)]
    - (%(middle)s::int2[])[1 + mod(slot, 100) * 10 + mod(card / 1000000000, 10)]
    - (%(outer)s::int2[])[861 + slot / 100], 10)"""
_NUMBER = f"'86' || lpad(slot::text, 3, '0') || lpad(card::text, 10, '0') || {_CHECK}"
_TAIL = f"lpad(mod(card, 1000)::text, 3, '0') || {_CHECK}"

# ---- accounts, and the grant of each ------------------------------------------------------------

INSERT_ACCOUNTS = f"""
WITH new AS MATERIALIZED (
    SELECT a, mod(%(account)s + a, 256)::int2 AS slot, %(account)s + a AS account, %(member)s + a AS member,
           %(card)s + a AS card, %(lot)s + a AS lot, %(transaction)s + a AS transaction,
           (%(enterprise_ids)s::int8[])[1 + mod(a, %(enterprises)s)] AS enterprise,
           %(points)s - %(price)s * (%(sales)s / %(accounts)s + CASE
               WHEN mod(a * %(step_back)s, %(accounts)s) < mod(%(sales)s, %(accounts)s) THEN 1 ELSE 0 END
           ) AS remaining,
           CASE WHEN mod(a, 2) = 0 THEN %(expires_from)s::date + mod(a, 1000)::int4 END AS expires_on
    FROM generate_series(%(since)s::int8, %(until)s::int8 - 1) AS a
), members AS (
    INSERT INTO member (id, enterprise_id, code, name)
    SELECT member, enterprise, 'G' || member, 'Member ' || member FROM new
), accounts AS (
    INSERT INTO account (slot, id, member_id, enterprise_id, posted)
    SELECT slot, account, member, enterprise, remaining FROM new
), cards AS (
    INSERT INTO card (slot, account_id, id, enterprise_id, number)
    SELECT slot, account, card, enterprise, {_NUMBER} FROM new
), lots AS (
    INSERT INTO lot (slot, account_id, id, enterprise_id, funder_id, kind, granted, remaining, expires_on)
    SELECT slot, account, lot, enterprise, enterprise, 'granted', %(points)s, remaining, expires_on FROM new
), grants AS (
    INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
                             enterprise_id, points, balance, meaning)
    SELECT slot, account, transaction, 0, gen_random_uuid(), 'grant', 0,
           %(began)s::timestamptz + a * 86400 / %(accounts)s * interval '1 second', %(first_day)s, enterprise,
           %(points)s, %(points)s, uuid_send(gen_random_uuid())
    FROM new
)
INSERT INTO entry (slot, account_id, transaction_id, lot_id, from_side, to_side, points, enterprise_id,
                   funder_id, business_date)
SELECT slot, account, transaction, lot, 'funder', 'member', %(points)s, enterprise, enterprise, %(first_day)s
FROM new
"""

# ---- sales --------------------------------------------------------------------------------------

INSERT_SALES = f"""
WITH numbered AS (
    SELECT n, mod(n * %(step)s, %(accounts)s) AS a, n * ((%(days)s - 1) * 86400) / %(sales)s + 86400 AS second
    FROM generate_series(%(since)s::int8, %(until)s::int8 - 1) AS n
), sold AS MATERIALIZED (
    SELECT s.n, mod(%(account)s + a, 256)::int2 AS slot, %(account)s + a AS account, %(card)s + a AS card,
           %(lot)s + a AS lot, %(transaction)s + %(accounts)s + s.n AS transaction,
           (%(enterprise_ids)s::int8[])[1 + mod(a, %(enterprises)s)] AS enterprise,
           %(points)s - %(price)s * (s.n / %(accounts)s + 1) AS balance,
           %(first_day)s::date + (second / 86400)::int4 AS day, second / 86400 AS batch,
           %(began)s::timestamptz + second * interval '1 second' AS at,
           o.terminal, o.merchant, o.store, o.price
    FROM numbered s JOIN outlet o ON o.n = mod(s.n, %(outlets)s)
), sales AS (
    INSERT INTO transaction (slot, account_id, id, terminal_id, txid, kind, code, posted_at, business_date,
                             enterprise_id, merchant_id, store_id, card_id, card_tail, service_id, price_id,
                             quantity, points, settlement_minor, currency, balance, meaning, detail,
                             terminal_at, stan, batch)
    SELECT slot, account, transaction, terminal, uuidv7(at - clock_timestamp()), 'redeem', 0, at, day,
           enterprise, merchant, store, card, {_TAIL}, %(service)s, price, 1, %(price)s, %(money)s, 'CNY',
           balance, uuid_send(gen_random_uuid()), 'grown', at, n / %(outlets)s, batch
    FROM sold
)
INSERT INTO entry (slot, account_id, transaction_id, lot_id, from_side, to_side, points, enterprise_id,
                   funder_id, merchant_id, business_date)
SELECT slot, account, transaction, lot, 'member', 'merchant', %(price)s, enterprise, enterprise, merchant, day
FROM sold
"""
