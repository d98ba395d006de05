-- Narrow and in the order of ids: a use writes little, and many uses write few pages.
CREATE TABLE key_uses (
    key_id BLOB NOT NULL PRIMARY KEY REFERENCES keys(id) ON DELETE CASCADE,
    used_at INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO key_uses (key_id, used_at) SELECT id, last_used_at FROM keys WHERE last_used_at IS NOT NULL;
ALTER TABLE keys DROP COLUMN last_used_at;
