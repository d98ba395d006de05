CREATE TABLE placements (
    tenant_id uuid NOT NULL PRIMARY KEY,
    state text NOT NULL,
    cluster text NOT NULL,
    isolation text NOT NULL,
    database_name text NOT NULL,
    schema_name text NOT NULL,
    role_name text,
    password bytea,
    generation bigint NOT NULL,
    app_version text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (state IN ('building', 'stocked', 'assigned', 'removing')),
    CHECK (isolation IN ('shared', 'schema', 'database'))
);
CREATE INDEX placements_stock ON placements (state, cluster, isolation, app_version, tenant_id);
