DROP TABLE recovery_codes;
DROP TABLE totp_factors;
ALTER TABLE signing_keys DROP COLUMN retired_at;
ALTER TABLE signing_keys DROP COLUMN active_at;
