ALTER TABLE memberships ADD COLUMN rev INTEGER NOT NULL DEFAULT 1;
CREATE INDEX memberships_by_tenant ON memberships (tenant_id, created_at, user_id);

CREATE TABLE invitations (
    id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL REFERENCES tenants(id),
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    invited_by TEXT NOT NULL,
    user_id BLOB,
    rev INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'viewer')),
    CHECK (state IN ('open', 'accepted', 'revoked')),
    CHECK ((state = 'accepted') = (user_id IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX invitations_open ON invitations (tenant_id, email) WHERE state = 'open';
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, created_at, id);

CREATE TABLE pending_owners (
    signup_id BLOB NOT NULL PRIMARY KEY,
    tenant_id BLOB NOT NULL UNIQUE REFERENCES tenants(id),
    operation_id BLOB NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    code_hash BLOB NOT NULL,
    tries INTEGER NOT NULL,
    sends INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pending_owners_by_email ON pending_owners (email, created_at);

CREATE TABLE password_resets (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE email_changes (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    code_hash BLOB NOT NULL,
    tries INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
