CREATE TABLE followers (
    name text PRIMARY KEY,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    paused_at timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    lease_owner uuid,
    lease_until timestamptz,
    updated_at timestamptz NOT NULL
);
