CREATE TABLE webhook_endpoints (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    types jsonb NOT NULL,
    ordered boolean NOT NULL,
    rate_limit integer,
    sealed bytea NOT NULL,
    rev bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX webhook_endpoints_by_tenant ON webhook_endpoints (tenant_id, created_at, id);
CREATE INDEX webhook_endpoints_by_age ON webhook_endpoints (created_at, id);
CREATE TABLE webhook_queues (
    endpoint_id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL,
    enabled boolean NOT NULL,
    disabled_at timestamptz,
    disabled_reason text,
    due_at timestamptz,
    open_until timestamptz,
    failing_since timestamptz,
    failures integer NOT NULL,
    paced bigint NOT NULL,
    CHECK (disabled_reason IN ('by_hand', 'failing', 'gone')),
    CHECK ((NOT enabled) = (disabled_at IS NOT NULL AND disabled_reason IS NOT NULL))
);
CREATE INDEX webhook_queues_due ON webhook_queues (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_queues_by_tenant ON webhook_queues (tenant_id);
CREATE TABLE webhook_messages (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL,
    type text NOT NULL,
    body text NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX webhook_messages_by_tenant ON webhook_messages (tenant_id, txid, seq);
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);
CREATE TABLE webhook_deliveries (
    id uuid NOT NULL PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    message_id uuid NOT NULL,
    type text NOT NULL,
    state text NOT NULL,
    step integer NOT NULL,
    attempts integer NOT NULL,
    next_at timestamptz NOT NULL,
    fence bigint NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    status integer,
    error text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (endpoint_id, message_id),
    CHECK (state IN ('pending', 'sending', 'succeeded', 'failed')),
    CHECK ((finished_at IS NULL) = (state IN ('pending', 'sending')))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE finished_at IS NULL;
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (endpoint_id, txid, seq, id) WHERE finished_at IS NULL;
CREATE INDEX webhook_deliveries_by_message ON webhook_deliveries (message_id);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_tenant ON webhook_deliveries (tenant_id, created_at, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at, id);
CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    status integer,
    error text,
    response text,
    PRIMARY KEY (delivery_id, number)
);
