-- What the notes application asks of its database, one statement each. Nothing here names a tenant:
-- the same text runs in every isolation model and on both engines, and sees the caller's rows alone.
-- Each query is introduced by a line that names it. Run in order, they use only what earlier ones made.

-- name: add_notebook
INSERT INTO notebooks (name) VALUES ('Ideas');

-- name: ensure_notebook
INSERT INTO notebooks (name, archived) VALUES ('Ideas', false)
ON CONFLICT (tenant_id, name) DO UPDATE SET archived = excluded.archived
RETURNING id;

-- name: keep_notebook
INSERT INTO notebooks (name) VALUES ('Journal') ON CONFLICT (tenant_id, name) DO NOTHING;

-- name: add_note
INSERT INTO notes (notebook_id, title, body)
SELECT id, 'First thought', 'Write it down.' FROM notebooks WHERE name = 'Ideas'
RETURNING id, tenant_id, created_at;

-- name: tag_note
INSERT INTO note_tags (note_id, tag)
SELECT id, 'draft' FROM notes WHERE title = 'First thought'
ON CONFLICT (tenant_id, note_id, tag) DO NOTHING;

-- name: pin_note
UPDATE notes SET pinned = true, revision = revision + 1, updated_at = CURRENT_TIMESTAMP
WHERE title = 'First thought'
RETURNING revision;

-- name: list_notes
SELECT notes.id, notes.title, notes.pinned, notebooks.name AS notebook
FROM notes JOIN notebooks ON notebooks.tenant_id = notes.tenant_id AND notebooks.id = notes.notebook_id
WHERE NOT notebooks.archived
ORDER BY notes.pinned DESC, notes.updated_at DESC, notes.id
LIMIT 50;

-- name: count_by_tag
SELECT tag, count(*) AS notes FROM note_tags GROUP BY tag ORDER BY notes DESC, tag;

-- name: notebooks_with_counts
SELECT notebooks.name, count(notes.id) AS notes
FROM notebooks LEFT JOIN notes ON notes.tenant_id = notebooks.tenant_id AND notes.notebook_id = notebooks.id
GROUP BY notebooks.name
ORDER BY notebooks.name;

-- name: search
SELECT id, title FROM notes WHERE lower(title || ' ' || body) LIKE '%write%' ORDER BY id;

-- name: untag_note
DELETE FROM note_tags WHERE tag = 'draft';

-- name: drop_notebook
DELETE FROM notebooks WHERE name = 'Ideas';
