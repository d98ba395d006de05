-- Seals of the log: each is the hash of the one before it and of all of an event's row (src/audit/model/chain.rs).
CREATE TABLE audit_seals (
    position bigint PRIMARY KEY CHECK (position > 0),
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    event_id uuid NOT NULL UNIQUE,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
-- The newest seal, kept apart, so that seals cut off the end are missed.
CREATE TABLE audit_head (
    id integer PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL,
    txid bigint NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_head (id, position, txid, seq, hash) VALUES (1, 0, 0, 0, decode(repeat('00', 32), 'hex'));
-- The log and its seals only grow. Whoever owns the tables can take this away; the chain tells of what they did then.
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed nor removed', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER events_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
CREATE TRIGGER audit_seals_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION only_grows();
