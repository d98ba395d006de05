-- What was used: an event each, as it was counted when it came in. `key` stands for tenant, source and id.
CREATE TABLE usage_events (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    txid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    tenant_id uuid NOT NULL,
    key bytea NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    counts text NOT NULL,
    PRIMARY KEY (txid, seq),
    UNIQUE (tenant_id, key)
);

-- The roll-ups there are: one that answers, perhaps one that is being built beside it, those given up.
CREATE TABLE usage_generations (
    generation bigint PRIMARY KEY,
    state text NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    raw_from timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    CHECK (state IN ('live', 'building', 'dropped'))
);
CREATE UNIQUE INDEX usage_generations_one_each ON usage_generations (state) WHERE state <> 'dropped';
INSERT INTO usage_generations (generation, state, txid, seq, raw_from, started_at)
VALUES (1, 'live', 0, 0, '1970-01-01T00:00:00Z', '1970-01-01T00:00:00Z');

CREATE TABLE usage_rollups (
    generation bigint NOT NULL,
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamptz NOT NULL,
    grp text NOT NULL,
    events bigint NOT NULL,
    total bigint NOT NULL,
    most bigint NOT NULL,
    last_at timestamptz NOT NULL,
    last_seq bigint NOT NULL,
    last_value bigint NOT NULL,
    PRIMARY KEY (generation, tenant_id, meter, hour, grp)
);

CREATE TABLE usage_uniques (
    generation bigint NOT NULL,
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    hour timestamptz NOT NULL,
    grp text NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (generation, tenant_id, meter, hour, grp, value)
);
