ALTER TABLE keys ADD COLUMN last_used_at timestamptz;
UPDATE keys SET last_used_at = key_uses.used_at FROM key_uses WHERE key_uses.key_id = keys.id;
DROP TABLE key_uses;
