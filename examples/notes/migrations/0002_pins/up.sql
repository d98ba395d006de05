-- A note can be pinned to the top of its notebook.
ALTER TABLE notes ADD COLUMN pinned boolean NOT NULL DEFAULT false;

CREATE INDEX notes_pinned ON notes (tenant_id, notebook_id) WHERE pinned;
