ALTER TABLE keys ADD COLUMN environment text NOT NULL DEFAULT 'live' CHECK (environment IN ('live', 'test'));
ALTER TABLE keys ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN rate_per_s integer;
ALTER TABLE keys ADD COLUMN rate_burst integer;
ALTER TABLE keys ADD COLUMN disabled_at timestamptz;
ALTER TABLE keys ADD COLUMN last_used_at timestamptz;
ALTER TABLE keys ADD COLUMN successor_id uuid;
-- Ids tell their kind by themselves.
UPDATE keys SET created_by = split_part(created_by, ':', 2) WHERE created_by LIKE '%:%';
