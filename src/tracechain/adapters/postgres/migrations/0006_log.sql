-- The transparency log. All of it lies under one key (tracechain.adapters.log_rows) but the chains,
-- which lie with the goods that they are about.
-- Facts that were written and have no place in the log yet.
CREATE TABLE log_pending (
    batch_key bigint NOT NULL,
    time bigint NOT NULL,
    fact_id bytea NOT NULL,
    kind text COLLATE "C" NOT NULL,
    keys text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_key, time, fact_id)
);
-- How far the tree has come, who may continue it until when, and what was last published.
CREATE TABLE log_state (
    batch_key bigint PRIMARY KEY,
    size bigint NOT NULL,
    root bytea NOT NULL,
    fence bigint NOT NULL,
    holder text COLLATE "C" NOT NULL,
    until bigint NOT NULL,
    checkpoint_size bigint NOT NULL,
    checkpoint bytea NOT NULL
);
CREATE TABLE log_leaf (
    batch_key bigint NOT NULL,
    leaf_index bigint NOT NULL,
    entry bytea NOT NULL,
    salt bytea NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (batch_key, leaf_index)
);
-- Up to 256 hashes of 32 bytes; the last tile of a level grows.
CREATE TABLE log_tile (
    batch_key bigint NOT NULL,
    level bigint NOT NULL,
    tile_index bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (batch_key, level, tile_index)
);
CREATE TABLE log_link (
    batch_key bigint NOT NULL,
    number bigint NOT NULL,
    leaf_index bigint NOT NULL,
    PRIMARY KEY (batch_key, number)
);
CREATE TABLE log_chain (
    batch_key bigint PRIMARY KEY,
    salt bytea NOT NULL,
    length bigint NOT NULL,
    last bigint NOT NULL
);
