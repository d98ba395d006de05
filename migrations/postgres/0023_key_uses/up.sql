-- Narrow and without further indexes: a use writes little.
CREATE TABLE key_uses (
    key_id uuid NOT NULL PRIMARY KEY REFERENCES keys(id) ON DELETE CASCADE,
    used_at timestamptz NOT NULL
);
INSERT INTO key_uses (key_id, used_at) SELECT id, last_used_at FROM keys WHERE last_used_at IS NOT NULL;
ALTER TABLE keys DROP COLUMN last_used_at;
