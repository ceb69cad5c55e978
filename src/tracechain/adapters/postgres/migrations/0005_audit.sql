-- What privileged calls left behind, under one of a few keys (tracechain.domain.audit), by month.
CREATE TABLE audit (
    batch_key bigint NOT NULL,
    time bigint NOT NULL,
    record_id bytea NOT NULL,
    party_gln text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    credential_id text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    objects text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    origin bytea NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    old_values text COLLATE "C" NOT NULL,
    new_values text COLLATE "C" NOT NULL,
    calls bigint NOT NULL,
    PRIMARY KEY (batch_key, time, record_id)
) PARTITION BY RANGE (time);
CREATE TABLE audit_default PARTITION OF audit DEFAULT;
-- Append-only also for the role that the service connects as, which is the owner: it may add and
-- read. Retention drops whole months, and old rows of the default one by its own name.
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM CURRENT_USER;
REVOKE UPDATE, TRUNCATE ON audit_default FROM CURRENT_USER;
