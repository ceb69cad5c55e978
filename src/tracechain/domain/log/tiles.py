"""The tree as files that never change: tiles of 256 hashes, and bundles of 256 entries.

Promises that a tree of a size has exactly one set of tiles, each with one path and one content;
that a path which reads as a tile is the one spelling of it; and that what is appended changes no
full tile. Readers cache tiles for ever: were one path to have two contents, they would disagree
about history without anybody having rewritten it.

C2SP tlog-tiles, sections Merkle Tree, Partial Tiles and Log entries. Tile hashes are stored for
every eighth level of the tree; the levels between are hashed when they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.merkle import (
    HASH_BYTES,
    MAX_SIZE,
    Node,
    ReadNode,
    cover,
    fold,
    row_root,
)

HEIGHT = 8
WIDTH = 1 << HEIGHT
MAX_ENTRY_BYTES = 0xFFFF
LEVELS = 8  # of a tree of MAX_SIZE; the text's 63 name tiles that no tree has
_PATH = re.compile(r"tile/(entries|[0-7])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """`width` neighbouring hashes, at every eighth level; full with 256, otherwise partial.

    Raises InvalidArgument MALFORMED_TILE when made: no tree has it.
    """

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not 0 <= self.level < LEVELS:
            raise _malformed("tile.level", f"is not from 0 to {LEVELS - 1}")
        _fits(self.index, self.width, self.level)

    @property
    def path(self) -> str:
        """Where it is served, below the log's prefix."""
        return f"tile/{self.level}/{_place(self.index, self.width)}"

    def hashes(self, content: bytes) -> tuple[bytes, ...]:
        """The hashes in a tile's content. Raises InvalidArgument MALFORMED_TILE: not so many."""
        return self.some(content, 0, self.width)

    def some(self, content: bytes, first: int, count: int) -> tuple[bytes, ...]:
        """`count` of its hashes, from the `first`. Raises as `hashes` does."""
        if len(content) != self.width * HASH_BYTES:
            raise _malformed(
                "tile", f"{self.path} has {len(content)} bytes, not {self.width * HASH_BYTES}"
            )
        places = range(first * HASH_BYTES, (first + count) * HASH_BYTES, HASH_BYTES)
        return tuple(content[i : i + HASH_BYTES] for i in places)


@dataclass(frozen=True, slots=True, order=True)
class Bundle:
    """`width` neighbouring entries, those of the tile of level 0 with the same index.

    Raises InvalidArgument MALFORMED_TILE when made: no tree has it.
    """

    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        _fits(self.index, self.width, 0)

    @property
    def path(self) -> str:
        """Where it is served, below the log's prefix."""
        return f"tile/entries/{_place(self.index, self.width)}"

    def entries(self, content: bytes) -> tuple[bytes, ...]:
        """The entries in a bundle's content, uncompressed (section Log entries).

        Raises InvalidArgument MALFORMED_TILE: it is cut off, or holds more or fewer.
        """
        found: list[bytes] = []
        at = 0
        for _ in range(self.width):
            start = at + 2
            at = start + int.from_bytes(content[at:start])
            if start > len(content) or at > len(content):
                raise _malformed("bundle", f"{self.path} ends in entry {len(found)}")
            found.append(content[start:at])
        if at != len(content):
            raise _malformed("bundle", f"{self.path} goes on after {self.width} entries")
        return tuple(found)


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """The content of a bundle. Raises InvalidArgument MALFORMED_TILE: an entry is too long."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise _malformed("entry", f"has {len(entry)} bytes, at most {MAX_ENTRY_BYTES} fit")
        parts.append(len(entry).to_bytes(2) + entry)
    return b"".join(parts)


def parse_path(path: str) -> Tile | Bundle:
    """What is served at a path below the log's prefix.

    Raises InvalidArgument MALFORMED_TILE: it is no tile's or bundle's one spelling.
    """
    if match := _PATH.fullmatch(path):
        kind, place, partial = match.groups()
        index = int(place.replace("/", "").replace("x", ""))
        width = int(partial) if partial else WIDTH
        found = Bundle(index, width) if kind == "entries" else Tile(int(kind), index, width)
        if found.path == path:
            return found
    raise _malformed("path", "is not of the form tile/{level}/{index}[.p/{width}]")


def tiles(size: int, old: int = 0) -> Iterator[Tile]:
    """The tiles of a tree of `size` that the tree of size `old`, which it continues, has not:
    by level, then from left to right. No two trees have one tile with other contents."""
    for level in range(LEVELS):
        yield from tiles_at(level, size, old)


def tiles_at(level: int, size: int, old: int = 0) -> Iterator[Tile]:
    """Those of one level."""
    have, want = old >> HEIGHT * level, size >> HEIGHT * level
    if have < want:
        for index in range(have // WIDTH, -(-want // WIDTH)):
            yield Tile(level, index, min(WIDTH, want - index * WIDTH))


def bundles(size: int, old: int = 0) -> Iterator[Bundle]:
    """The bundles of a tree of `size` that the tree of size `old`, which it continues, has not."""
    for index in range(old // WIDTH, -(-size // WIDTH)):
        yield Bundle(index, min(WIDTH, size - index * WIDTH))


def bundle_of(index: int, size: int) -> Bundle:
    """The bundle of a tree of `size` that has the entry `index`, as its `index % 256`th."""
    first = index // WIDTH
    return Bundle(first, min(WIDTH, size - first * WIDTH))


def tile_of(node: Node, size: int) -> Tile:
    """The tile, as a tree of `size` has it, from which a node is read."""
    level, rows = divmod(node.level, HEIGHT)
    index = (node.place << rows) // WIDTH
    return Tile(level, index, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


def tiles_of(nodes: Iterable[Node], size: int) -> list[Tile]:
    """The tiles that these nodes are read from, each once."""
    return list(dict.fromkeys(tile_of(node, size) for node in nodes))


def reader(contents: Mapping[Tile, bytes], size: int) -> ReadNode:
    """Reads nodes of a tree of `size` from the contents of its tiles.

    What it gives raises KeyError where a tile of `tiles_of` is missing, and InvalidArgument
    MALFORMED_TILE where one has not its length. Whether the hashes are the log's is for a proof
    to tell.
    """

    def read(node: Node) -> bytes:
        tile = tile_of(node, size)
        span = 1 << node.level % HEIGHT
        first = node.place * span % WIDTH
        return row_root(tile.some(contents[tile], first, span))

    return read


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree, which is all that is needed to append to it and to know its root:
    for each level of tiles the hashes of the one that is not full, and none where there is none.

    Raises InvalidArgument MALFORMED_TILE when made: the rows are not those of the size.
    """

    size: int = 0
    rows: tuple[tuple[bytes, ...], ...] = ((),) * LEVELS

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE or len(self.rows) != LEVELS:
            raise _malformed("edge", f"is of no tree with 0 to {MAX_SIZE} leaves")
        for level, row in enumerate(self.rows):
            if len(row) != (self.size >> HEIGHT * level) % WIDTH:
                raise _malformed("edge", f"has {len(row)} hashes at level {level} of tiles")

    @classmethod
    def tiles(cls, size: int) -> list[Tile]:
        """The partial tiles that the edge of a tree of this size is read from."""
        counts = [(level, size >> HEIGHT * level) for level in range(LEVELS)]
        return [Tile(level, n // WIDTH, n % WIDTH) for level, n in counts if n % WIDTH]

    @classmethod
    def read(cls, size: int, contents: Mapping[Tile, bytes]) -> Edge:
        """The edge of a tree, from the contents of `Edge.tiles`. Raises KeyError where one is
        missing, InvalidArgument MALFORMED_TILE where one has not its length."""
        rows: list[tuple[bytes, ...]] = [()] * LEVELS
        for tile in cls.tiles(size):
            rows[tile.level] = tile.hashes(contents[tile])
        return cls(size, tuple(rows))

    def root(self) -> bytes:
        """The root of the tree (RFC 9162 section 2.1.1)."""
        left_to_right: list[bytes] = []
        for row in reversed(self.rows):
            for level, place in cover(0, len(row)):
                left_to_right.append(row_root(row[place << level : (place + 1) << level]))
        return fold(left_to_right)

    def append(self, leaves: Sequence[bytes]) -> tuple[Edge, dict[Tile, bytes]]:
        """The edge after leaves with these hashes, and the contents of all tiles that the larger
        tree has and this one has not: those of `tiles(size, old)`, in its order.

        Raises InvalidArgument MALFORMED_TILE: a hash has not 32 bytes, or the tree would be too
        large.
        """
        if any(len(leaf) != HASH_BYTES for leaf in leaves):
            raise _malformed("leaf", f"a hash has not {HASH_BYTES} bytes")
        size, rows, changed = self.size + len(leaves), list(self.rows), {}
        added = list(leaves)
        for level in range(LEVELS):
            if not added:
                break
            index = (self.size >> HEIGHT * level) // WIDTH
            row, added = [*rows[level], *added], []
            for start in range(0, len(row), WIDTH):
                part = row[start : start + WIDTH]
                changed[Tile(level, index + start // WIDTH, len(part))] = b"".join(part)
                if len(part) == WIDTH:
                    added.append(row_root(part))
            rows[level] = tuple(row[len(row) - len(row) % WIDTH :])
        return Edge(size, tuple(rows)), changed


def _fits(index: int, width: int, level: int) -> None:
    if not 1 <= width <= WIDTH:
        raise _malformed("tile.width", f"is not from 1 to {WIDTH}")
    if index < 0 or (index * WIDTH + width) << HEIGHT * level > MAX_SIZE:
        raise _malformed("tile.index", f"is in no tree of at most {MAX_SIZE} leaves")


def _place(index: int, width: int) -> str:
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    place = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return place if width == WIDTH else f"{place}.p/{width}"


def _malformed(field: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(field, "MALFORMED_TILE", why)
