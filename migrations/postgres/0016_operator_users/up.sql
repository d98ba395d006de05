CREATE TABLE operator_users (
    id uuid NOT NULL PRIMARY KEY,
    email text NOT NULL UNIQUE,
    role text NOT NULL,
    password_hash text,
    setup_hash bytea UNIQUE,
    setup_expires_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    disabled_at timestamptz,
    rev bigint NOT NULL,
    CHECK (role IN ('admin', 'support', 'viewer')),
    CHECK ((setup_hash IS NULL) = (setup_expires_at IS NULL))
);
CREATE INDEX operator_users_by_age ON operator_users (created_at, id);
