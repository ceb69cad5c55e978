"""The log as far as it is published: its files, and proofs in the tree of its checkpoint.

Promises that nothing beyond the latest published checkpoint is given away, and that all of one
answer is about one checkpoint. Were a leaf shown that no checkpoint covers, it could be taken back
unseen. C2SP tlog-tiles, tlog-proof.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tracechain.app.log.proofs import consistency_proof, proof_of
from tracechain.app.ports import LogStore
from tracechain.domain.errors import (
    DataCorrupted,
    InvalidArgument,
    NotFound,
    TracechainError,
    Unavailable,
)
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.merkle import inclusion
from tracechain.domain.log.note import Note
from tracechain.domain.log.proof import LogProof
from tracechain.domain.log.sequencing import LogLeaf
from tracechain.domain.log.tiles import HEIGHT, WIDTH, Bundle, Tile

# When a leaf that has its place will be published, in seconds.
_SOON = 1.0


class Published(NamedTuple):
    """A checkpoint that was published, and the note that says so."""

    note: Note
    checkpoint: Checkpoint


class ProvedLeaf(NamedTuple):
    """A leaf, opened, and the `.tlog-proof` file that shows it in a published checkpoint."""

    leaf: LogLeaf
    proof: bytes


class PublishedLog:
    """Reads what the store holds of the log, up to what is published."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        # A published size; there may be a larger one, and never a smaller.
        self._size = 0

    async def checkpoint(self) -> Published:
        """The latest one. Raises NotFound CHECKPOINT_NOT_FOUND before the first."""
        note = await self.note()
        return Published(note, Checkpoint.parse(note.text))

    async def note(self) -> Note:
        """Its note. Raises as `checkpoint` does."""
        found = await self._store.get_checkpoint()
        if found is None:
            raise NotFound("CHECKPOINT_NOT_FOUND", "the log has published no checkpoint yet")
        return Note.parse(found)

    async def tile(self, tile: Tile) -> bytes:
        """The content of a tile. Raises NotFound TILE_NOT_FOUND: no published tree has it;
        DataCorrupted LOG_TILE_MISSING."""
        await self._require(tile.path, (tile.index * WIDTH + tile.width) << HEIGHT * tile.level)
        (content,) = await self._store.read_tiles([tile])
        if content is None:
            raise DataCorrupted("LOG_TILE_MISSING", f"the log has no {tile.path}")
        return content

    async def entries(self, bundle: Bundle) -> list[bytes]:
        """The entries of a bundle. Raises as `tile` does, DataCorrupted LOG_LEAF_MISSING."""
        first = bundle.index * WIDTH
        end = first + bundle.width
        await self._require(bundle.path, end)
        found = [leaf.entry for leaf in await self._store.read_leaves(first, end)]
        if len(found) != bundle.width:
            raise DataCorrupted("LOG_LEAF_MISSING", f"a leaf of {bundle.path} is not there")
        return found

    async def prove(self, index: int) -> ProvedLeaf:
        """The leaf with this index. Raises InvalidArgument INVALID_LEAF_INDEX, NotFound
        LEAF_NOT_FOUND, Unavailable LEAF_NOT_PUBLISHED: there is one, and its checkpoint is not
        published yet; DataCorrupted LOG_LEAF_MISSING."""
        if index < 0:
            raise InvalidArgument.of("leaf_index", "INVALID_LEAF_INDEX", "is negative")
        # Read at once: what is read of a leaf never changes.
        published, leaves = await asyncio.gather(
            self.checkpoint(), self._store.read_leaves(index, index + 1)
        )
        if index >= published.checkpoint.size:
            raise await self._beyond(index)
        if not leaves:
            raise _missing(index)
        (proved,) = await self.prove_all(published, leaves)
        return proved

    async def leaf(self, index: int) -> LogLeaf:
        """A leaf that has to be there. Raises DataCorrupted LOG_LEAF_MISSING."""
        found = await self._store.read_leaves(index, index + 1)
        if not found:
            raise _missing(index)
        return found[0]

    async def prove_all(self, published: Published, leaves: Sequence[LogLeaf]) -> list[ProvedLeaf]:
        """These leaves with their proofs in one tree. Raises Unavailable LEAF_NOT_PUBLISHED:
        one of them is not in it."""
        size = published.checkpoint.size
        for leaf in leaves:
            if leaf.leaf_index >= size:
                raise not_published(leaf.leaf_index)
        paths = [inclusion(leaf.leaf_index, size) for leaf in leaves]
        hashes = await proof_of(self._store, [part for path in paths for part in path], size)
        proved = []
        for leaf, path in zip(leaves, paths, strict=True):
            own, hashes = hashes[: len(path)], hashes[len(path) :]
            proved.append(ProvedLeaf(leaf, LogProof(leaf.leaf_index, own, published.note).encode()))
        return proved

    async def consistency(self, first: int, second: int) -> tuple[bytes, ...]:
        """The hashes that prove that the tree of `second` leaves continues that of `first`.
        Raises InvalidArgument INVALID_TREE_SIZE, NotFound LEAF_NOT_FOUND and Unavailable
        LEAF_NOT_PUBLISHED as `prove` does for the last leaf of `second`."""
        if not 1 <= first <= second:
            raise InvalidArgument.of(
                "first_size", "INVALID_TREE_SIZE", "is not from 1 to the second size"
            )
        if second > (await self.checkpoint()).checkpoint.size:
            raise await self._beyond(second - 1)
        return await consistency_proof(self._store, first, second)

    async def _require(self, path: str, end: int) -> None:
        """Raises NotFound TILE_NOT_FOUND unless a published tree has so many leaves."""
        if end > self._size and (found := await self._store.get_checkpoint()):
            self._size = Checkpoint.parse(Note.parse(found).text).size
        if end > self._size:
            raise NotFound("TILE_NOT_FOUND", f"no published tree has {path}")

    async def absent(self) -> NotFound | Unavailable:
        """Why a thing has no leaf."""
        waiting, _ = await self._store.pending_facts()
        if waiting:
            return Unavailable(
                "LEAF_NOT_PUBLISHED", "the log is behind: its leaf is not there yet",
                retry_after=_SOON,
            )  # fmt: skip
        return NotFound("LEAF_NOT_FOUND", "it was recorded before there was a log")

    async def _beyond(self, index: int) -> TracechainError:
        """Why a leaf beyond the checkpoint cannot be had."""
        size = (await self._store.log_head()).size
        if index < size:
            return not_published(index)
        return NotFound("LEAF_NOT_FOUND", f"the log has {size} leaves, and no leaf {index}")


def _missing(index: int) -> DataCorrupted:
    return DataCorrupted("LOG_LEAF_MISSING", f"leaf {index} is not there")


def not_published(index: int) -> Unavailable:
    """A leaf has its place, and no published checkpoint covers it yet."""
    return Unavailable(
        "LEAF_NOT_PUBLISHED",
        f"the checkpoint that covers leaf {index} is not published yet",
        retry_after=_SOON,
    )
