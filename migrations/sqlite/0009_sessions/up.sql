CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id BLOB REFERENCES users(id) ON DELETE CASCADE,
    tenant_id BLOB REFERENCES tenants(id),
    operator_id BLOB,
    role TEXT,
    actor_kind TEXT,
    actor_id TEXT,
    reason TEXT,
    address TEXT,
    user_agent TEXT,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT,
    CHECK (kind IN ('member', 'impersonation', 'operator')),
    CHECK ((kind = 'operator') = (tenant_id IS NULL)),
    CHECK ((kind = 'operator') = (operator_id IS NOT NULL)),
    CHECK (kind <> 'member' OR user_id IS NOT NULL),
    CHECK ((kind = 'impersonation') = (actor_id IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, id);
CREATE INDEX sessions_by_tenant ON sessions (tenant_id, created_at, id);
CREATE INDEX sessions_by_operator ON sessions (operator_id);
CREATE INDEX sessions_by_actor ON sessions (actor_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE refresh_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    session_id BLOB NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    spent_at INTEGER,
    spent_from TEXT
) STRICT;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_spending ON refresh_tokens (spent_at);
