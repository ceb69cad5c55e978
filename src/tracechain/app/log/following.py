"""Following a log: whether what it says now continues what it said before.

Promises that a fork is told only where the log's own signatures prove it, and that a tile which
does not lead to the signed root is told as that: a server, a cache or a disk may garble bytes, a
log alone can sign two histories. Were the two mixed up, an alarm would be worth nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import Protocol, TypeVar

from tracechain.domain.errors import (
    DataCorrupted,
    FailedPrecondition,
    InvalidArgument,
    TracechainError,
)
from tracechain.domain.log.checkpoint import Checkpoint, verify_checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fork import Fork
from tracechain.domain.log.merkle import (
    EMPTY_ROOT,
    consistency,
    cover,
    hashes,
    nodes,
    subtree_root,
    verify_consistency,
)
from tracechain.domain.log.note import Note
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.tiles import Bundle, Edge, Tile, reader, tiles_of

T = TypeVar("T")
# Requests under way at once: enough to hide the way there and back, and no burden to a server.
AT_ONCE = 8


class Tiles(Protocol):
    """Where the tiles of a tree are. Nothing that it gives is proved."""

    async def tile(self, tile: Tile) -> bytes:
        """The hashes of a tile, as many as it has. Raises InvalidArgument MALFORMED_TILE: it has
        others; Unavailable LOG_UNREACHABLE, after having tried again: no answer, or a refusal."""


class TiledLog(Tiles, Protocol):
    """A log as it is served (C2SP tlog-tiles). All raise Unavailable LOG_UNREACHABLE likewise."""

    async def checkpoint(self) -> bytes:
        """The note. Raises InvalidArgument MALFORMED_NOTE: no note can be so."""

    async def bundle(self, bundle: Bundle) -> bytes:
        """A bundle, uncompressed. Raises InvalidArgument MALFORMED_TILE: longer than one is."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint of the log that is followed, and the note that it stands in."""

    note: Note
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        """The number of its leaves."""
        return self.checkpoint.size


class Course(StrEnum):
    """How one checkpoint stands to the one known before."""

    SAME = "SAME"
    GROWN = "GROWN"
    ROLLBACK = "ROLLBACK"
    FORK = "FORK"


def of_one_log(policy: Policy, url: str, origin: str = "") -> Policy:
    """The policy without its other logs: the one with this origin, or whose URL is this one, or
    the only one there is.

    Raises InvalidArgument UNKNOWN_LOG: none of the policy's logs is that; or several may be.
    """
    wanted = url.rstrip("/")
    origins = dict.fromkeys(log.key.name for log in policy.logs)
    here = dict.fromkeys(log.key.name for log in policy.logs if log.url.rstrip("/") == wanted)
    found = [name for name in origins if name == origin] if origin else list(here or origins)
    if len(found) != 1:
        raise InvalidArgument.of(
            "policy", "UNKNOWN_LOG",
            "says of no log that it is the one to follow" if not found else
            f"says of {len(found)} logs that they may be the one to follow; name its origin",
        )  # fmt: skip
    return replace(policy, logs=tuple(log for log in policy.logs if log.key.name == found[0]))


def kept(policy: Policy, data: bytes, where: str) -> Signed:
    """A checkpoint that was kept here earlier. Witnesses are not asked for: it was accepted then,
    and whom one believes may have changed.

    Raises DataCorrupted STATE_DAMAGED: it is no checkpoint any more; FailedPrecondition OTHER_LOG:
    it is none of this log's.
    """
    try:
        note = Note.parse(data)
        checkpoint = verify_checkpoint(note, [verifier(log.key) for log in policy.logs])
    except InvalidArgument as error:
        if error.reason == "NOT_SIGNED":
            raise FailedPrecondition(
                "OTHER_LOG", f"{where} is of another log, or of a key that the policy has no more"
            ) from None
        raise DataCorrupted("STATE_DAMAGED", f"{where}: {error.message}") from None
    return Signed(note, checkpoint)


async def proved_edge(log: Tiles, checkpoint: Checkpoint) -> dict[Tile, bytes]:
    """The partial tiles of a tree, from which its root follows.

    Raises DataCorrupted FALSE_TILE: it follows that they are not the tree's; and as TiledLog does.
    """
    contents = await _read(log, Edge.tiles(checkpoint.size))
    if Edge.read(checkpoint.size, contents).root() != checkpoint.root:
        raise _false_tiles(contents)
    return contents


async def compare(log: Tiles, known: Signed, found: Signed) -> tuple[Course, Fork | None]:
    """How what was found stands to what is known, and the evidence where it is a fork.

    The tiles of the larger tree tell, proved by its root. Raises DataCorrupted FALSE_TILE: they
    are not that tree's, so nothing is told; and as TiledLog does. Neither where the log went back:
    it need not serve any more what it went back from, and that it did is told all the same.
    """
    smaller, larger = sorted((known, found), key=lambda signed: signed.size)
    try:
        prefix, proof = await _prefix(log, smaller.size, larger.checkpoint)
    except TracechainError:
        if found.size < known.size:
            return Course.ROLLBACK, None
        raise
    if prefix != smaller.checkpoint.root:
        return Course.FORK, Fork(smaller.note, larger.note, prefix, proof)
    if found.size == known.size:
        return Course.SAME, None
    return (Course.GROWN if found is larger else Course.ROLLBACK), None


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Works on all items, a few at a time. Raises what the first of them raised, once none is
    worked on any more."""
    waiting = iter(items)
    while some := list(islice(waiting, AT_ONCE)):
        under_way = [asyncio.ensure_future(work(item)) for item in some]
        try:
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _prefix(log: Tiles, size: int, larger: Checkpoint) -> tuple[bytes, tuple[bytes, ...]]:
    """The root over the first leaves of a tree, and the proof that it is."""
    if size == larger.size:
        return larger.root, ()
    if size == 0:
        return EMPTY_ROOT, ()
    ranges = consistency(size, larger.size)
    needed = tiles_of([*cover(0, size), *nodes(ranges)], larger.size)
    contents = await _read(log, needed)
    read = reader(contents, larger.size)
    prefix, proof = subtree_root(0, size, read), hashes(ranges, read)
    try:
        verify_consistency(size, larger.size, proof, prefix, larger.root)
    except InvalidArgument:
        raise _false_tiles(contents) from None
    return prefix, tuple(proof)


async def _read(log: Tiles, tiles: Sequence[Tile]) -> dict[Tile, bytes]:
    contents: dict[Tile, bytes] = {}

    async def read(tile: Tile) -> None:
        contents[tile] = await log.tile(tile)

    await each(tiles, read)
    return contents


def _false_tiles(contents: Mapping[Tile, bytes]) -> DataCorrupted:
    # Of the empty tree there are no tiles: its root is known.
    paths = ", ".join(tile.path for tile in sorted(contents)) or "checkpoint"
    return false_tile(paths, "what is served there does not lead to the signed root")


def false_tile(path: str, why: str) -> DataCorrupted:
    """What is served at a path is not what the log signed."""
    return DataCorrupted("FALSE_TILE", f"{path}: {why}", metadata={"path": path})
