-- Reference tables: small, read often, replicated to every node where there are several.
CREATE TABLE party (
    gln TEXT PRIMARY KEY,
    region TEXT NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE credential (
    credential_id TEXT PRIMARY KEY,
    party_gln TEXT NOT NULL,
    body TEXT NOT NULL,
    revoke_time INTEGER
) WITHOUT ROWID;
CREATE INDEX credential_by_party ON credential (party_gln);
CREATE TABLE issuer_key (
    key_id INTEGER PRIMARY KEY,
    issuer_gln TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    public_key BLOB NOT NULL,
    wrapped_secret BLOB NOT NULL,
    request_id TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    revoke_time INTEGER,
    revoke_reason TEXT NOT NULL DEFAULT '',
    change_time INTEGER NOT NULL,
    UNIQUE (issuer_gln, request_id)
);
CREATE TABLE product (
    gtin TEXT PRIMARY KEY,
    issuer_gln TEXT NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX product_by_issuer ON product (issuer_gln, gtin);
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('batch_number', 0), ('key_id', 0);

-- Tables about goods: batch_key first in every key and index.
CREATE TABLE batch (
    batch_key INTEGER PRIMARY KEY,
    gtin TEXT NOT NULL,
    lot TEXT NOT NULL,
    production_date TEXT NOT NULL,
    expiration_date TEXT NOT NULL,
    plant_gln TEXT NOT NULL,
    authorized_quantity INTEGER NOT NULL,
    activation_required INTEGER NOT NULL,
    issued_quantity INTEGER NOT NULL,
    create_time INTEGER NOT NULL
);
-- Under the key derived from the product's class: its lots, by name.
CREATE TABLE product_lot (
    batch_key INTEGER NOT NULL,
    lot TEXT NOT NULL,
    batch_number INTEGER NOT NULL,
    PRIMARY KEY (batch_key, lot)
) WITHOUT ROWID;
CREATE TABLE quantity_raise (
    batch_key INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    decider TEXT NOT NULL,
    reason TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (batch_key, request_id)
) WITHOUT ROWID;
CREATE TABLE allocation (
    batch_key INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    first_index INTEGER NOT NULL,
    count INTEGER NOT NULL,
    profile TEXT NOT NULL,
    key_id INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (batch_key, request_id)
) WITHOUT ROWID;
CREATE TABLE refused_order (
    batch_key INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (batch_key, create_time, request_id)
) WITHOUT ROWID;
CREATE TABLE recall (
    batch_key INTEGER NOT NULL,
    recall_id TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    body TEXT NOT NULL,
    lift_time INTEGER,
    lift_reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (batch_key, recall_id)
) WITHOUT ROWID;

-- Events live under a key derived from their own identity; what they touch lies with the goods.
CREATE TABLE event (
    batch_key INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    declaration BLOB NOT NULL,
    event_time INTEGER NOT NULL,
    record_time INTEGER NOT NULL,
    recorder TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (batch_key, event_id, declaration, event_time)
) WITHOUT ROWID;
-- `level` is the size class of the run [first, beyond): at most 16^level units. A run that covers
-- unit n at a level begins within 16^level before n, so a point look-up is nine short scans.
CREATE TABLE touch (
    batch_key INTEGER NOT NULL,
    level INTEGER NOT NULL,
    first INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    declaration BLOB NOT NULL,
    role TEXT NOT NULL,
    beyond INTEGER NOT NULL,
    is_class INTEGER NOT NULL,
    record_time INTEGER NOT NULL,
    type TEXT NOT NULL,
    action TEXT NOT NULL,
    step TEXT NOT NULL,
    disposition TEXT NOT NULL,
    recorder TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    read_point TEXT NOT NULL,
    biz_location TEXT NOT NULL,
    parent_key INTEGER NOT NULL,
    parent_unit INTEGER NOT NULL,
    parent_uri TEXT NOT NULL,
    clears INTEGER NOT NULL,
    PRIMARY KEY (batch_key, level, first, event_time, event_id, declaration, role, beyond, parent_key)
) WITHOUT ROWID;
CREATE TABLE document (
    batch_key INTEGER NOT NULL,
    document_id TEXT NOT NULL,
    recorder TEXT NOT NULL,
    header TEXT NOT NULL,
    entries TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    PRIMARY KEY (batch_key, document_id)
) WITHOUT ROWID;

CREATE TABLE scan (
    batch_key INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    time INTEGER NOT NULL,
    scan_id INTEGER NOT NULL,
    device INTEGER NOT NULL,
    region TEXT NOT NULL,
    PRIMARY KEY (batch_key, unit, time, scan_id)
) WITHOUT ROWID;
CREATE TABLE unit_scan (
    batch_key INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    first_device INTEGER NOT NULL,
    first_region TEXT NOT NULL,
    first_id INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    last_device INTEGER NOT NULL,
    last_region TEXT NOT NULL,
    last_id INTEGER NOT NULL,
    count INTEGER NOT NULL,
    devices TEXT NOT NULL,
    suspicion INTEGER NOT NULL,
    PRIMARY KEY (batch_key, unit)
) WITHOUT ROWID;
CREATE TABLE claim (
    batch_key INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    device BLOB NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (batch_key, unit)
) WITHOUT ROWID;
CREATE TABLE claim_try (
    batch_key INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    device BLOB NOT NULL,
    window_start INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (batch_key, unit, device)
) WITHOUT ROWID;
