DROP TRIGGER events_do_not_change;
DROP TRIGGER events_are_not_removed;
DROP TABLE audit_head;
DROP TABLE audit_seals;
