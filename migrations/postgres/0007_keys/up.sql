CREATE TABLE keys (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    tenant_id uuid REFERENCES tenants(id),
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    prefix text NOT NULL,
    role text,
    scopes jsonb NOT NULL,
    rev bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CHECK (kind IN ('tenant', 'service', 'operator')),
    CHECK ((kind = 'tenant') = (tenant_id IS NOT NULL)),
    CHECK ((kind = 'operator') = (role IS NOT NULL))
);
CREATE INDEX keys_by_tenant ON keys (tenant_id, created_at, id);
CREATE INDEX keys_by_kind ON keys (kind, created_at, id);
