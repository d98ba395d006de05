DROP TABLE activity_lines;
DROP TABLE directory_tenants;
ALTER TABLE usage_generations DROP COLUMN paused_at;
DROP TABLE projection_generations;
