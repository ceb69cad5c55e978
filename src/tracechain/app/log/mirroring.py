"""Mirroring a log: everything that it has, proved before it is kept.

Promises that what is kept is one tree that only ever grew: nothing is kept that does not lead to a
checkpoint which the policy accepts, and no checkpoint that does not continue the one before. Were
an unproved byte kept, the copy would be worth no more than the server that sent it.

A checkpoint is pending from before its first tile until its last: a mirror that was killed
meanwhile goes on from there, and notices a log that forked meanwhile. Proofs go from the root
downwards: the root proves the partial tiles, each tile those below it, those of level 0 the
entries. So every file is checked by itself, in any number at once, and memory stays small.

C2SP tlog-tiles; of tlog-mirror what a mirror keeps (section Updating a Mirror), not how others
hand entries to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tracechain.app.log.following import (
    Course,
    Signed,
    TiledLog,
    Tiles,
    compare,
    each,
    false_tile,
    kept,
    proved_edge,
)
from tracechain.domain.errors import DataCorrupted, InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.merkle import leaf_hash, row_root
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.tiles import (
    HEIGHT,
    LEVELS,
    WIDTH,
    Bundle,
    Edge,
    Tile,
    bundles,
    tiles_at,
)

# Told how many entries of how many new ones are kept.
Told = Callable[[int, int], None]


class Copy(Protocol):
    """Where the copy is kept. One process at a time works on it; it may end at any moment, and
    what a call had done by then is there by half for none of these."""

    async def checkpoint(self) -> bytes | None:
        """The note of the tree that is there whole; None where there is none yet."""

    async def pending(self) -> bytes | None:
        """The note that was put last and is not published."""

    async def read(self, item: Tile | Bundle) -> bytes | None:
        """What is kept of a tile or bundle, of a partial one also from the full one; None where
        it is not there. Whether it is undamaged is for the reader to find out."""

    async def put(self, item: Tile | Bundle, content: bytes) -> None:
        """Keeps it, in the place of what was there. Once a full one is published the partial ones
        before it are over."""

    async def confirm(self, item: Tile | Bundle) -> None:
        """What is kept of it is right: it is as if it had been put now."""

    async def put_pending(self, note: bytes) -> None:
        """Keeps a note for `publish`, durably."""

    async def publish(self) -> None:
        """Makes the pending note the checkpoint, once all that was put is durable."""

    async def keep(self, fork: Fork) -> str:
        """Keeps evidence, durably; where."""


@dataclass(frozen=True, slots=True)
class Mirrored:
    """The tree that is kept now, and how many entries came to it."""

    checkpoint: Checkpoint
    entries: int


class Mirror:
    """A copy of one log. `policy` names no other log (`of_one_log`)."""

    def __init__(self, log: TiledLog, copy: Copy, policy: Policy) -> None:
        self._log = log
        self._copy = copy
        self._policy = policy

    async def advance(self, told: Told = lambda _, __: None, *, whole: bool = False) -> Mirrored:
        """Brings the copy up to the log's present checkpoint; with `whole` checks all that is kept
        besides, and fetches anew what is damaged.

        Raises what Policy.accept does of a checkpoint that is not accepted; DataCorrupted
        LOG_FORK, LOG_ROLLBACK (the log), FALSE_TILE, FALSE_ENTRY (what is served), STATE_DAMAGED
        (the copy); FailedPrecondition OTHER_LOG; and as TiledLog does. Whatever it raises, the
        copy is the tree that it was.
        """
        before = await self._kept(edge=not whole)
        # A log that went on from a tree which we began to fetch has to continue that one.
        pending = await self._copy.pending()
        known = before if pending is None else kept(self._policy, pending, "the pending checkpoint")
        note = Note.parse(await self._log.checkpoint())
        found = Signed(note, self._policy.accept(note).checkpoint)
        if before and found.size < before.size:
            await self._continues(_Kept(self._copy), before, found)
        if known:
            await self._continues(self._log, known, found)
        if before and not (whole or pending) and before.note == note:
            return Mirrored(found.checkpoint, 0)
        await self._copy.put_pending(note.encode())
        had = before.size if before else 0
        await self._fill(0 if whole else had, found.checkpoint, told)
        await self._copy.publish()
        return Mirrored(found.checkpoint, found.size - had)

    async def _kept(self, *, edge: bool) -> Signed | None:
        """The tree that is kept; with `edge` once its right edge is seen to be there."""
        data = await self._copy.checkpoint()
        if data is None:
            return None
        found = kept(self._policy, data, "the mirror's checkpoint")
        if not edge:
            return found
        contents = {}
        for tile in Edge.tiles(found.size):
            contents[tile] = await self._copy.read(tile) or b""
        try:
            if Edge.read(found.size, contents).root() == found.checkpoint.root:
                return found
        except InvalidArgument:
            pass  # one is missing or cut off
        raise DataCorrupted(
            "STATE_DAMAGED", f"the mirror's tiles are not those of its checkpoint of {found.size}"
        )

    async def _continues(self, tiles: Tiles, known: Signed, found: Signed) -> None:
        course, fork = await compare(tiles, known, found)
        if fork:
            where = await self._copy.keep(fork)
            raise DataCorrupted(
                "LOG_FORK",
                f"the log signed two histories, one of {known.size} entries and one of "
                f"{found.size}; the evidence is in {where}",
                metadata={"evidence": where},
            )
        if course is Course.ROLLBACK:
            raise DataCorrupted(
                "LOG_ROLLBACK",
                f"the log shows {found.size} entries, after it had signed {known.size}",
            )

    async def _fill(self, old: int, checkpoint: Checkpoint, told: Told) -> None:
        """Keeps all that the tree has and the tree of size `old` has not, the highest first."""
        size = checkpoint.size
        for tile, content in (await proved_edge(self._log, checkpoint)).items():
            if content != await self._copy.read(tile):
                await self._copy.put(tile, content)
            else:
                await self._copy.confirm(tile)
        for level in reversed(range(LEVELS)):
            full = (tile for tile in tiles_at(level, size, old) if tile.width == WIDTH)
            await each(full, lambda tile: self._keep_tile(tile, size))
        done = 0

        async def keep_bundle(bundle: Bundle) -> None:
            nonlocal done
            await self._keep_bundle(bundle)
            done += bundle.width
            told(min(done, size - old), size - old)

        await each(bundles(size, old), keep_bundle)

    async def _keep_tile(self, tile: Tile, size: int) -> None:
        """Keeps a full tile. The one above it is kept, and says what it hashes to."""
        above, place = divmod(tile.index, WIDTH)
        width = min(WIDTH, (size >> HEIGHT * (tile.level + 1)) - above * WIDTH)
        root = (await self._hashes(Tile(tile.level + 1, above, width)))[place]
        have = await self._copy.read(tile)
        if have is not None and _leads_to(tile, have, root):
            await self._copy.confirm(tile)
            return
        content = await self._log.tile(tile)
        if not _leads_to(tile, content, root):
            raise false_tile(tile.path, "is not the one that the signed root leads to")
        await self._copy.put(tile, content)

    async def _keep_bundle(self, bundle: Bundle) -> None:
        """Keeps a bundle. The tile with the hashes of its entries is kept."""
        leaves = await self._hashes(Tile(0, bundle.index, bundle.width))
        have = await self._copy.read(bundle)
        if have is not None and _holds(bundle, have, leaves):
            await self._copy.confirm(bundle)
            return
        content = await self._log.bundle(bundle)
        if (place := _first_false(bundle.entries(content), leaves)) is not None:
            raise DataCorrupted(
                "FALSE_ENTRY",
                f"{bundle.path}: entry {bundle.index * WIDTH + place} is not the one that the "
                "signed root leads to",
                metadata={"path": bundle.path},
            )
        await self._copy.put(bundle, content)

    async def _hashes(self, tile: Tile) -> tuple[bytes, ...]:
        """The hashes of a tile that was kept a moment ago."""
        return tile.hashes(await self._copy.read(tile) or b"")


@dataclass(frozen=True, slots=True)
class _Kept:
    """See Tiles: those of the copy, which has what a log that went back serves no more."""

    copy: Copy

    async def tile(self, tile: Tile) -> bytes:
        return await self.copy.read(tile) or b""


def _leads_to(tile: Tile, content: bytes, root: bytes) -> bool:
    return len(content) == len(root) * WIDTH and row_root(tile.hashes(content)) == root


def _holds(bundle: Bundle, content: bytes, leaves: Sequence[bytes]) -> bool:
    try:
        return _first_false(bundle.entries(content), leaves) is None
    except InvalidArgument:
        return False


def _first_false(entries: Sequence[bytes], leaves: Sequence[bytes]) -> int | None:
    """The place of the first entry that has not its hash."""
    pairs = enumerate(zip(entries, leaves, strict=True))
    return next((place for place, (entry, leaf) in pairs if leaf_hash(entry) != leaf), None)
