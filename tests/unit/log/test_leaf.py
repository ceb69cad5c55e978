"""Leaves: one spelling, a commitment that binds, and links of chains that can be."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.fact import FactKind
from tracechain.domain.log.leaf import (
    MAX_CHAINS,
    Leaf,
    Link,
    chain_label,
    commitment,
)
from tracechain.domain.log.tiles import MAX_ENTRY_BYTES

HASH = bytes(range(32))
LEAF = Leaf(FactKind.EVENT, 5, HASH, (Link(HASH, 3, 17), Link(bytes(32), 0, -1)))

links = st.builds(
    lambda label, number, before: Link(label, number, before if number else -1),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 5) | st.integers(0, (1 << 63) - 2),
    st.integers(0, (1 << 63) - 2),
)
leaves = st.builds(
    Leaf,
    st.sampled_from(FactKind),
    st.integers(0, (1 << 63) - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(links, min_size=1, max_size=4, unique_by=lambda link: link.label).map(tuple),
    st.integers(0, 3),
    st.integers(4, 9),
)


@given(leaves)
def test_an_entry_is_read_as_it_was_written(leaf: Leaf) -> None:
    assert Leaf.parse(leaf.encode()) == leaf


@given(st.data())
def test_no_other_bytes_are_the_same_leaf(data: st.DataObject) -> None:
    entry = bytearray(LEAF.encode())
    place = data.draw(st.integers(0, len(entry) - 1))
    entry[place] ^= data.draw(st.integers(1, 255))
    # One that is refused is nobody's leaf; one that is read is another one.
    with suppress(InvalidArgument):
        assert Leaf.parse(bytes(entry)) != LEAF


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 50_000,
        LEAF.encode() + b"\n",
        LEAF.encode().replace(b'"v":1', b'"v":2'),
        LEAF.encode().replace(b'"v":1', b'"v":1,"v":1'),
        LEAF.encode().replace(b'"time":5', b'"time":5.0'),
        LEAF.encode().replace(b'"time":5', b'"time":05'),
        LEAF.encode().replace(b'"part":0', b'"part":false'),
        LEAF.encode().replace(b'"time":5', b'"time":-5'),
        LEAF.encode().replace(b'"kind":"event"', b'"kind":"rumour"'),
        LEAF.encode().replace(b",3,17]", b",3,-1]"),
        LEAF.encode().replace(b",3,17]", b",0,17]"),
        LEAF.encode().replace(b",3,17]", b",3]"),
        LEAF.encode().replace(b'{"v"', b'{ "v"'),
        json.dumps(json.loads(LEAF.encode()), sort_keys=True, separators=(",", ":")).encode(),
    ],
    ids=range(19),
)
def test_what_is_no_leaf_is_refused(entry: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Leaf.parse(entry)
    assert caught.value.reason == "MALFORMED_LEAF"


@pytest.mark.parametrize(
    "changes",
    [
        {"links": ()},
        {"links": (LEAF.links[0], LEAF.links[0])},
        {"commitment": HASH[:31]},
        {"part": 1},
        {"parts": 0},
        {"time": 1 << 63},
    ],
    ids=str,
)
def test_what_has_no_entry_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        replace(LEAF, **changes)  # type: ignore[arg-type]


def test_the_fullest_leaf_fits_in_an_entry() -> None:
    most = (1 << 63) - 2
    full = tuple(Link(n.to_bytes(32), most, most) for n in range(MAX_CHAINS))
    entry = replace(LEAF, links=full, time=most, part=14, parts=15).encode()
    assert len(entry) <= MAX_ENTRY_BYTES
    assert Leaf.parse(entry).links == full


@given(st.binary(min_size=32, max_size=32), st.text(), st.text())
def test_a_commitment_is_of_one_text_and_one_salt(salt: bytes, text: str, other: str) -> None:
    assert (commitment(salt, text) == commitment(salt, other)) == (text == other)
    assert commitment(salt, text) != commitment(bytes(31) + b"\x01", text) or salt[31:] == b"\x01"


def test_a_label_is_of_one_key_and_one_salt_and_no_commitment() -> None:
    labels = {chain_label(salt, key) for salt in (HASH, bytes(32)) for key in (0, 1, 1 << 62)}
    assert len(labels) == 6
    assert not labels & {commitment(HASH, "\x00" * 8), commitment(bytes(32), "\x00" * 8)}
