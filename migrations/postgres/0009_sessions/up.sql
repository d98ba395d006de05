CREATE TABLE sessions (
    id uuid NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    user_id uuid REFERENCES users(id) ON DELETE CASCADE,
    tenant_id uuid REFERENCES tenants(id),
    operator_id uuid,
    role text,
    actor_kind text,
    actor_id text,
    reason text,
    address text,
    user_agent text,
    created_at timestamptz NOT NULL,
    used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text,
    CHECK (kind IN ('member', 'impersonation', 'operator')),
    CHECK ((kind = 'operator') = (tenant_id IS NULL)),
    CHECK ((kind = 'operator') = (operator_id IS NOT NULL)),
    CHECK (kind <> 'member' OR user_id IS NOT NULL),
    CHECK ((kind = 'impersonation') = (actor_id IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_tenant ON sessions (tenant_id, created_at, id);
CREATE INDEX sessions_by_operator ON sessions (operator_id);
CREATE INDEX sessions_by_actor ON sessions (actor_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash bytea NOT NULL PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    spent_at timestamptz,
    spent_from text
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_spending ON refresh_tokens (spent_at);
