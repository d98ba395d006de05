CREATE TABLE quota_counters (
    tenant_id BLOB NOT NULL,
    meter TEXT NOT NULL,
    per TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, meter, per, window_start),
    CHECK (per IN ('hour', 'day', 'month', 'year')),
    CHECK (used >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_counters_by_window ON quota_counters (per, window_start);

CREATE TABLE quota_takes (
    tenant_id BLOB NOT NULL,
    key TEXT NOT NULL,
    feature TEXT NOT NULL,
    amount INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_takes_by_end ON quota_takes (expires_at);

CREATE TABLE quota_thresholds (
    tenant_id BLOB NOT NULL,
    feature TEXT NOT NULL,
    per TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, feature, per, window_start, percent)
) STRICT, WITHOUT ROWID;
CREATE INDEX quota_thresholds_by_window ON quota_thresholds (per, window_start);
