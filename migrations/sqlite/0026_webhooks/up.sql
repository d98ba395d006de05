CREATE TABLE webhook_endpoints (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    types TEXT NOT NULL,
    ordered INTEGER NOT NULL,
    rate_limit INTEGER,
    sealed BLOB NOT NULL,
    rev INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_endpoints_by_tenant ON webhook_endpoints (tenant_id, created_at, id);
CREATE INDEX webhook_endpoints_by_age ON webhook_endpoints (created_at, id);
CREATE TABLE webhook_queues (
    endpoint_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    enabled INTEGER NOT NULL,
    disabled_at INTEGER,
    disabled_reason TEXT,
    due_at INTEGER,
    open_until INTEGER,
    failing_since INTEGER,
    failures INTEGER NOT NULL,
    paced INTEGER NOT NULL,
    CHECK (disabled_reason IN ('by_hand', 'failing', 'gone')),
    CHECK ((enabled = 0) = (disabled_at IS NOT NULL AND disabled_reason IS NOT NULL))
) STRICT;
CREATE INDEX webhook_queues_due ON webhook_queues (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_queues_by_tenant ON webhook_queues (tenant_id);
CREATE TABLE webhook_messages (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_messages_by_tenant ON webhook_messages (tenant_id, txid, seq);
CREATE INDEX webhook_messages_by_age ON webhook_messages (created_at);
CREATE TABLE webhook_deliveries (
    id BLOB NOT NULL PRIMARY KEY,
    endpoint_id BLOB NOT NULL,
    tenant_id BLOB NOT NULL,
    message_id BLOB NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    step INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    UNIQUE (endpoint_id, message_id),
    CHECK (state IN ('pending', 'sending', 'succeeded', 'failed')),
    CHECK ((finished_at IS NULL) = (state IN ('pending', 'sending')))
) STRICT;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_at) WHERE finished_at IS NULL;
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (endpoint_id, txid, seq, id) WHERE finished_at IS NULL;
CREATE INDEX webhook_deliveries_by_message ON webhook_deliveries (message_id);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_by_tenant ON webhook_deliveries (tenant_id, created_at, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at, id);
CREATE TABLE webhook_attempts (
    delivery_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    response TEXT,
    PRIMARY KEY (delivery_id, number)
) STRICT;
