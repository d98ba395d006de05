CREATE TABLE entitlement_overrides (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    feature text NOT NULL,
    value jsonb,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_by text,
    rev bigint NOT NULL
);
CREATE INDEX entitlement_overrides_by_tenant ON entitlement_overrides (tenant_id, created_at, id);
