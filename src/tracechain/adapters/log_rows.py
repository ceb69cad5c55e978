"""How the transparency log lies in a store, for every store: columns, and facts as rows.

All of the log lies under one key, for it is one tree and has one order; only the chains lie with
the goods that they are about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from tracechain.domain.batch_key import derived
from tracechain.domain.log.fact import Fact, FactKind
from tracechain.domain.log.merkle import HASH_BYTES
from tracechain.domain.log.tiles import Tile

LOG_KEY = derived("log")
PENDING_COLUMNS = ("batch_key", "time", "fact_id", "kind", "keys", "body")
LEAF_COLUMNS = ("batch_key", "leaf_index", "entry", "salt", "body")
TILE_COLUMNS = ("batch_key", "level", "tile_index", "hashes")
LINK_COLUMNS = ("batch_key", "number", "leaf_index")
CHAIN_COLUMNS = ("batch_key", "salt", "length", "last")
# Beyond so many nobody needs to know how many facts wait.
MANY_PENDING = 100_000


def pending_rows(
    facts: Sequence[Fact], random_bytes: Callable[[int], bytes]
) -> list[tuple[Any, ...]]:
    """Facts that are written together as rows; at one time they stay in their order."""
    group = random_bytes(12)
    return [
        (LOG_KEY, fact.time, group + place.to_bytes(4), fact.kind.value, json.dumps(fact.keys),
         fact.text)
        for place, fact in enumerate(facts)
    ]  # fmt: skip


def read_pending(row: Sequence[Any]) -> Fact:
    """The fact of a row."""
    return Fact(FactKind(row[3]), row[1], tuple(json.loads(row[4])), row[5])


def tile_content(tile: Tile, hashes: bytes | None) -> bytes | None:
    """What a tile holds, from the row of its place, which may have grown since; None where the
    log has not that much of it."""
    wanted = tile.width * HASH_BYTES
    return hashes[:wanted] if hashes is not None and len(hashes) >= wanted else None
