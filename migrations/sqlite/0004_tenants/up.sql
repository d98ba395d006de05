CREATE TABLE tenants (
    id BLOB NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    plan TEXT NOT NULL,
    isolation TEXT NOT NULL,
    cluster TEXT NOT NULL,
    region TEXT,
    rev INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    suspended_at INTEGER,
    suspend_reason TEXT,
    delete_at INTEGER,
    deleted_at INTEGER,
    CHECK (state IN ('provisioning', 'active', 'suspended', 'deleting', 'deleted')),
    CHECK (isolation IN ('shared', 'schema', 'database'))
) STRICT;
CREATE UNIQUE INDEX tenants_slug ON tenants (slug) WHERE state <> 'deleted';
CREATE INDEX tenants_by_age ON tenants (created_at, id);
CREATE INDEX tenants_by_state ON tenants (state, created_at, id);
