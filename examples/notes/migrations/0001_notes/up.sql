-- Notebooks hold notes; notes carry tags. Every table starts its keys with the tenant, so that this
-- one file works unchanged in the shared, schema and database models, on PostgreSQL and on SQLite.
CREATE TABLE notebooks (
    tenant_id  uuid        NOT NULL DEFAULT (current_tenant()),
    id         uuid        NOT NULL DEFAULT (gen_random_uuid()),
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    archived   boolean     NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);

CREATE TABLE notes (
    tenant_id   uuid        NOT NULL DEFAULT (current_tenant()),
    id          uuid        NOT NULL DEFAULT (gen_random_uuid()),
    notebook_id uuid        NOT NULL,
    title       text        NOT NULL,
    body        text        NOT NULL DEFAULT '',
    revision    bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at  timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, notebook_id) REFERENCES notebooks (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX notes_by_notebook ON notes (tenant_id, notebook_id, updated_at);

CREATE TABLE note_tags (
    tenant_id uuid NOT NULL DEFAULT (current_tenant()),
    note_id   uuid NOT NULL,
    tag       text NOT NULL CHECK (tag <> ''),
    PRIMARY KEY (tenant_id, note_id, tag),
    FOREIGN KEY (tenant_id, note_id) REFERENCES notes (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX note_tags_by_tag ON note_tags (tenant_id, tag);
