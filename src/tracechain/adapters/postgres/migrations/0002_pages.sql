-- Links that an issuer registers: under the batch's number, or the key derived from the product.
CREATE TABLE link_set (
    batch_key bigint PRIMARY KEY,
    change_time bigint NOT NULL,
    body text COLLATE "C" NOT NULL
);
-- What consumers report, under the key derived from the province: its inspectors read it.
CREATE TABLE report (
    batch_key bigint NOT NULL,
    report_id text COLLATE "C" NOT NULL,
    region text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    body text COLLATE "C" NOT NULL,
    photo bytea,
    PRIMARY KEY (batch_key, report_id)
);
