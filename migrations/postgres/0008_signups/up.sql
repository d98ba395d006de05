CREATE TABLE signups (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants(id),
    user_id uuid NOT NULL REFERENCES users(id),
    operation_id uuid NOT NULL,
    verification text NOT NULL,
    created_at timestamptz NOT NULL,
    CHECK (verification IN ('pending', 'verified', 'not_required'))
);
CREATE INDEX signups_by_tenant ON signups (tenant_id);
