CREATE TABLE entitlement_overrides (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL REFERENCES tenants (id),
    feature TEXT NOT NULL,
    value TEXT,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended_by TEXT,
    rev INTEGER NOT NULL
) STRICT;
CREATE INDEX entitlement_overrides_by_tenant ON entitlement_overrides (tenant_id, created_at, id);
