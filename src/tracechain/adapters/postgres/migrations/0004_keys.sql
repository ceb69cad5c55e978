-- The life of issuer keys. Those that are there sign since they were made; of those that are revoked
-- codes issued before are a caution, as they were.
ALTER TABLE issuer_key ADD COLUMN activate_time bigint;
ALTER TABLE issuer_key ADD COLUMN retire_time bigint;
ALTER TABLE issuer_key ADD COLUMN judge_earlier bigint NOT NULL DEFAULT 1;
UPDATE issuer_key SET activate_time = create_time;

-- Secrets of the service itself, wrapped under the key-encryption key.
CREATE TABLE service_secret (
    name text COLLATE "C" PRIMARY KEY,
    wrapped_secret bytea NOT NULL,
    create_time bigint NOT NULL
);
