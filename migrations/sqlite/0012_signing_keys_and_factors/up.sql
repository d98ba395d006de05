ALTER TABLE signing_keys ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN retired_at INTEGER;

CREATE TABLE totp_factors (
    person_id BLOB NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    confirmed_at INTEGER,
    last_step INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    person_id BLOB NOT NULL REFERENCES totp_factors(person_id) ON DELETE CASCADE,
    hash BLOB NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (person_id, hash)
) STRICT;
