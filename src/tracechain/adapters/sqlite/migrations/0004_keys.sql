-- The life of issuer keys. Those that are there sign since they were made; of those that are revoked
-- codes issued before are a caution, as they were.
ALTER TABLE issuer_key ADD COLUMN activate_time INTEGER;
ALTER TABLE issuer_key ADD COLUMN retire_time INTEGER;
ALTER TABLE issuer_key ADD COLUMN judge_earlier INTEGER NOT NULL DEFAULT 1;
UPDATE issuer_key SET activate_time = create_time;

-- Secrets of the service itself, wrapped under the key-encryption key.
CREATE TABLE service_secret (
    name TEXT PRIMARY KEY,
    wrapped_secret BLOB NOT NULL,
    create_time INTEGER NOT NULL
) WITHOUT ROWID;
