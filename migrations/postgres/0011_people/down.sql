DROP TABLE email_changes;
DROP TABLE password_resets;
DROP TABLE pending_owners;
DROP TABLE invitations;
DROP INDEX memberships_by_tenant;
ALTER TABLE memberships DROP COLUMN rev;
