CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    txid INTEGER NOT NULL DEFAULT 0,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant_id BLOB,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_tenant ON events (tenant_id, seq);
CREATE INDEX events_by_commit ON events (txid, seq);
