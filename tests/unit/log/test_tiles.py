"""Tiles: one path, one content; appending makes the tiles that the tree has, and no other."""

from __future__ import annotations

import base64
import gzip
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.log.trees import DATA, LEAVES, entry, leaf, mth, reading
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Node,
    consistency,
    cover,
    hashes,
    inclusion,
    nodes,
    subtree_root,
)
from tracechain.domain.log.note import Note
from tracechain.domain.log.tiles import (
    MAX_ENTRY_BYTES,
    Bundle,
    Edge,
    Tile,
    bundle_of,
    bundles,
    encode_entries,
    parse_path,
    reader,
    tile_of,
    tiles,
    tiles_of,
)

MIRROR = (
    DATA / "sunlight" / "witness" / "mirror"
    / "000de184301123b9278c086a7d9f68c9577e83872224c197058fd90784ea9706"
)  # fmt: skip
# Beyond one tile of level 1: 300 tiles of level 0 and 9 leaves.
LARGE = 300 * 256 + 9
MANY = [leaf(entry(i)) for i in range(LARGE)]


def grown(size: int) -> tuple[Edge, dict[Tile, bytes]]:
    return Edge().append(MANY[:size])


WHOLE = grown(LARGE)[1]
PLACED = {(tile.level, tile.index): content for tile, content in WHOLE.items()}


def grown_before(size: int) -> dict[Tile, bytes]:
    """The tiles of a smaller tree: the beginnings of those of the whole one."""
    return {t: PLACED[t.level, t.index][: t.width * 32] for t in tiles(size)}


known = reading(MANY)


def root_of(size: int) -> bytes:
    return subtree_root(0, size, known)


@pytest.mark.parametrize(
    ("tile", "path_"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999, 1), "tile/0/999.p/1"),
        (Tile(1, 1234067), "tile/1/x001/x234/067"),
        (Tile(3, 1000, 255), "tile/3/x001/000.p/255"),
        (Tile(7, 0, 127), "tile/7/000.p/127"),
        (Bundle(1234067, 112), "tile/entries/x001/x234/067.p/112"),
        (Bundle((1 << 55) - 1, 255), "tile/entries/x036/x028/x797/x018/x963/967.p/255"),
    ],
)
def test_paths(tile: Tile | Bundle, path_: str) -> None:
    assert tile.path == path_
    assert parse_path(path_) == tile


@given(
    st.integers(-1, 7),
    st.integers(0, (1 << 55) - 2) | st.integers(0, 5000),
    st.integers(1, 256),
)
def test_a_path_and_its_tile_are_the_same(level: int, index: int, width: int) -> None:
    index >>= 8 * max(level, 0)
    if level == 7:
        width = min(width, 127)
    tile = Bundle(index, width) if level < 0 else Tile(level, index, width)
    assert parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path_",
    [
        "", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000",
        "tile/0/x000", "tile/0/001/000", "tile/0/X001/000", "tile/00/000", "tile/8/000",
        "tile/63/000", "tile/64/000", "tile/-1/000", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p/1/", "tile/0/000/", "/tile/0/000",
        "tile/0/000\n", "tile/0/٠٠٠", "tile/٠/000", "tile/0/../000", "tile/data/000",
        "tile/entries/x000/001", "tile/entries/-01", "tile/7/000", "tile/7/000.p/128",
        "tile/7/001.p/1", "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 500 + "000", "tile/entries/x036/x028/x797/x018/x963/967",
        "tile/0/x036/x028/x797/x018/x963/968.p/1",
    ],
)  # fmt: skip
def test_no_paths(path_: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_path(path_)
    assert caught.value.reason == "MALFORMED_TILE"


def test_the_tree_of_the_text() -> None:
    """Section Partial Tiles: the examples of 70,000 and 256 leaves."""
    found = list(tiles(70_000))
    assert found[:273] == [Tile(0, i) for i in range(273)]
    assert found[273:] == [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert list(tiles(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles(0)) == list(bundles(0)) == list(tiles(9, 9)) == []
    assert list(bundles(70_000))[-2:] == [Bundle(272), Bundle(273, 112)]
    assert list(bundles(520, 257)) == [Bundle(1), Bundle(2, 8)]
    assert bundle_of(511, 520) == Bundle(1)
    assert bundle_of(512, 520) == Bundle(2, 8)


def test_appending_in_parts_makes_the_same_tiles() -> None:
    edge, have = Edge(), dict[Tile, bytes]()
    for old, size in pairwise([0, 1, 2, 255, 256, 257, 512, 700, 700, 65536, 65537, 66000, LARGE]):
        at_once, all_of_it = grown(size)
        edge, changed = edge.append(MANY[old:size])
        assert list(changed) == list(tiles(size, old))
        assert edge == at_once
        assert edge.root() == root_of(size)
        have.update(changed)
        assert {tile: have[tile] for tile in tiles(size)} == all_of_it
        assert Edge.read(size, have) == edge
        for tile, content in all_of_it.items():
            for i, value in enumerate(tile.hashes(content)):
                assert value == known(Node(8 * tile.level, tile.index * 256 + i))
    assert Edge().root() == EMPTY_ROOT


@settings(max_examples=60)
@given(st.lists(st.integers(0, 400), max_size=6))
def test_appending_in_any_parts(parts: list[int]) -> None:
    edge, size = Edge(), 0
    for part in parts:
        before = dict.fromkeys(tiles(size))
        edge, changed = edge.append(MANY[size : size + part])
        # No full tile, and no partial one that somebody may have kept, gets another content.
        assert not before.keys() & changed.keys()
        assert all(len(content) == tile.width * 32 for tile, content in changed.items())
        size += part
    assert (edge.size, edge.root()) == (size, root_of(size))


@settings(max_examples=60)
@given(st.data())
def test_proofs_from_the_tiles_that_they_need(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, LARGE) | st.sampled_from([256, 257, 65536, 65537, LARGE]))
    contents = grown_before(size)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    for ranges in (inclusion(index, size), consistency(old, size)):
        needed = tiles_of(nodes(ranges), size)
        assert len(set(needed)) == len(needed) <= 2 * 3
        assert set(needed) <= set(contents)
        read = reader({tile: contents[tile] for tile in needed}, size)
        assert hashes(ranges, read) == hashes(ranges, known)
    read = reader({tile: contents[tile] for tile in tiles_of(cover(0, size), size)}, size)
    assert subtree_root(0, size, read) == root_of(size)


def test_every_node_is_read_from_a_tile_of_its_tree() -> None:
    read = reader(WHOLE, LARGE)
    seen = 0
    for level in range(LARGE.bit_length()):
        for place in {0, 1, (LARGE >> level) // 2, (LARGE >> level) - 1}:
            if 0 <= place < LARGE >> level:
                node = Node(level, place)
                assert tile_of(node, LARGE) in WHOLE
                assert read(node) == known(node)
                seen += 1
    assert seen > 60


def test_tiles_of_a_wrong_length_are_refused() -> None:
    size = 300
    contents = grown(size)[1]
    ranges = inclusion(299, size)
    for tile in tiles_of(nodes(ranges), size):
        for wrong in (b"", contents[tile][:-1], contents[tile] + b"\0", contents[tile][32:]):
            with pytest.raises(InvalidArgument) as caught:
                hashes(ranges, reader({**contents, tile: wrong}, size))
            assert caught.value.reason == "MALFORMED_TILE"
    del contents[Tile(0, 1, 44)]
    with pytest.raises(KeyError):
        hashes(ranges, reader(contents, size))
    with pytest.raises(InvalidArgument, match="0 to"):
        Edge(MAX_SIZE + 1)
    with pytest.raises(InvalidArgument, match="1 hashes at level 0"):
        Edge(2, ((LEAVES[0],), *((),) * 7))
    with pytest.raises(InvalidArgument, match="32 bytes"):
        Edge().append([LEAVES[0], b"short"])


def test_the_largest_edge_takes_no_more() -> None:
    rows = tuple((LEAVES[0],) * (MAX_SIZE >> 8 * level & 255) for level in range(8))
    edge = Edge(MAX_SIZE, rows)
    assert [tile.width for tile in Edge.tiles(MAX_SIZE)] == [255] * 7 + [127]
    with pytest.raises(InvalidArgument) as caught:
        edge.append(LEAVES[:1])
    assert caught.value.reason == "MALFORMED_TILE"


@pytest.mark.parametrize("made", [
    lambda: Tile(8, 0), lambda: Tile(-1, 0), lambda: Tile(0, -1), lambda: Tile(0, 0, 0),
    lambda: Tile(0, 0, 257), lambda: Tile(0, 1 << 55), lambda: Bundle(-1), lambda: Bundle(1 << 300),
    lambda: Bundle(0, -5),
])  # fmt: skip
def test_no_tree_has_such_a_tile(made: type[Tile]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        made()  # type: ignore[call-arg]
    assert caught.value.reason == "MALFORMED_TILE"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_bundles_give_back_their_entries(entries: list[bytes]) -> None:
    content = encode_entries(entries)
    assert Bundle(5, len(entries)).entries(content) == tuple(entries)
    for wrong in (content[:-1], content + b"\0", b"", content + b"\0\0"):
        with pytest.raises(InvalidArgument) as caught:
            Bundle(5, len(entries)).entries(wrong)
        assert caught.value.reason == "MALFORMED_TILE"


def test_the_longest_entry() -> None:
    longest = b"x" * MAX_ENTRY_BYTES
    assert Bundle(0, 2).entries(encode_entries([longest, b""])) == (longest, b"")
    with pytest.raises(InvalidArgument, match="65536 bytes") as caught:
        encode_entries([longest + b"x"])
    assert caught.value.reason == "MALFORMED_TILE"


def test_a_recorded_mirror() -> None:
    """The tiles of sunlight's mirror lead to the root that the mirror cosigned."""
    checkpoint = Checkpoint.parse(Note.parse((MIRROR / "checkpoint").read_bytes()).text)
    served = {
        parse_path(str(file.relative_to(MIRROR))): file.read_bytes()
        for file in MIRROR.rglob("*")
        if file.is_file() and file.name != "checkpoint"
    }
    assert set(served) == {*tiles(checkpoint.size), *bundles(checkpoint.size)}
    contents = {tile: content for tile, content in served.items() if isinstance(tile, Tile)}
    leaves = [value for tile in sorted(contents) if not tile.level
              for value in tile.hashes(contents[tile])]  # fmt: skip
    edge, made = Edge().append(leaves)
    assert made == contents
    assert edge == Edge.read(checkpoint.size, contents)
    assert edge.root() == checkpoint.root == mth(leaves)
    assert base64.b64encode(checkpoint.root) == b"gw31yQrqZZCcEOPrzX+bpy3nJ6QgngTKn8G1m0i62uU="
    # What stands where the entries are was made for a server's tests and is no bundle.
    with pytest.raises(InvalidArgument, match="ends in entry"):
        Bundle(0).entries(gzip.decompress(served[Bundle(0)]))
