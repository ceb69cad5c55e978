"""Evidence of a fork: what verifies is the log's own doing, and nothing else verifies."""

from __future__ import annotations

import json
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log.trees import LEAVES, ed25519_key, entry, leaf, mth, reading, subproof
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import verifier
from tracechain.domain.log.fork import MAX_FORK_BYTES, Fork
from tracechain.domain.log.merkle import consistency, hashes
from tracechain.domain.log.note import Note, NoteSigner

LOG = NoteSigner("log.example", ed25519_key(1))
OTHER = [leaf(b"other " + entry(i)) for i in range(40)]
KEYS = [verifier(LOG.key)]


def note(size: int, leaves: list[bytes], signer: NoteSigner = LOG) -> Note:
    text = Checkpoint(signer.name, size, mth(leaves[:size])).text
    return Note(text, (signer.sign(text),))


def fork(
    small: int, large: int, smaller: list[bytes] = LEAVES, larger: list[bytes] = OTHER
) -> Fork:
    """A true proof of what the larger tree has in the smaller one's place."""
    proof = hashes(consistency(small, large), reading(OTHER))
    return Fork(note(small, smaller), note(large, OTHER), mth(OTHER[:small]), tuple(proof))


def test_every_two_sizes() -> None:
    for small, large in combinations_with_replacement(range(1, 20), 2):
        found = fork(small, large)
        if small < large:
            assert list(found.proof) == subproof(small, OTHER[:large])
        assert [c.size for c in found.verify(KEYS)] == [small, large]
        assert Fork.parse(found.encode()) == found
        # The same proof about a log that went on as it should.
        with pytest.raises(InvalidArgument, match="continues the smaller") as caught:
            fork(small, large, OTHER).verify(KEYS)
        assert caught.value.reason == "FALSE_LOG_PROOF"


def test_a_tree_of_nothing_that_has_a_root() -> None:
    text = Checkpoint(LOG.name, 0, bytes(32)).text
    found = Fork(Note(text, (LOG.sign(text),)), note(3, LEAVES), mth([]), ())
    assert [c.size for c in found.verify(KEYS)] == [0, 3]


def test_who_signed() -> None:
    good = fork(5, 9)
    namesake = NoteSigner(LOG.name, ed25519_key(2))
    other = NoteSigner("other.example", ed25519_key(3))
    for smaller, larger, keys, reason in (
        (note(5, LEAVES, namesake), good.larger, KEYS, "NOT_SIGNED"),
        (good.smaller, note(9, OTHER, namesake), KEYS, "NOT_SIGNED"),
        (good.smaller, good.larger, [verifier(namesake.key)], "NOT_SIGNED"),
        (good.smaller, Note(good.larger.text, good.smaller.signatures), KEYS, "FALSE_SIGNATURE"),
        (note(5, LEAVES, other), good.larger, [*KEYS, verifier(other.key)], "FALSE_LOG_PROOF"),
        (good.larger, good.smaller, KEYS, "FALSE_LOG_PROOF"),
        (note(6, LEAVES), good.larger, KEYS, "FALSE_LOG_PROOF"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            Fork(smaller, larger, good.prefix_root, good.proof).verify(keys)
        assert caught.value.reason == reason


def test_a_proof_that_proves_nothing() -> None:
    good = fork(5, 9)
    for prefix, proof in (
        (bytes(32), good.proof),
        (mth(LEAVES[:5]), good.proof),
        (good.prefix_root, good.proof[:-1]),
        (good.prefix_root, (*good.proof, bytes(32))),
        (good.prefix_root, tuple(reversed(good.proof))),
        (b"short", good.proof),
    ):
        with pytest.raises(InvalidArgument) as caught:
            Fork(good.smaller, good.larger, prefix, proof).verify(KEYS)
        assert caught.value.reason == "FALSE_LOG_PROOF"


GOOD = fork(13, 37)
ENCODED = GOOD.encode()


@given(st.integers(0, len(ENCODED) - 1), st.integers(0, 255))
def test_an_altered_byte_is_refused_or_alters_nothing(at: int, value: int) -> None:
    altered = ENCODED[:at] + bytes([value]) + ENCODED[at + 1 :]
    try:
        found = Fork.parse(altered)
        found.verify(KEYS)
    except InvalidArgument:
        return
    # JSON has blanks, and a note signatures of strangers.
    same = (found.smaller.text, found.larger.text, found.prefix_root, found.proof)
    assert same == (GOOD.smaller.text, GOOD.larger.text, GOOD.prefix_root, GOOD.proof)


SAID = json.loads(ENCODED)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, ENCODED[:-5], ENCODED * 2,
        json.dumps({**SAID, "form": "tracechain.log.fork/v2"}).encode(),
        json.dumps({**SAID, "more": ""}).encode(),
        json.dumps({k: v for k, v in SAID.items() if k != "proof"}).encode(),
        json.dumps({**SAID, "smaller": 1}).encode(),
        json.dumps({**SAID, "proof": SAID["prefix_root"]}).encode(),
        json.dumps({**SAID, "proof": [1]}).encode(),
        json.dumps({**SAID, "proof": ["AAAA"]}).encode(),
        json.dumps({**SAID, "smaller": "\ud800\n\n— a AAAAAAA=\n"}).encode(),
        b" " * MAX_FORK_BYTES + ENCODED,
    ],
)  # fmt: skip
def test_no_evidence(data: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Fork.parse(data)
    assert caught.value.reason == "MALFORMED_LOG_PROOF"


def test_a_note_in_it_that_is_none() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Fork.parse(json.dumps({**SAID, "larger": "no note"}).encode())
    assert caught.value.reason == "MALFORMED_NOTE"
