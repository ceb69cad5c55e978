"""A leaf of our log: that a fact was taken, when, and what came before it about the same goods.

Promises that a leaf has one spelling and binds its fact: whoever holds the salt and the fact's
text can show that this leaf was made for it, and for no other. The leaf alone tells nobody what
happened to whom: entries are public, and who supplies whom is a secret of those who trade. Were a
commitment made without a salt, guessing would open it; were the chains not in the leaf, an event
could be left out of an answer unseen.

A *chain* is all leaves about one batch key, in their order: each names its sequence number there
and the index of the leaf before it. Its label hides the key, and is the same in all its leaves.

An entry is the JSON of `Leaf.encode`; as a leaf of the tree it is hashed by RFC 9162 section 2.1.1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.canonical import base64, hash32
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.merkle import HASH_BYTES, MAX_SIZE
from tracechain.domain.log.tiles import MAX_ENTRY_BYTES

SALT_BYTES = 32
# What fits in an entry; a fact about more goods has several leaves.
MAX_CHAINS = 700
# The leaf before the first one of a chain.
NONE_BEFORE = -1
_VERSION = 1
_FIELDS = ["v", "kind", "time", "part", "parts", "commitment", "chains"]


class Link(NamedTuple):
    """A leaf's place in one chain: the chain's label, its number there from 0, and the index of
    the leaf with the number before it (NONE_BEFORE: there is none)."""

    label: bytes
    sequence: int
    previous: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """What an entry says. `part` counts from 0 to `parts` - 1: the leaves of one fact follow each
    other and have one commitment.

    Raises InvalidArgument MALFORMED_LEAF when made: it has no entry.
    """

    kind: FactKind
    time: int
    commitment: bytes
    links: tuple[Link, ...]
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.time <= MAX_SIZE or len(self.commitment) != HASH_BYTES:
            raise _malformed("has no time or commitment")
        if not 0 <= self.part < self.parts or not 1 <= len(self.links) <= MAX_CHAINS:
            raise _malformed("is no part of a fact, or in no chain")
        for label, sequence, previous in self.links:
            if (
                len(label) != HASH_BYTES
                or not 0 <= sequence < MAX_SIZE
                or not NONE_BEFORE <= previous < MAX_SIZE
                or (previous == NONE_BEFORE) != (sequence == 0)
            ):
                raise _malformed("has a link of no chain")
        if len({link.label for link in self.links}) != len(self.links):
            raise _malformed("has two links of one chain")

    @classmethod
    def parse(cls, entry: bytes) -> Leaf:
        """Reads an entry. Raises InvalidArgument MALFORMED_LEAF."""
        if len(entry) > MAX_ENTRY_BYTES:
            raise _malformed("is too long")
        try:
            data = json.loads(entry)
            leaf = cls(
                FactKind(data["kind"]),
                _whole(data["time"]),
                hash32(data["commitment"], "leaf.commitment", "MALFORMED_LEAF"),
                tuple(
                    Link(
                        hash32(label, "leaf.chains", "MALFORMED_LEAF"),
                        _whole(sequence),
                        _whole(previous),
                    )
                    for label, sequence, previous in data["chains"]
                ),
                _whole(data["part"]),
                _whole(data["parts"]),
            )
        except InvalidArgument:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _malformed("is no leaf of this log") from None
        if leaf.encode() != entry:
            raise _malformed("is not in its one spelling")
        return leaf

    def encode(self) -> bytes:
        """The entry: what `parse` reads."""
        links = ",".join(
            f'["{base64(label)}",{sequence},{previous}]' for label, sequence, previous in self.links
        )
        return (
            f'{{"v":{_VERSION},"kind":"{self.kind.value}","time":{self.time},'
            f'"part":{self.part},"parts":{self.parts},'
            f'"commitment":"{base64(self.commitment)}","chains":[{links}]}}'
        ).encode()


def commitment(salt: bytes, text: str) -> bytes:
    """What binds a leaf to the text of its fact. `salt` has 32 random bytes."""
    return sha256(b"tracechain/fact/v1\x00" + salt + text.encode()).digest()


def chain_label(salt: bytes, batch_key: int) -> bytes:
    """What stands for a batch key in leaves. `salt` has 32 random bytes, one for each key."""
    return sha256(b"tracechain/chain/v1\x00" + salt + batch_key.to_bytes(8)).digest()


def _whole(value: Any) -> int:
    # True is an int to Python, and 1.0 is none.
    if type(value) is not int:
        raise _malformed("has a number that is none")
    return value


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument.of("leaf", "MALFORMED_LEAF", why)
