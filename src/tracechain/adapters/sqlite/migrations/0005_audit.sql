-- What privileged calls left behind, under one of a few keys (tracechain.domain.audit). No
-- statement changes a row; only retention drops old ones.
CREATE TABLE audit (
    batch_key INTEGER NOT NULL,
    time INTEGER NOT NULL,
    record_id BLOB NOT NULL,
    party_gln TEXT NOT NULL,
    role TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    method TEXT NOT NULL,
    objects TEXT NOT NULL,
    request_id TEXT NOT NULL,
    origin BLOB NOT NULL,
    outcome TEXT NOT NULL,
    old_values TEXT NOT NULL,
    new_values TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (batch_key, time, record_id)
) WITHOUT ROWID;
