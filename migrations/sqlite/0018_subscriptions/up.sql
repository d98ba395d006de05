CREATE TABLE subscriptions (
    tenant_id BLOB NOT NULL PRIMARY KEY REFERENCES tenants (id),
    id BLOB NOT NULL UNIQUE,
    version_id BLOB NOT NULL,
    state TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    anchor_at INTEGER NOT NULL,
    periods INTEGER NOT NULL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    trial_ends_at INTEGER,
    cancel_at INTEGER,
    canceled_at INTEGER,
    paused_at INTEGER,
    pending_plan TEXT,
    unpaid_since INTEGER,
    wanted_isolation TEXT,
    next_at INTEGER,
    rev INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (state IN ('trialing', 'active', 'past_due', 'restricted', 'suspended', 'paused', 'canceled')),
    CHECK ((state = 'canceled') = (canceled_at IS NOT NULL)),
    CHECK ((state = 'paused') = (paused_at IS NOT NULL)),
    CHECK (state <> 'trialing' OR trial_ends_at IS NOT NULL),
    CHECK (period_start < period_end)
) STRICT;
CREATE INDEX subscriptions_due ON subscriptions (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX subscriptions_by_version ON subscriptions (version_id);
