CREATE TABLE invoices (
    id uuid NOT NULL PRIMARY KEY,
    number text NOT NULL UNIQUE,
    tenant_id uuid NOT NULL,
    subscription_id uuid,
    customer text NOT NULL,
    state text NOT NULL,
    currency text NOT NULL,
    subtotal bigint NOT NULL,
    total bigint NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    paid_at timestamptz,
    payment_reference text,
    voided_at timestamptz,
    void_reason text,
    rev bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (state IN ('open', 'paid', 'void')),
    CHECK ((state = 'paid') = (paid_at IS NOT NULL)),
    CHECK ((state = 'void') = (voided_at IS NOT NULL))
);
CREATE INDEX invoices_by_age ON invoices (created_at, id);
CREATE INDEX invoices_by_tenant ON invoices (tenant_id, created_at, id);
CREATE INDEX invoices_by_state ON invoices (state, created_at, id);
CREATE TABLE invoice_lines (
    invoice_id uuid NOT NULL REFERENCES invoices(id),
    position integer NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    quantity bigint NOT NULL,
    unit_price bigint NOT NULL,
    amount bigint NOT NULL,
    period_start timestamptz,
    period_end timestamptz,
    PRIMARY KEY (invoice_id, position),
    CHECK (kind IN ('plan', 'proration', 'usage', 'credit')),
    CHECK ((period_start IS NULL) = (period_end IS NULL))
);
CREATE TABLE invoice_numbers (
    year integer NOT NULL PRIMARY KEY,
    last bigint NOT NULL
);
CREATE TABLE billing_accounts (
    tenant_id uuid NOT NULL PRIMARY KEY,
    customer_ref text UNIQUE,
    subscription_ref text,
    item_ref text,
    status text,
    status_at timestamptz,
    wanted jsonb NOT NULL,
    wanted_rev bigint NOT NULL,
    synced_rev bigint NOT NULL,
    round integer NOT NULL,
    operation_id uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE billing_payments (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL,
    reference text NOT NULL UNIQUE,
    currency text NOT NULL,
    amount bigint NOT NULL,
    unapplied bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX billing_payments_by_tenant ON billing_payments (tenant_id, created_at, id);
CREATE TABLE billing_events (
    id text NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX billing_events_by_age ON billing_events (received_at);
