-- What was used: an event each, as it was counted when it came in. `key` stands for tenant, source and id.
CREATE TABLE usage_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    txid INTEGER NOT NULL DEFAULT 0,
    tenant_id BLOB NOT NULL,
    key BLOB NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    counts TEXT NOT NULL,
    UNIQUE (tenant_id, key)
) STRICT;

-- The roll-ups there are: one that answers, perhaps one that is being built beside it, those given up.
CREATE TABLE usage_generations (
    generation INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    raw_from INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    CHECK (state IN ('live', 'building', 'dropped'))
) STRICT;
CREATE UNIQUE INDEX usage_generations_one_each ON usage_generations (state) WHERE state <> 'dropped';
INSERT INTO usage_generations (generation, state, txid, seq, raw_from, started_at) VALUES (1, 'live', 0, 0, 0, 0);

CREATE TABLE usage_rollups (
    generation INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    meter TEXT NOT NULL,
    hour INTEGER NOT NULL,
    grp TEXT NOT NULL,
    events INTEGER NOT NULL,
    total INTEGER NOT NULL,
    most INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_value INTEGER NOT NULL,
    PRIMARY KEY (generation, tenant_id, meter, hour, grp)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_uniques (
    generation INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    meter TEXT NOT NULL,
    hour INTEGER NOT NULL,
    grp TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (generation, tenant_id, meter, hour, grp, value)
) STRICT, WITHOUT ROWID;
