DROP TABLE note_tags;
DROP TABLE notes;
DROP TABLE notebooks;
