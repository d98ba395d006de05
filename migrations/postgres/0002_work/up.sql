CREATE TABLE operations (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    tenant_id uuid,
    state text NOT NULL,
    input jsonb NOT NULL,
    error text,
    attempt integer NOT NULL,
    next_at timestamptz NOT NULL,
    lease_owner uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed'))
);
CREATE INDEX operations_due ON operations (next_at) WHERE state IN ('pending', 'running');
CREATE INDEX operations_by_age ON operations (created_at, id);
CREATE INDEX operations_by_tenant ON operations (tenant_id, created_at);

CREATE TABLE operation_steps (
    operation_id uuid NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
    position integer NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    error text,
    started_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (operation_id, position),
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed'))
);
