ALTER TABLE idempotency_keys DROP COLUMN seq;
ALTER TABLE idempotency_keys DROP COLUMN txid;
