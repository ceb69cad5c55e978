"""Proofs of the log, put together from its tiles."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.app.ports import LogStore
from tracechain.domain.errors import DataCorrupted
from tracechain.domain.log.merkle import Range, consistency, hashes, nodes
from tracechain.domain.log.tiles import Tile, reader, tiles_of


async def consistency_proof(log: LogStore, old: int, size: int) -> tuple[bytes, ...]:
    """The proof that the tree of `size` continues that of `old` leaves (RFC 9162 section 2.1.4.1);
    empty for the empty tree, which every other continues.

    Raises InvalidArgument FALSE_LOG_PROOF: `old` is larger; DataCorrupted LOG_TILE_MISSING.
    """
    return await proof_of(log, consistency(old, size), size) if old else ()


async def proof_of(log: LogStore, ranges: Sequence[Range], size: int) -> tuple[bytes, ...]:
    """The hashes of ranges of the tree of `size`. Raises DataCorrupted LOG_TILE_MISSING."""
    tiles = tiles_of(nodes(ranges), size)
    found: dict[Tile, bytes] = {}
    for tile, content in zip(tiles, await log.read_tiles(tiles), strict=True):
        if content is None:
            raise DataCorrupted("LOG_TILE_MISSING", f"the log has no {tile.path}")
        found[tile] = content
    return tuple(hashes(ranges, reader(found, size)))
