CREATE TABLE tenants (
    id uuid NOT NULL PRIMARY KEY,
    slug text NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    plan text NOT NULL,
    isolation text NOT NULL,
    cluster text NOT NULL,
    region text,
    rev bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    suspended_at timestamptz,
    suspend_reason text,
    delete_at timestamptz,
    deleted_at timestamptz,
    CHECK (state IN ('provisioning', 'active', 'suspended', 'deleting', 'deleted')),
    CHECK (isolation IN ('shared', 'schema', 'database'))
);
CREATE UNIQUE INDEX tenants_slug ON tenants (slug) WHERE state <> 'deleted';
CREATE INDEX tenants_by_age ON tenants (created_at, id);
CREATE INDEX tenants_by_state ON tenants (state, created_at, id);
