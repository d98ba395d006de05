ALTER TABLE keys DROP COLUMN successor_id;
ALTER TABLE keys DROP COLUMN last_used_at;
ALTER TABLE keys DROP COLUMN disabled_at;
ALTER TABLE keys DROP COLUMN rate_burst;
ALTER TABLE keys DROP COLUMN rate_per_s;
ALTER TABLE keys DROP COLUMN metadata;
ALTER TABLE keys DROP COLUMN environment;
