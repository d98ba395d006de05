-- Where in the log the last event stands that the request appended, to be told again with its answer.
ALTER TABLE idempotency_keys ADD COLUMN txid INTEGER;
ALTER TABLE idempotency_keys ADD COLUMN seq INTEGER;
