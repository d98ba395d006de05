-- Read models that follow the log: which generations of each there are. The one that answers is as far as its
-- follower; one that is built beside it says itself how far it is.
CREATE TABLE projection_generations (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (name, generation),
    CHECK (state IN ('live', 'building', 'dropped'))
) STRICT;
CREATE UNIQUE INDEX projection_generations_one_each ON projection_generations (name, state) WHERE state <> 'dropped';

ALTER TABLE usage_generations ADD COLUMN paused_at INTEGER;

-- Tenants as operators look for them.
CREATE TABLE directory_tenants (
    generation INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    sort_name TEXT NOT NULL,
    state TEXT NOT NULL,
    suspended INTEGER NOT NULL,
    plan TEXT NOT NULL,
    plan_version INTEGER,
    isolation TEXT,
    cluster TEXT NOT NULL,
    region TEXT,
    members INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    leaving TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (generation, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX directory_tenants_by_age ON directory_tenants (generation, created_at, tenant_id);
CREATE INDEX directory_tenants_by_name ON directory_tenants (generation, sort_name, tenant_id);

-- What happened in each tenant, a sentence an event.
CREATE TABLE activity_lines (
    generation INTEGER NOT NULL,
    tenant_id BLOB NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    in_stead_of TEXT,
    operators_only INTEGER NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (generation, tenant_id, txid, seq)
) STRICT, WITHOUT ROWID;
