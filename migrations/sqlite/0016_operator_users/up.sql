CREATE TABLE operator_users (
    id BLOB NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT,
    setup_hash BLOB UNIQUE,
    setup_expires_at INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    disabled_at INTEGER,
    rev INTEGER NOT NULL,
    CHECK (role IN ('admin', 'support', 'viewer')),
    CHECK ((setup_hash IS NULL) = (setup_expires_at IS NULL))
) STRICT;
CREATE INDEX operator_users_by_age ON operator_users (created_at, id);
