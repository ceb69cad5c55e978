-- The life of issuer keys. Those that are there sign since they were made; of those that are revoked
-- codes issued before are a caution, as they were.
ALTER TABLE issuer_key ADD COLUMN activate_time INTEGER;
ALTER TABLE issuer_key ADD COLUMN retire_time INTEGER;
ALTER TABLE issuer_key ADD COLUMN judge_earlier INTEGER NOT NULL DEFAULT 1;
-- When it was revoked, whatever moment it is revoked from.
ALTER TABLE issuer_key ADD COLUMN revoke_record_time INTEGER;
-- The platform's certificate; empty until it is given.
ALTER TABLE issuer_key ADD COLUMN certificate BLOB NOT NULL DEFAULT x'';
UPDATE issuer_key SET activate_time = create_time;

-- Secrets of the service itself, wrapped under the key-encryption key.
CREATE TABLE service_secret (
    name TEXT PRIMARY KEY,
    wrapped_secret BLOB NOT NULL,
    public_part BLOB NOT NULL,
    create_time INTEGER NOT NULL
) WITHOUT ROWID;

-- What one credential proposes and another one decides.
CREATE TABLE approval (
    approval_id TEXT PRIMARY KEY,
    issuer_gln TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    decider_gln TEXT NOT NULL DEFAULT '',
    decider_credential TEXT NOT NULL DEFAULT '',
    decide_time INTEGER
) WITHOUT ROWID;
