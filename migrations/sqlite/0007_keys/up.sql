CREATE TABLE keys (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    tenant_id BLOB REFERENCES tenants(id),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    role TEXT,
    scopes TEXT NOT NULL,
    rev INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    CHECK (kind IN ('tenant', 'service', 'operator')),
    CHECK ((kind = 'tenant') = (tenant_id IS NOT NULL)),
    CHECK ((kind = 'operator') = (role IS NOT NULL))
) STRICT;
CREATE INDEX keys_by_tenant ON keys (tenant_id, created_at, id);
CREATE INDEX keys_by_kind ON keys (kind, created_at, id);
