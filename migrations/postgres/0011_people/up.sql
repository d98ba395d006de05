ALTER TABLE memberships ADD COLUMN rev bigint NOT NULL DEFAULT 1;
CREATE INDEX memberships_by_tenant ON memberships (tenant_id, created_at, user_id);

CREATE TABLE invitations (
    id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES tenants(id),
    email text NOT NULL,
    role text NOT NULL,
    state text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    invited_by text NOT NULL,
    user_id uuid,
    rev bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'viewer')),
    CHECK (state IN ('open', 'accepted', 'revoked')),
    CHECK ((state = 'accepted') = (user_id IS NOT NULL))
);
CREATE UNIQUE INDEX invitations_open ON invitations (tenant_id, email) WHERE state = 'open';
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, created_at, id);

CREATE TABLE pending_owners (
    signup_id uuid NOT NULL PRIMARY KEY,
    tenant_id uuid NOT NULL UNIQUE REFERENCES tenants(id),
    operation_id uuid NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL,
    sends integer NOT NULL,
    sent_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pending_owners_by_email ON pending_owners (email, created_at);

CREATE TABLE password_resets (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE email_changes (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    email text NOT NULL,
    code_hash bytea NOT NULL,
    tries integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
