ALTER TABLE signing_keys ADD COLUMN active_at timestamptz NOT NULL DEFAULT 'epoch';
ALTER TABLE signing_keys ADD COLUMN retired_at timestamptz;

CREATE TABLE totp_factors (
    person_id uuid NOT NULL PRIMARY KEY,
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step bigint NOT NULL
);

CREATE TABLE recovery_codes (
    person_id uuid NOT NULL REFERENCES totp_factors(person_id) ON DELETE CASCADE,
    hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (person_id, hash)
);
