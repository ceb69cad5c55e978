-- Links that an issuer registers: under the batch's number, or the key derived from the product.
CREATE TABLE link_set (
    batch_key INTEGER PRIMARY KEY,
    change_time INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
-- What consumers report, under the key derived from the province: its inspectors read it.
CREATE TABLE report (
    batch_key INTEGER NOT NULL,
    report_id TEXT NOT NULL,
    region TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    body TEXT NOT NULL,
    photo BLOB,
    PRIMARY KEY (batch_key, report_id)
) WITHOUT ROWID;
