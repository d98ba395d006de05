CREATE TABLE followers (
    name TEXT PRIMARY KEY,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    paused_at INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_owner BLOB,
    lease_until INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;
