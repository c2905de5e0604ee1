-- What the bench measures against: one debit as one transaction, in one stored function on the same tables.
-- A schema of its own, made by the bench in its throw-away database; no part of the product.
--
-- It writes what ledger.books writes for a Redeem, row by row and column by column: approved, repeated or
-- refused. Left out, which makes it cheaper: holds whose time is over, limits, amounts that need no PIN, open
-- prices, and the lock that the closing of a terminal's batch waits for. Nor has it to open card tokens or to
-- hash PINs.

DROP SCHEMA IF EXISTS bench CASCADE;
CREATE SCHEMA bench;

-- What the callers know of members and terminals: numbered, so that a random number picks one.
CREATE TABLE bench.member (
    number bigint PRIMARY KEY,
    slot smallint NOT NULL,
    account bigint NOT NULL,
    card bigint NOT NULL,
    issue bigint NOT NULL,
    proof bytea NOT NULL
);

CREATE TABLE bench.terminal (
    number bigint PRIMARY KEY,
    id bigint NOT NULL
);

-- Every statement takes a new snapshot (VOLATILE, READ COMMITTED): what follows a lock is as new as the lock.
-- PL/pgSQL sets an expression up anew in every transaction, so there are few: two reads tell whether all is
-- well, and only if it is not, the questions are asked one by one. Measured: two reads are better than one of
-- nine tables, or six of their own; one statement for all that is written is no better than four.
CREATE FUNCTION bench.redeem(
    slot smallint, account bigint, card bigint, issue bigint, terminal bigint, txid uuid, proof bytea,
    service text, quantity bigint, reference text, terminal_at timestamptz, stan bigint, batch bigint,
    meaning bytea,
    OUT code smallint, OUT transaction_id bigint, OUT recorded boolean, OUT at timestamptz,
    OUT business_date date, OUT points bigint, OUT balance bigint
) LANGUAGE plpgsql VOLATILE SECURITY INVOKER AS $$
#variable_conflict use_column
DECLARE
    enterprise bigint; account_status text; fine boolean;
    merchant bigint; store bigint; card_id bigint; card_tail text;
    service_id bigint; price_id bigint; units bigint; wanted bigint; minor bigint; currency text;
    lots bigint; there bigint; first_lot bigint; first_funder bigint;
    earlier record; its_card record; its_terminal record; pin_code smallint := 0; now_tries smallint;
BEGIN
    -- Closing the day takes this table's EXCLUSIVE lock, so it waits for us and we for it. A lock of the row,
    -- which the books take once a batch, would do as well, but is dearer the more share it.
    LOCK TABLE business_day IN ROW SHARE MODE;
    SELECT a.enterprise_id, a.status INTO enterprise, account_status
      FROM account a WHERE a.slot = redeem.slot AND a.id = redeem.account FOR UPDATE;

    SELECT d.date, t.tenant_id, t.store_id, p.service_id, p.id,
           u.units, u.units * p.points, u.units * p.settlement_minor, p.currency,
           t.status = 'active' AND s.status = 'open' AND m.status = 'open' AND NOT p.open
      INTO business_date, merchant, store, service_id, price_id,
           units, wanted, minor, currency,
           fine
      FROM business_day d
      CROSS JOIN (SELECT CASE WHEN coalesce(redeem.quantity, 1) BETWEEN 1 AND 9999
                              THEN coalesce(redeem.quantity, 1) END AS units) u
      LEFT JOIN terminal t ON t.id = redeem.terminal
      LEFT JOIN organisation s ON s.id = t.store_id
      LEFT JOIN organisation m ON m.id = t.tenant_id
      LEFT JOIN service v ON v.code = redeem.service AND v.status = 'open'
      LEFT JOIN price p ON p.merchant_id = t.tenant_id AND p.service_id = v.id AND p.during @> d.date
     WHERE d.status = 'open';

    SELECT clock_timestamp(), x.id IS NOT NULL, c.id, right(c.number, 4),
           l.lots, l.there, l.id, l.funder_id, wanted, l.there - wanted,
           fine AND x.id IS NULL AND account_status = 'open'
           AND c.status = 'active' AND c.issue = redeem.issue AND c.pin_tries = 0
           AND c.pin_verifier = redeem.proof AND coalesce(c.expires_on >= redeem.business_date, true)
           AND wanted <= least(l.there, 1000000000000)
      INTO at, recorded, card_id, card_tail,
           lots, there, first_lot, first_funder, points, balance,
           fine
      FROM (SELECT count(*) AS lots, coalesce(sum(remaining - held), 0)::bigint AS there,
                   min(id) AS id, min(funder_id) AS funder_id
              FROM lot WHERE slot = redeem.slot AND account_id = redeem.account AND open
               AND remaining > held AND (expires_on IS NULL OR expires_on >= redeem.business_date)) l
      LEFT JOIN transaction x ON x.slot = redeem.slot AND x.account_id = redeem.account
           AND x.terminal_id = redeem.terminal AND x.txid = redeem.txid
      LEFT JOIN card c ON c.slot = redeem.slot AND c.account_id = redeem.account AND c.id = redeem.card;

    IF fine THEN
        code := 0;
    ELSIF business_date IS NULL THEN
        RAISE EXCEPTION 'no business day is open';
    ELSIF enterprise IS NULL THEN
        SELECT 1011, 0, NULL INTO code, points, balance;
        RETURN;
    ELSIF recorded THEN
        SELECT x.* INTO earlier
          FROM transaction x WHERE x.slot = redeem.slot AND x.account_id = redeem.account
           AND x.terminal_id = redeem.terminal AND x.txid = redeem.txid;
        IF earlier.kind = 'tombstone' OR earlier.meaning = meaning THEN
            SELECT earlier.code, earlier.id, earlier.posted_at, earlier.business_date, earlier.points,
                   earlier.balance
              INTO code, transaction_id, at, business_date, points, balance;
        ELSE
            INSERT INTO misuse (
                slot, account_id, enterprise_id, terminal_id, txid, kind, code, meaning, happened_at)
            VALUES (
                redeem.slot, redeem.account, enterprise, redeem.terminal, redeem.txid, 'redeem', 3008,
                redeem.meaning, redeem.at);
            SELECT 3008, false, 0, NULL INTO code, recorded, points, balance;
        END IF;
        RETURN;
    ELSE
        SELECT c.* INTO its_card
          FROM card c WHERE c.slot = redeem.slot AND c.account_id = redeem.account AND c.id = redeem.card;
        SELECT t.status, s.status = 'open' AND m.status = 'open' AS open INTO its_terminal
          FROM terminal t JOIN organisation s ON s.id = t.store_id JOIN organisation m ON m.id = t.tenant_id
         WHERE t.id = redeem.terminal;
        -- A wrong PIN is counted whatever else is wrong, if the newest issue of the card is shown.
        IF its_card.issue = issue THEN
            IF its_card.pin_tries >= 3 THEN
                pin_code := 1006;
            ELSIF proof IS NULL OR its_card.pin_verifier IS NULL THEN
                pin_code := 1012;
            ELSE
                pin_code := CASE WHEN proof = its_card.pin_verifier THEN 0 ELSE 1017 END;
                now_tries := CASE pin_code WHEN 0 THEN 0 ELSE its_card.pin_tries + 1 END;
                UPDATE card c SET pin_tries = now_tries
                 WHERE c.slot = redeem.slot AND c.account_id = redeem.account AND c.id = redeem.card
                   AND c.pin_tries <> now_tries;
            END IF;
        END IF;
        IF price_id IS NULL OR (SELECT p.open FROM price p WHERE p.id = price_id) THEN
            units := NULL;
        END IF;
        code := CASE
            WHEN its_terminal.status IS DISTINCT FROM 'active' THEN 1020
            WHEN NOT its_terminal.open THEN 1009
            WHEN card_id IS NULL OR issue > its_card.issue THEN 1011
            WHEN its_card.status = 'lost' THEN 1032
            WHEN issue < its_card.issue THEN 1025
            WHEN its_card.status IN ('issued', 'suspended') THEN 1004
            WHEN its_card.status = 'expired' THEN 1001
            WHEN its_card.status = 'closed' THEN 1014
            WHEN its_card.expires_on < business_date THEN 1001
            WHEN account_status <> 'open' THEN 1014
            WHEN pin_code <> 0 THEN pin_code
            WHEN price_id IS NULL THEN 1030
            WHEN units IS NULL OR wanted > 1000000000000 THEN 1010
            WHEN there >= wanted THEN 0
            WHEN wanted <= (SELECT sum(remaining - held) FROM lot
                             WHERE slot = redeem.slot AND account_id = redeem.account AND open) THEN 1036
            ELSE 1016 END;
        IF code <> 0 THEN
            points := 0;
            balance := CASE WHEN code IN (1016, 1036) THEN there END;
            minor := NULL;
            currency := NULL;
        END IF;
    END IF;

    INSERT INTO transaction (
        slot, account_id, id, terminal_id, txid, kind,
        code, posted_at, business_date, enterprise_id, merchant_id, store_id, card_id, card_tail,
        service_id, price_id, quantity, points, settlement_minor, currency, balance, meaning,
        detail, reference, terminal_at, stan, batch)
    VALUES (
        redeem.slot, redeem.account, nextval('transaction_id_seq'), redeem.terminal, redeem.txid, 'redeem',
        redeem.code, redeem.at, redeem.business_date, enterprise, merchant, store, card_id, card_tail,
        service_id, price_id, units, redeem.points, minor, currency, redeem.balance, redeem.meaning,
        redeem.service, redeem.reference, redeem.terminal_at, redeem.stan, redeem.batch)
    RETURNING id INTO transaction_id;
    IF code <> 0 THEN
        RETURN;
    END IF;

    IF lots = 1 THEN
        UPDATE lot l SET remaining = l.remaining - wanted
         WHERE l.slot = redeem.slot AND l.account_id = redeem.account AND l.id = first_lot;
        INSERT INTO entry (
            slot, account_id, transaction_id, lot_id, from_side, to_side, points,
            enterprise_id, funder_id, merchant_id, business_date)
        VALUES (
            redeem.slot, redeem.account, redeem.transaction_id, first_lot, 'member', 'merchant', wanted,
            enterprise, first_funder, merchant, redeem.business_date);
    ELSE
        WITH used AS (
            SELECT id, funder_id, least(free, wanted - up_to_here + free)::bigint AS part
              FROM (
                  SELECT id, funder_id, remaining - held AS free,
                         sum(remaining - held) OVER (ORDER BY priority, expires_on, id) AS up_to_here
                    FROM lot WHERE slot = redeem.slot AND account_id = redeem.account AND open
                     AND remaining > held AND (expires_on IS NULL OR expires_on >= redeem.business_date)) o
             WHERE wanted > up_to_here - free
        ), taken AS (
            UPDATE lot l SET remaining = l.remaining - used.part FROM used
             WHERE l.slot = redeem.slot AND l.account_id = redeem.account AND l.id = used.id
        )
        INSERT INTO entry (
            slot, account_id, transaction_id, lot_id, from_side, to_side, points,
            enterprise_id, funder_id, merchant_id, business_date)
        SELECT redeem.slot, redeem.account, redeem.transaction_id, id, 'member', 'merchant', part,
               enterprise, funder_id, merchant, redeem.business_date
          FROM used;
    END IF;
    UPDATE account a SET posted = a.posted - wanted WHERE a.slot = redeem.slot AND a.id = redeem.account;
END $$;

-- The role of the server, under the same row level security as the server.
GRANT USAGE ON SCHEMA bench TO tessera_server;
GRANT SELECT, INSERT ON bench.member, bench.terminal TO tessera_server;
