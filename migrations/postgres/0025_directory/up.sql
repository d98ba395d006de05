-- Read models that follow the log: which generations of each there are. The one that answers is as far as its
-- follower; one that is built beside it says itself how far it is.
CREATE TABLE projection_generations (
    name text NOT NULL,
    generation bigint NOT NULL,
    state text NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (name, generation),
    CHECK (state IN ('live', 'building', 'dropped'))
);
CREATE UNIQUE INDEX projection_generations_one_each ON projection_generations (name, state) WHERE state <> 'dropped';

ALTER TABLE usage_generations ADD COLUMN paused_at timestamptz;

-- Tenants as operators look for them. Names sort alike on every server.
CREATE TABLE directory_tenants (
    generation bigint NOT NULL,
    tenant_id uuid NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    sort_name text COLLATE "C" NOT NULL,
    state text NOT NULL,
    suspended boolean NOT NULL,
    plan text NOT NULL,
    plan_version integer,
    isolation text,
    cluster text NOT NULL,
    region text,
    members bigint NOT NULL,
    keys bigint NOT NULL,
    leaving jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    last_activity_at timestamptz NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (generation, tenant_id)
);
CREATE INDEX directory_tenants_by_age ON directory_tenants (generation, created_at, tenant_id);
CREATE INDEX directory_tenants_by_name ON directory_tenants (generation, sort_name, tenant_id);

-- What happened in each tenant, a sentence an event.
CREATE TABLE activity_lines (
    generation bigint NOT NULL,
    tenant_id uuid NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    in_stead_of text,
    operators_only boolean NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (generation, tenant_id, txid, seq)
);
