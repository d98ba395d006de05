DROP TRIGGER events_only_grow ON events;
DROP TABLE audit_head;
DROP TABLE audit_seals;
DROP FUNCTION only_grows();
