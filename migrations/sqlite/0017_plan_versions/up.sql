CREATE TABLE plan_versions (
    id BLOB NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    spec TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (key, number)
) STRICT;
CREATE TABLE plans (
    key TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    current_id BLOB NOT NULL REFERENCES plan_versions (id),
    archived_at INTEGER
) STRICT;
CREATE TABLE catalogues (
    number INTEGER NOT NULL PRIMARY KEY,
    terms TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;
