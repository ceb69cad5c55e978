"""Proof files: they prove what they are for, and no altered byte of one is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.log.trees import LEAVES, ed25519_key, examples, reading
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner
from tracechain.domain.log.merkle import MAX_SIZE, hashes, inclusion, subtree_root
from tracechain.domain.log.note import Note, NoteSigner
from tracechain.domain.log.policy import Policy
from tracechain.domain.log.proof import MAX_EXTRA_BYTES, MAX_PROOF_BYTES, LogProof

LOG = NoteSigner("log.example", ed25519_key(1))
WITNESS = Cosigner("w.example", ed25519_key(2))
POLICY = Policy.parse(f"log {LOG.key}\nwitness w {WITNESS.key}\nquorum w\n".encode())
TIME = 1_790_000_000
read = reading(LEAVES)


def proof_of(index: int, size: int, extra: bytes | None = None) -> LogProof:
    checkpoint = Checkpoint("log.example", size, subtree_root(0, size, read))
    text = checkpoint.text
    note = Note(text, (LOG.sign(text), WITNESS.sign(checkpoint, TIME)))
    return LogProof(index, tuple(hashes(inclusion(index, size), read)), note, extra)


def refused(data: bytes, leaf: bytes) -> str:
    with pytest.raises(InvalidArgument) as caught:
        LogProof.parse(data).verify(leaf, POLICY)
    return caught.value.reason


@settings(max_examples=40)
@given(st.data())
def test_a_proof_comes_back_and_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    proof = proof_of(index, size, data.draw(st.none() | st.binary(max_size=100)))
    assert LogProof.parse(proof.encode()) == proof
    accepted = proof.verify(LEAVES[index], POLICY)
    assert (accepted.checkpoint.size, accepted.witnessed) == (size, {"w": TIME})
    other = LEAVES[(index + 1) % len(LEAVES)]
    assert refused(proof.encode(), other) == "FALSE_LOG_PROOF"


def test_the_form_of_the_text() -> None:
    """The example's signatures are cut short, so true ones stand in for them."""
    head, _, rest = next(
        text for text in examples("tlog-proof") if text.startswith("c2sp.org/tlog-proof@v1\n")
    ).partition("\n\n")
    text = rest.partition("\n\n")[0] + "\n"
    log = NoteSigner("example.com/fancylog", ed25519_key(1))
    file = f"{head}\n\n".encode() + Note(text, (log.sign(text),)).encode()
    proof = LogProof.parse(file)
    assert (proof.index, len(proof.hashes)) == (73894, 5)
    assert (proof.extra or b"").startswith(b"age-v1.2.1-darwin-arm64.tar.g")
    assert proof.encode() == file
    assert Checkpoint.parse(proof.checkpoint.text).size == 109482
    policy = Policy.parse(f"log {log.key}\nquorum none\n".encode())
    with pytest.raises(InvalidArgument, match="has 5 hashes, not 17"):
        proof.verify(LEAVES[0], policy)


@pytest.mark.parametrize(("index", "size"), [(0, 1), (2, 7)])
def test_no_altered_byte_is_accepted(index: int, size: int) -> None:
    file = proof_of(index, size).encode()
    assert LogProof.parse(file).verify(LEAVES[index], POLICY)
    expected = {
        "MALFORMED_LOG_PROOF", "MALFORMED_NOTE", "MALFORMED_CHECKPOINT", "FALSE_LOG_PROOF",
        "NOT_SIGNED", "QUORUM_NOT_MET", "FALSE_SIGNATURE",
    }  # fmt: skip
    seen = set()
    for at in range(len(file)):
        for bit in (0, 1, 5):
            altered = bytearray(file)
            altered[at] ^= 1 << bit
            seen.add(refused(bytes(altered), LEAVES[index]))
        seen.add(refused(file[:at], LEAVES[index]))
        seen.add(refused(file[:at] + file[at + 1 :], LEAVES[index]))
    assert seen <= expected
    assert len(seen) > 4


def test_extra_data_is_not_proved() -> None:
    proof = proof_of(3, 9, b"serial")
    altered = proof.encode().replace(b"extra c2VyaWFs", b"extra U2VyaWFs")
    assert LogProof.parse(altered).extra == b"Serial"
    assert LogProof.parse(altered).verify(LEAVES[3], POLICY)
    assert LogProof.parse(proof_of(3, 9, b"").encode()).extra == b""
    assert LogProof.parse(proof_of(3, 9).encode()).extra is None


GOOD = proof_of(3, 9, b"abc").encode()
HASH = GOOD.split(b"\n")[3]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"), (b"c2sp", b"\xef\xbb\xbfc2sp"), (b"c2sp", b"\nc2sp"),
        (b"@v1\n", b"@v1\r\n"), (b"@v1\n", b"@v1 \n"),
        (b"extra YWJj\n", b"extra YWJj\nextra YWJj\n"),
        (b"extra YWJj", b"extra"), (b"extra YWJj", b"extra  YWJj"), (b"extra YWJj", b"Extra YWJj"),
        (b"extra YWJj", b"extra YWJj="), (b"extra YWJj", b"extra YWJ"),
        (b"extra YWJj", b"extra YR=="),
        (b"index 3", b"index 03"), (b"index 3", b"index +3"),
        (b"index 3", b"index -3"), (b"index 3", b"index  3"), (b"index 3", b"index 3 "),
        (b"index 3", b"index"), (b"index 3", b"index three"), (b"index 3", b"Index 3"),
        (b"index 3", b"index \xd9\xa3"), (b"@v1", b"@v1\xff"),
        (b"index 3", b"index 3\xff"), (b"index 3", b"index " + b"9" * 5000),
        (b"index 3", b"index %d" % MAX_SIZE), (b"index 3", b"index %d" % (1 << 64)),
        (b"index 3\n", b"index 3\nindex 3\n"), (b"extra YWJj\nindex 3\n", b"index 3\nextra YWJj\n"),
        (HASH, HASH[:-1]), (HASH, HASH + b"="), (HASH, b" " + HASH), (HASH, b"AAAA"),
        (HASH, b""), (HASH, HASH[:-2] + bytes([HASH[-2] + 1]) + b"="),
        (HASH, HASH.replace(b"=", b"A")),
        (HASH + b"\n", (HASH + b"\n") * 64),
    ],
)  # fmt: skip
def test_no_proofs(old: bytes, new: bytes) -> None:
    assert GOOD.count(old) == 1
    reason = refused(GOOD.replace(old, new), LEAVES[3])
    # An empty line ends the proof, and what follows is then no checkpoint.
    assert reason == ("MALFORMED_LOG_PROOF" if new else "MALFORMED_CHECKPOINT")


def test_whatever_is_no_proof_is_refused() -> None:
    for data in (
        b"",
        b"\n\n",
        GOOD[:30],
        GOOD.replace(b"index 3\n", b""),
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\n",
    ):
        assert refused(data, LEAVES[3]) == "MALFORMED_LOG_PROOF"
    assert refused(b"x" * (MAX_PROOF_BYTES + 1), LEAVES[3]) == "MALFORMED_LOG_PROOF"
    note = proof_of(0, 1).checkpoint
    for made in (
        lambda: LogProof(-1, (), note),
        lambda: LogProof(MAX_SIZE, (), note),
        lambda: LogProof(0, (bytes(32),) * 64, note),
        lambda: LogProof(0, (bytes(31),), note),
        lambda: LogProof(0, (), note, bytes(MAX_EXTRA_BYTES + 1)),
    ):
        with pytest.raises(InvalidArgument) as caught:
            made()
        assert caught.value.reason == "MALFORMED_LOG_PROOF"
    full = LogProof(MAX_SIZE - 1, (bytes(32),) * 63, note, bytes(MAX_EXTRA_BYTES))
    assert LogProof.parse(full.encode()) == full
