-- The tables of the embedded store by the same names. Text compares by its bytes, as there.
-- Everything here is plain: no trigger, no sequence, no foreign key, so that the tables about goods
-- can be distributed by batch_key and the reference tables replicated.

-- Reference tables: small, read often, replicated to every node where there are several.
CREATE TABLE party (
    gln text COLLATE "C" PRIMARY KEY,
    region text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE TABLE credential (
    credential_id text COLLATE "C" PRIMARY KEY,
    party_gln text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    revoke_time bigint
);
CREATE INDEX credential_by_party ON credential (party_gln);
CREATE TABLE issuer_key (
    key_id bigint PRIMARY KEY,
    issuer_gln text COLLATE "C" NOT NULL,
    algorithm text COLLATE "C" NOT NULL,
    public_key bytea NOT NULL,
    wrapped_secret bytea NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    revoke_time bigint,
    revoke_reason text COLLATE "C" NOT NULL DEFAULT '',
    change_time bigint NOT NULL,
    UNIQUE (issuer_gln, request_id)
);
CREATE TABLE product (
    gtin text COLLATE "C" PRIMARY KEY,
    issuer_gln text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX product_by_issuer ON product (issuer_gln, gtin);
CREATE TABLE counter (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO counter (name, value) VALUES ('batch_number', 0), ('key_id', 0);

-- Tables about goods: batch_key first in every key and index.
CREATE TABLE batch (
    batch_key bigint PRIMARY KEY,
    gtin text COLLATE "C" NOT NULL,
    lot text COLLATE "C" NOT NULL,
    production_date text COLLATE "C" NOT NULL,
    expiration_date text COLLATE "C" NOT NULL,
    plant_gln text COLLATE "C" NOT NULL,
    authorized_quantity bigint NOT NULL,
    activation_required bigint NOT NULL,
    issued_quantity bigint NOT NULL,
    create_time bigint NOT NULL
);
-- Under the key derived from the product's class: its lots, by name.
CREATE TABLE product_lot (
    batch_key bigint NOT NULL,
    lot text COLLATE "C" NOT NULL,
    batch_number bigint NOT NULL,
    PRIMARY KEY (batch_key, lot)
);
CREATE TABLE quantity_raise (
    batch_key bigint NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL,
    decider text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (batch_key, request_id)
);
CREATE TABLE allocation (
    batch_key bigint NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    first_index bigint NOT NULL,
    count bigint NOT NULL,
    profile text COLLATE "C" NOT NULL,
    key_id bigint NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (batch_key, request_id)
);
CREATE TABLE refused_order (
    batch_key bigint NOT NULL,
    create_time bigint NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (batch_key, create_time, request_id)
);
CREATE TABLE recall (
    batch_key bigint NOT NULL,
    recall_id text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    body text COLLATE "C" NOT NULL,
    lift_time bigint,
    lift_reason text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (batch_key, recall_id)
);

-- Events and scans lie in a partition for each month, which the store makes ahead of time; what
-- belongs to no such month lies in the default.
-- Events live under a key derived from their own identity; what they touch lies with the goods.
CREATE TABLE event (
    batch_key bigint NOT NULL,
    event_id bytea NOT NULL,
    declaration bytea NOT NULL,
    event_time bigint NOT NULL,
    record_time bigint NOT NULL,
    recorder text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_key, event_id, declaration, event_time)
) PARTITION BY RANGE (event_time);
CREATE TABLE event_default PARTITION OF event DEFAULT;

-- `level` is the size class of the run [first, beyond): at most 16^level units. A run that covers
-- unit n at a level begins within 16^level before n, so a point look-up is nine short scans.
CREATE TABLE touch (
    batch_key bigint NOT NULL,
    level bigint NOT NULL,
    first bigint NOT NULL,
    event_time bigint NOT NULL,
    event_id bytea NOT NULL,
    declaration bytea NOT NULL,
    role text COLLATE "C" NOT NULL,
    beyond bigint NOT NULL,
    is_class bigint NOT NULL,
    record_time bigint NOT NULL,
    type text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    step text COLLATE "C" NOT NULL,
    disposition text COLLATE "C" NOT NULL,
    recorder text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    destination text COLLATE "C" NOT NULL,
    read_point text COLLATE "C" NOT NULL,
    biz_location text COLLATE "C" NOT NULL,
    parent_key bigint NOT NULL,
    parent_unit bigint NOT NULL,
    parent_uri text COLLATE "C" NOT NULL,
    clears bigint NOT NULL,
    PRIMARY KEY (batch_key, level, first, event_time, event_id, declaration, role, beyond, parent_key)
);
CREATE TABLE document (
    batch_key bigint NOT NULL,
    document_id text COLLATE "C" NOT NULL,
    recorder text COLLATE "C" NOT NULL,
    header text COLLATE "C" NOT NULL,
    entries text COLLATE "C" NOT NULL,
    create_time bigint NOT NULL,
    PRIMARY KEY (batch_key, document_id)
);

CREATE TABLE scan (
    batch_key bigint NOT NULL,
    unit bigint NOT NULL,
    time bigint NOT NULL,
    scan_id bigint NOT NULL,
    device bigint NOT NULL,
    region text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_key, unit, time, scan_id)
) PARTITION BY RANGE (time);
CREATE TABLE scan_default PARTITION OF scan DEFAULT;

CREATE TABLE unit_scan (
    batch_key bigint NOT NULL,
    unit bigint NOT NULL,
    first_time bigint NOT NULL,
    first_device bigint NOT NULL,
    first_region text COLLATE "C" NOT NULL,
    first_id bigint NOT NULL,
    last_time bigint NOT NULL,
    last_device bigint NOT NULL,
    last_region text COLLATE "C" NOT NULL,
    last_id bigint NOT NULL,
    count bigint NOT NULL,
    devices text COLLATE "C" NOT NULL,
    suspicion bigint NOT NULL,
    PRIMARY KEY (batch_key, unit)
);
CREATE TABLE claim (
    batch_key bigint NOT NULL,
    unit bigint NOT NULL,
    device bytea NOT NULL,
    time bigint NOT NULL,
    PRIMARY KEY (batch_key, unit)
);
CREATE TABLE claim_try (
    batch_key bigint NOT NULL,
    unit bigint NOT NULL,
    device bytea NOT NULL,
    window_start bigint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (batch_key, unit, device)
);
