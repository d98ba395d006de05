CREATE TABLE mails (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB,
    operation_id BLOB NOT NULL,
    letter BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mails_by_tenant ON mails (tenant_id);
CREATE INDEX operations_by_end ON operations (kind, finished_at);
