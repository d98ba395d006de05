CREATE TABLE quota_counters (
    tenant_id uuid NOT NULL,
    meter text NOT NULL,
    per text NOT NULL,
    window_start timestamptz NOT NULL,
    used bigint NOT NULL,
    PRIMARY KEY (tenant_id, meter, per, window_start),
    CHECK (per IN ('hour', 'day', 'month', 'year')),
    CHECK (used >= 0)
);
CREATE INDEX quota_counters_by_window ON quota_counters (per, window_start);

CREATE TABLE quota_takes (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    feature text NOT NULL,
    amount bigint NOT NULL,
    outcome jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX quota_takes_by_end ON quota_takes (expires_at);

CREATE TABLE quota_thresholds (
    tenant_id uuid NOT NULL,
    feature text NOT NULL,
    per text NOT NULL,
    window_start timestamptz NOT NULL,
    percent integer NOT NULL,
    PRIMARY KEY (tenant_id, feature, per, window_start, percent)
);
CREATE INDEX quota_thresholds_by_window ON quota_thresholds (per, window_start);
