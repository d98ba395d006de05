CREATE TABLE mails (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid,
    operation_id uuid NOT NULL,
    letter bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mails_by_tenant ON mails (tenant_id);
CREATE INDEX operations_by_end ON operations (kind, finished_at);
