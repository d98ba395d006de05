CREATE TABLE signups (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL REFERENCES tenants(id),
    user_id BLOB NOT NULL REFERENCES users(id),
    operation_id BLOB NOT NULL,
    verification TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK (verification IN ('pending', 'verified', 'not_required'))
) STRICT;
CREATE INDEX signups_by_tenant ON signups (tenant_id);
