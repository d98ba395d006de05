CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    txid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    type text NOT NULL,
    version integer NOT NULL,
    tenant_id uuid,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    address text,
    request_id text,
    at timestamptz NOT NULL,
    data jsonb NOT NULL
);
CREATE INDEX events_by_tenant ON events (tenant_id, seq);
CREATE INDEX events_by_commit ON events (txid, seq);
