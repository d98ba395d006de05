DROP TABLE signing_keys;
DROP TABLE memberships;
DROP TABLE users;
