CREATE TABLE operations (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    tenant_id BLOB,
    state TEXT NOT NULL,
    input TEXT NOT NULL,
    error TEXT,
    attempt INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    lease_owner BLOB,
    lease_until INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed'))
) STRICT;
CREATE INDEX operations_due ON operations (next_at) WHERE state IN ('pending', 'running');
CREATE INDEX operations_by_age ON operations (created_at, id);
CREATE INDEX operations_by_tenant ON operations (tenant_id, created_at);

CREATE TABLE operation_steps (
    operation_id BLOB NOT NULL REFERENCES operations(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    error TEXT,
    started_at INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (operation_id, position),
    CHECK (state IN ('pending', 'running', 'succeeded', 'failed'))
) STRICT;
