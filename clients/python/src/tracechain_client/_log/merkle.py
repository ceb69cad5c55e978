# Copied from src/tracechain/domain/log/merkle.py by `./dev generate`. Do not edit.
"""The Merkle tree: how leaves and nodes are hashed, how proofs are made, and how they are checked.

Promises that a proof which passes is one that only these leaves, in this order, can have: sizes
are bounded, a proof has exactly the hashes that it must have, and nothing else is looked at. Were
a proof too long or a hash too short taken, two histories would share one root.

A proof is a list of *ranges* of leaves, from the leaf upwards, of which the hashes are given.
Maker and checker walk the same ranges. A range is folded from *nodes*, complete subtrees, which is
all that a store has to keep; so a proof is planned (`inclusion`, `consistency`, `nodes`), what it
needs is read at once, and it is put together (`hashes`).

RFC 6962 section 2.1 and RFC 9162 section 2.1, SHA-256; subtrees by
draft-ietf-plants-merkle-tree-certs-03 section 4. With `start` 0 a subtree is the tree of that size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from tracechain_client._log.errors import InvalidArgument

HASH_BYTES = 32
# An inclusion proof in a tree of this size has 63 hashes, what C2SP formats have room for.
MAX_SIZE = (1 << 63) - 1
EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree: that of the leaves from `place << level` to `(place + 1) << level`."""

    level: int
    place: int


Range = tuple[int, int]
"""Leaves from the first number up to, and without, the second."""

ReadNode = Callable[[Node], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf (RFC 9162 section 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of what has these two below it (RFC 9162 section 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def is_subtree(start: int, end: int) -> bool:
    """Whether these leaves are a subtree, of themselves or of any tree that has them: not empty,
    and beginning where a complete subtree of at least their number does (draft section 4.1)."""
    return 0 <= start < end <= MAX_SIZE and start % (1 << (end - start - 1).bit_length()) == 0


def cover(start: int, end: int) -> list[Node]:
    """The complete subtrees that a subtree is folded from, left to right, the largest first."""
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append(Node(level, start >> level))
        start += 1 << level
    return found


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, given left to right; that of an empty tree for none."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def row_root(row: Sequence[bytes]) -> bytes:
    """The root over a row of neighbouring hashes of one level, of any number (section 2.1)."""
    level = list(row)
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        # The last of an odd number has no neighbour yet, and goes up as it is.
        level = pairs + level[2 * len(pairs) :]
    return level[0] if level else EMPTY_ROOT


def subtree_root(start: int, end: int, read: ReadNode) -> bytes:
    """The root of a subtree; of the tree of size `end` where `start` is 0."""
    return fold([read(node) for node in cover(start, end)])


def inclusion(index: int, end: int, start: int = 0) -> list[Range]:
    """The ranges whose hashes prove that the leaf `index` is in a subtree, the lowest first
    (RFC 9162 section 2.1.3.1). Raises InvalidArgument FALSE_LOG_PROOF: there is no such leaf."""
    if not (is_subtree(start, end) and start <= index < end):
        raise _false(f"no leaf {index} is in a tree of the leaves {start} to {end}")
    path = []
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    path.reverse()
    return path


def consistency(end: int, size: int, start: int = 0) -> list[Range]:
    """The ranges whose hashes prove that a subtree is one of the tree of `size`, the lowest first
    (RFC 9162 section 2.1.4.1, draft section 4.4); the tree of size `end`, where `start` is 0.

    Raises InvalidArgument FALSE_LOG_PROOF: there is none. That the empty tree is the beginning of
    every other says nothing, so it has no proof.
    """
    if not (is_subtree(start, end) and end <= size <= MAX_SIZE):
        raise _false(f"no tree of {size} leaves continues one of the leaves {start} to {end}")
    path: list[Range] = []
    low, high, known = 0, size, True
    while (low, high) != (start, end):
        middle = _middle(low, high)
        if end <= middle:
            path.append((middle, high))
            high = middle
            continue
        path.append((low, middle))
        if start < middle:  # the subtree goes across, so its root is no node of the larger tree
            start, known = middle, False
        low = middle
    if not known:
        path.append((low, high))
    path.reverse()
    return path


def nodes(ranges: Iterable[Range]) -> list[Node]:
    """All nodes that `hashes` will ask for, in its order."""
    return [node for start, end in ranges for node in cover(start, end)]


def hashes(ranges: Iterable[Range], read: ReadNode) -> list[bytes]:
    """A proof: the hashes of its ranges."""
    return [subtree_root(start, end, read) for start, end in ranges]


def verify_inclusion(
    leaf: bytes, index: int, proof: Sequence[bytes], root: bytes, end: int, start: int = 0
) -> None:
    """Checks that the leaf with this hash has this index in the subtree with this root
    (RFC 9162 section 2.1.3.2); in the tree of size `end`, where `start` is 0.

    Raises InvalidArgument FALSE_LOG_PROOF where that is not proved.
    """
    path = inclusion(index, end, start)
    _measured(path, proof, leaf, root)
    found = leaf
    for (first, _), given in zip(path, proof, strict=True):
        found = node_hash(found, given) if first > index else node_hash(given, found)
    if found != root:
        raise _false("the leaf and its proof lead to another root")


def verify_consistency(
    old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> None:
    """Checks that the tree of `size` with `root` continues the tree of `old` leaves with
    `old_root` (RFC 9162 section 2.1.4.2).

    Raises InvalidArgument FALSE_LOG_PROOF where that is not proved; of the empty tree it never is.
    """
    if old == 0:
        raise _false("every tree continues the empty one; that proves nothing")
    verify_subtree(0, old, size, proof, old_root, root)


def verify_subtree(
    start: int, end: int, size: int, proof: Sequence[bytes], inner_root: bytes, root: bytes
) -> None:
    """Checks that the tree of `size` with `root` has a subtree with `inner_root` (draft section
    4.4.3). Of no leaves at all it proves their root, as the empty tree's, and nothing of `root`.

    Raises InvalidArgument FALSE_LOG_PROOF where that is not proved.
    """
    if 0 <= start == end <= size <= MAX_SIZE:
        if proof or inner_root != EMPTY_ROOT:
            raise _false("no leaves have the root of the empty tree, and no proof")
        return
    path = consistency(end, size, start)
    # Of a tree and itself nothing is hashed: the roots are the same or not, whatever they are.
    _measured(path, proof, *((inner_root, root) if path else ()))
    if path and start <= path[0][0] < end:  # a part of the subtree comes first
        inner = outer = proof[0]
        path, proof = path[1:], proof[1:]
    else:
        inner = outer = inner_root
    for (first, _), given in zip(path, proof, strict=True):
        if first >= end:
            outer = node_hash(outer, given)
        else:
            outer = node_hash(given, outer)
            if first >= start:
                inner = node_hash(given, inner)
    if inner != inner_root:
        raise _false("the proof leads to another root of the earlier tree")
    if outer != root:
        raise _false("the proof leads to another root of the later tree")


def _middle(start: int, end: int) -> int:
    """Where the leaves of a subtree are divided: after the largest power of two below their
    number."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _measured(path: list[Range], proof: Sequence[bytes], *others: bytes) -> None:
    if len(proof) != len(path):
        raise _false(f"the proof has {len(proof)} hashes, not {len(path)}")
    if any(len(value) != HASH_BYTES for value in (*proof, *others)):
        raise _false(f"a hash has not {HASH_BYTES} bytes")


def _false(why: str) -> InvalidArgument:
    return InvalidArgument.of("proof", "FALSE_LOG_PROOF", why)
