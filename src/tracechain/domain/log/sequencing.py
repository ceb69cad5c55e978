"""Facts that wait, put in their order: the next leaves of the tree, and all that changes with them.

Promises that each fact gets the next free index, and in each of its chains the next number behind
the leaf that was last there. Everything is worked out here and written at once by the store: had
half of it been kept, the tree would not be the one that the next checkpoint speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tracechain.domain.log.fact import Fact
from tracechain.domain.log.leaf import (
    MAX_CHAINS,
    NONE_BEFORE,
    SALT_BYTES,
    Leaf,
    Link,
    chain_label,
    commitment,
)
from tracechain.domain.log.merkle import leaf_hash
from tracechain.domain.log.tiles import Edge, Tile


class LogLeaf(NamedTuple):
    """A leaf as the store keeps it, with what opens its commitment: salt and the fact's text."""

    leaf_index: int
    entry: bytes
    salt: bytes
    text: str


class LogChain(NamedTuple):
    """The chain of one batch key: the salt of its label, its length, and its last leaf's index."""

    salt: bytes
    length: int = 0
    last: int = NONE_BEFORE


class ChainLink(NamedTuple):
    """Which leaf has a number in the chain of a batch key."""

    batch_key: int
    number: int
    leaf_index: int


class Sequenced(NamedTuple):
    """What there is after some facts were put in order: the new edge of the tree, the tiles that
    changed, and the new leaves, links and chains' ends."""

    edge: Edge
    tiles: Mapping[Tile, bytes]
    leaves: list[LogLeaf]
    links: list[ChainLink]
    chains: dict[int, LogChain]


def sequence(
    edge: Edge,
    facts: Sequence[Fact],
    chains: Mapping[int, LogChain],
    random_bytes: Callable[[int], bytes],
) -> Sequenced:
    """Appends facts, in this order, to the tree with this edge. `chains` are those of the facts'
    keys that there are already."""
    ends = dict(chains)
    labels: dict[int, bytes] = {}
    leaves: list[LogLeaf] = []
    links: list[ChainLink] = []
    for fact in facts:
        salt = random_bytes(SALT_BYTES)
        bound = commitment(salt, fact.text)
        parts = -(-len(fact.keys) // MAX_CHAINS)
        for part, keys in enumerate(_runs(fact.keys)):
            index = edge.size + len(leaves)
            named = []
            for key in keys:
                end = ends.get(key) or LogChain(random_bytes(SALT_BYTES))
                label = labels.get(key)
                if label is None:
                    label = labels[key] = chain_label(end.salt, key)
                named.append(Link(label, end.length, end.last))
                links.append(ChainLink(key, end.length, index))
                ends[key] = LogChain(end.salt, end.length + 1, index)
            leaf = Leaf(fact.kind, fact.time, bound, tuple(named), part, parts)
            leaves.append(LogLeaf(index, leaf.encode(), salt, fact.text))
    after, tiles = edge.append([leaf_hash(leaf.entry) for leaf in leaves])
    touched = {link.batch_key: ends[link.batch_key] for link in links}
    return Sequenced(after, tiles, leaves, links, touched)


def _runs(keys: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for first in range(0, len(keys), MAX_CHAINS):
        yield keys[first : first + MAX_CHAINS]
