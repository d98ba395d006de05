CREATE TABLE placements (
    tenant_id BLOB NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    cluster TEXT NOT NULL,
    isolation TEXT NOT NULL,
    database_name TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    role_name TEXT,
    password BLOB,
    generation INTEGER NOT NULL,
    app_version TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK (state IN ('building', 'stocked', 'assigned', 'removing')),
    CHECK (isolation IN ('shared', 'schema', 'database'))
) STRICT;
CREATE INDEX placements_stock ON placements (state, cluster, isolation, app_version, tenant_id);
