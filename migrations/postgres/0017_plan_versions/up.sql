CREATE TABLE plan_versions (
    id uuid NOT NULL PRIMARY KEY,
    key text NOT NULL,
    number integer NOT NULL,
    spec jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    UNIQUE (key, number)
);
CREATE TABLE plans (
    key text NOT NULL PRIMARY KEY,
    position integer NOT NULL,
    current_id uuid NOT NULL REFERENCES plan_versions (id),
    archived_at timestamptz
);
CREATE TABLE catalogues (
    number bigint NOT NULL PRIMARY KEY,
    terms jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);
