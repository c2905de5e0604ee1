-- Lists of transactions, and the totals of closed days. Constraints are explained in ledger/model.

-- A tenant's own list. A debit writes to both, on a page that the tenant's last debit has left in memory.
CREATE INDEX transaction_merchant_idx ON transaction (merchant_id, id) WHERE merchant_id IS NOT NULL;

CREATE INDEX transaction_enterprise_idx ON transaction (enterprise_id, id);

-- What is rare among millions. An approved redemption, hold, capture or grant is in neither.
CREATE INDEX transaction_refused_idx ON transaction (id) WHERE code <> 0;

CREATE INDEX transaction_seldom_idx ON transaction (kind, id)
    WHERE kind IN ('refund', 'reversal', 'tombstone', 'release', 'lapse', 'expiry', 'adjustment', 'pin_change');

-- When a closed day was added up.
ALTER TABLE business_day ADD COLUMN added_up_at TIMESTAMP WITH TIME ZONE;

ALTER TABLE business_day ADD CONSTRAINT business_day_added_up_at_check
    CHECK (added_up_at IS NULL OR status = 'closed');

CREATE INDEX business_day_added_up_idx ON business_day (date) WHERE added_up_at IS NULL;

CREATE TABLE day_total (
    tenant_id BIGINT NOT NULL, 
    part TEXT NOT NULL, 
    date DATE NOT NULL, 
    part_id BIGINT NOT NULL, 
    kind TEXT NOT NULL, 
    approved BOOLEAN NOT NULL, 
    currency TEXT DEFAULT '' NOT NULL, 
    count BIGINT NOT NULL, 
    points BIGINT NOT NULL, 
    settlement_minor BIGINT NOT NULL, 
    CONSTRAINT day_total_pkey PRIMARY KEY (tenant_id, part, date, part_id, kind, approved, currency), 
    CONSTRAINT day_total_part_check CHECK (part IN ('all', 'enterprise', 'merchant', 'store', 'service')), 
    CONSTRAINT day_total_part_id_check CHECK ((part = 'all') = (part_id = 0)), 
    CONSTRAINT day_total_figures_check CHECK (count > 0 AND points >= 0 AND settlement_minor >= 0), 
    CONSTRAINT day_total_date_fkey FOREIGN KEY(date) REFERENCES business_day (date)
);
