ALTER TABLE keys ADD COLUMN environment TEXT NOT NULL DEFAULT 'live' CHECK (environment IN ('live', 'test'));
ALTER TABLE keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN rate_per_s INTEGER;
ALTER TABLE keys ADD COLUMN rate_burst INTEGER;
ALTER TABLE keys ADD COLUMN disabled_at INTEGER;
ALTER TABLE keys ADD COLUMN last_used_at INTEGER;
ALTER TABLE keys ADD COLUMN successor_id BLOB;
-- Ids tell their kind by themselves.
UPDATE keys SET created_by = substr(created_by, instr(created_by, ':') + 1) WHERE created_by LIKE '%:%';
