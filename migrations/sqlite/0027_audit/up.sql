-- Seals of the log: each is the hash of the one before it and of all of an event's row (src/audit/model/chain.rs).
CREATE TABLE audit_seals (
    position INTEGER PRIMARY KEY CHECK (position > 0),
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_id BLOB NOT NULL UNIQUE,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
-- The newest seal, kept apart, so that seals cut off the end are missed.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    txid INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO audit_head (id, position, txid, seq, hash) VALUES (1, 0, 0, 0, zeroblob(32));
-- The log and its seals only grow. Whoever owns the file can take this away; the chain tells of what they did then.
CREATE TRIGGER events_do_not_change BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'rows of events are never changed nor removed'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'rows of events are never changed nor removed'); END;
CREATE TRIGGER audit_seals_do_not_change BEFORE UPDATE ON audit_seals
    BEGIN SELECT RAISE(ABORT, 'rows of audit_seals are never changed nor removed'); END;
CREATE TRIGGER audit_seals_are_not_removed BEFORE DELETE ON audit_seals
    BEGIN SELECT RAISE(ABORT, 'rows of audit_seals are never changed nor removed'); END;
