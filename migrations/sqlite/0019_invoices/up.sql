CREATE TABLE invoices (
    id BLOB NOT NULL PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    tenant_id BLOB NOT NULL,
    subscription_id BLOB,
    customer TEXT NOT NULL,
    state TEXT NOT NULL,
    currency TEXT NOT NULL,
    subtotal INTEGER NOT NULL,
    total INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    paid_at INTEGER,
    payment_reference TEXT,
    voided_at INTEGER,
    void_reason TEXT,
    rev INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (state IN ('open', 'paid', 'void')),
    CHECK ((state = 'paid') = (paid_at IS NOT NULL)),
    CHECK ((state = 'void') = (voided_at IS NOT NULL))
) STRICT;
CREATE INDEX invoices_by_age ON invoices (created_at, id);
CREATE INDEX invoices_by_tenant ON invoices (tenant_id, created_at, id);
CREATE INDEX invoices_by_state ON invoices (state, created_at, id);
CREATE TABLE invoice_lines (
    invoice_id BLOB NOT NULL REFERENCES invoices(id),
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    period_start INTEGER,
    period_end INTEGER,
    PRIMARY KEY (invoice_id, position),
    CHECK (kind IN ('plan', 'proration', 'usage', 'credit')),
    CHECK ((period_start IS NULL) = (period_end IS NULL))
) STRICT;
CREATE TABLE invoice_numbers (
    year INTEGER NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;
CREATE TABLE billing_accounts (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    customer_ref TEXT UNIQUE,
    subscription_ref TEXT,
    item_ref TEXT,
    status TEXT,
    status_at INTEGER,
    wanted TEXT NOT NULL,
    wanted_rev INTEGER NOT NULL,
    synced_rev INTEGER NOT NULL,
    round INTEGER NOT NULL,
    operation_id BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE billing_payments (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    unapplied INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX billing_payments_by_tenant ON billing_payments (tenant_id, created_at, id);
CREATE TABLE billing_events (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT;
CREATE INDEX billing_events_by_age ON billing_events (received_at);
