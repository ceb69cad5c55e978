-- The transparency log. All of it lies under one key (tracechain.adapters.log_rows) but the chains,
-- which lie with the goods that they are about.
-- Facts that were written and have no place in the log yet.
CREATE TABLE log_pending (
    batch_key INTEGER NOT NULL,
    time INTEGER NOT NULL,
    fact_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    keys TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (batch_key, time, fact_id)
) WITHOUT ROWID;
-- How far the tree has come, who may continue it until when, and what was last published.
CREATE TABLE log_state (
    batch_key INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    fence INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    checkpoint_size INTEGER NOT NULL,
    checkpoint BLOB NOT NULL
);
CREATE TABLE log_leaf (
    batch_key INTEGER NOT NULL,
    leaf_index INTEGER NOT NULL,
    entry BLOB NOT NULL,
    salt BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (batch_key, leaf_index)
) WITHOUT ROWID;
-- Up to 256 hashes of 32 bytes; the last tile of a level grows.
CREATE TABLE log_tile (
    batch_key INTEGER NOT NULL,
    level INTEGER NOT NULL,
    tile_index INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (batch_key, level, tile_index)
) WITHOUT ROWID;
CREATE TABLE log_link (
    batch_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    leaf_index INTEGER NOT NULL,
    PRIMARY KEY (batch_key, number)
) WITHOUT ROWID;
CREATE TABLE log_chain (
    batch_key INTEGER PRIMARY KEY,
    salt BLOB NOT NULL,
    length INTEGER NOT NULL,
    last INTEGER NOT NULL
);
