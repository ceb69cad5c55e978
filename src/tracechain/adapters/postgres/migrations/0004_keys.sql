-- The life of issuer keys. Those that are there sign since they were made; of those that are revoked
-- codes issued before are a caution, as they were.
ALTER TABLE issuer_key ADD COLUMN activate_time bigint;
ALTER TABLE issuer_key ADD COLUMN retire_time bigint;
ALTER TABLE issuer_key ADD COLUMN judge_earlier bigint NOT NULL DEFAULT 1;
-- When it was revoked, whatever moment it is revoked from.
ALTER TABLE issuer_key ADD COLUMN revoke_record_time bigint;
-- The platform's certificate; empty until it is given.
ALTER TABLE issuer_key ADD COLUMN certificate bytea NOT NULL DEFAULT '';
UPDATE issuer_key SET activate_time = create_time;

-- Secrets of the service itself, wrapped under the key-encryption key.
CREATE TABLE service_secret (
    name text COLLATE "C" PRIMARY KEY,
    wrapped_secret bytea NOT NULL,
    public_part bytea NOT NULL,
    create_time bigint NOT NULL
);

-- What one credential proposes and another one decides.
CREATE TABLE approval (
    approval_id text COLLATE "C" PRIMARY KEY,
    issuer_gln text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    decider_gln text COLLATE "C" NOT NULL DEFAULT '',
    decider_credential text COLLATE "C" NOT NULL DEFAULT '',
    decide_time bigint
);
