CREATE TABLE subscriptions (
    tenant_id uuid NOT NULL PRIMARY KEY REFERENCES tenants (id),
    id uuid NOT NULL UNIQUE,
    version_id uuid NOT NULL,
    state text NOT NULL,
    time_zone text NOT NULL,
    anchor_at timestamptz NOT NULL,
    periods integer NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    trial_ends_at timestamptz,
    cancel_at timestamptz,
    canceled_at timestamptz,
    paused_at timestamptz,
    pending_plan text,
    unpaid_since timestamptz,
    wanted_isolation text,
    next_at timestamptz,
    rev bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (state IN ('trialing', 'active', 'past_due', 'restricted', 'suspended', 'paused', 'canceled')),
    CHECK ((state = 'canceled') = (canceled_at IS NOT NULL)),
    CHECK ((state = 'paused') = (paused_at IS NOT NULL)),
    CHECK (state <> 'trialing' OR trial_ends_at IS NOT NULL),
    CHECK (period_start < period_end)
);
CREATE INDEX subscriptions_due ON subscriptions (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX subscriptions_by_version ON subscriptions (version_id);
