"""Checkpoints and cosignatures: what was signed, by whom, and when; nothing else passes."""

from __future__ import annotations

import json
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log.trees import DATA, ed25519_key, examples
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint, verify_checkpoint
from tracechain.domain.log.cosignature import (
    MAX_TIMESTAMP,
    CosignatureVerifier,
    Cosigner,
    signed_message,
    timestamp_of,
    verifier,
)
from tracechain.domain.log.merkle import EMPTY_ROOT, MAX_SIZE
from tracechain.domain.log.note import (
    Note,
    NoteSigner,
    NoteVerifier,
    Signature,
    SignatureType,
    VerifierKey,
    verify,
)
from tracechain.domain.log.witness import checkpoint_path

SUNLIGHT = DATA / "sunlight"
BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
CHECKPOINT = Checkpoint.parse(BODY)
TIME = 1679315147
COSIGNERS = {
    "Ed25519": Cosigner("w.example/1", ed25519_key(7)),
    "ML-DSA-44": Cosigner("w.example/1", mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32))),
}
EACH = pytest.mark.parametrize("cosigner", COSIGNERS.values(), ids=COSIGNERS)


def test_the_examples_of_the_texts() -> None:
    body, *_ = (text for text in examples("tlog-checkpoint") if text.startswith("example.com"))
    note = Note.parse(body.encode())
    assert note.text == BODY
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e1d90c808")
    assert checkpoint.text == BODY
    cosigned, message = (
        text for text in examples("tlog-cosignature") if "example.com/behind-the-sofa\n" in text
    )
    signatures = Note.parse(cosigned.encode()).signatures
    assert timestamp_of(signatures[1]) == TIME
    key = VerifierKey("w", SignatureType.COSIGNATURE_ED25519, bytes(32))
    assert signed_message(key, checkpoint, TIME).decode() == message


@pytest.mark.parametrize(
    ("place", "description"),
    [
        ("witness/{}", "witness/witness.v0.json"),
        ("witness2/{}", "witness2/witness.v0.json"),
        ("witness/mirror/{}", "witness/mirror/mirror.v0.json"),
    ],
)
def test_recorded_cosignatures(place: str, description: str) -> None:
    """Of sunlight's witnesses and its mirror; the log's own signature is of a type for CT."""
    (vkey,) = json.loads((SUNLIGHT / description).read_text())["verifier_keys"]
    found = 0
    for origin in ("rome2026h1.example.org", "milan2026h1.example.org"):
        file = SUNLIGHT / place.format(checkpoint_path(origin))
        if not file.exists():
            continue
        found += 1
        note = Note.parse(file.read_bytes())
        key = VerifierKey.parse(vkey)
        assert key.type is SignatureType.COSIGNATURE_ED25519
        (signature,) = verify(note, [verifier(key)])
        assert signature.name == key.name
        assert timestamp_of(signature) == 1767139200  # the end of 2025, as the log was closed
        assert Checkpoint.parse(note.text).origin == origin
        assert note.encode() == file.read_bytes()
        altered = Note(note.text.replace("\n300\n", "\n301\n"), note.signatures)
        with pytest.raises(InvalidArgument) as caught:
            verify(altered, [verifier(key)])
        assert caught.value.reason == "FALSE_SIGNATURE"
    assert found == 1


def test_a_recorded_log_is_signed_by_nobody_known() -> None:
    note = Note.parse((SUNLIGHT / "tree" / "checkpoint").read_bytes())
    closed = json.loads((SUNLIGHT / "tree" / "log.v3.json").read_text())["final_tree_head"]
    assert Checkpoint.parse(note.text).text.split("\n")[1:3] == [
        str(closed["tree_size"]), closed["sha256_root_hash"]
    ]  # fmt: skip
    assert len(note.signatures[0].value) > 64
    with pytest.raises(InvalidArgument) as caught:
        verify_checkpoint(note, [NoteVerifier(NoteSigner("rome2026h1.example.org",
                                                         ed25519_key(1)).key)])  # fmt: skip
    assert caught.value.reason == "NOT_SIGNED"


def test_the_message_for_ml_dsa() -> None:
    """Section ML-DSA-44 signed message, byte by byte."""
    key = COSIGNERS["ML-DSA-44"].key
    assert signed_message(key, CHECKPOINT, TIME) == b"".join([
        b"subtree/v1\n\0", b"\x0bw.example/1", TIME.to_bytes(8),
        b"\x1bexample.com/behind-the-sofa", bytes(8), (20852163).to_bytes(8), CHECKPOINT.root,
    ])  # fmt: skip
    extended = Checkpoint("a" * 255, 1, EMPTY_ROOT, ("extension",))
    assert b"extension" not in signed_message(key, extended, TIME)
    for name, origin in (("w" * 256, "a"), ("w", "a" * 256), ("w", "é" * 128)):
        with pytest.raises(InvalidArgument) as caught:
            signed_message(
                VerifierKey(name, key.type, key.public_key),
                Checkpoint(origin, 1, EMPTY_ROOT), TIME,
            )  # fmt: skip
        assert caught.value.reason == "MALFORMED_CHECKPOINT"


@EACH
def test_a_cosignature_is_of_one_tree_and_one_time(cosigner: Cosigner) -> None:
    signature = cosigner.sign(CHECKPOINT, TIME)
    check = verifier(cosigner.key)
    assert isinstance(check, CosignatureVerifier)
    assert verify(Note(BODY, (signature,)), [check]) == (signature,)
    assert timestamp_of(signature) == TIME
    root = bytes(31) + b"\1"
    for other in (
        Checkpoint("example.com/behind-the-door", CHECKPOINT.size, CHECKPOINT.root),
        Checkpoint(CHECKPOINT.origin, CHECKPOINT.size + 1, CHECKPOINT.root),
        Checkpoint(CHECKPOINT.origin, CHECKPOINT.size, root),
    ):
        assert not check.verifies(other.text, signature.value)
    for text in ("", "no checkpoint\n", BODY[:-1], BODY + "\n"):
        assert not check.verifies(text, signature.value)
    value = signature.value
    time = int.from_bytes(value[:8])
    for wrong in (
        b"", value[:7], value[:8], value[:-1], value + b"\0", (time + 1).to_bytes(8) + value[8:],
        (MAX_TIMESTAMP + 1).to_bytes(8) + value[8:], value[:8] + bytes(len(value) - 8),
    ):  # fmt: skip
        assert not check.verifies(BODY, wrong)


@EACH
@given(data=st.data())
def test_no_altered_bit_of_a_cosignature_passes(cosigner: Cosigner, data: st.DataObject) -> None:
    value = cosigner.sign(CHECKPOINT, TIME).value
    at = data.draw(st.integers(0, 8 * len(value) - 1))
    altered = (int.from_bytes(value) ^ 1 << at).to_bytes(len(value))
    assert not verifier(cosigner.key).verifies(BODY, altered)


def test_what_else_is_signed() -> None:
    """Extension lines: by Ed25519 only. The witness's name: by ML-DSA-44 only."""
    extended = Checkpoint(CHECKPOINT.origin, CHECKPOINT.size, CHECKPOINT.root, ("x",))
    for kind, cosigner in COSIGNERS.items():
        value = cosigner.sign(CHECKPOINT, TIME).value
        key = cosigner.key
        assert verifier(key).verifies(extended.text, value) is (kind == "ML-DSA-44")
        renamed = VerifierKey("w.example/2", key.type, key.public_key)
        assert verifier(renamed).verifies(BODY, value) is (kind == "Ed25519")


def test_a_log_signature_is_no_cosignature_and_the_other_way_round() -> None:
    private = ed25519_key(9)
    log, witness = NoteSigner("a.example", private), Cosigner("a.example", private)
    assert log.key.key_id != witness.key.key_id
    assert not verifier(witness.key).verifies(BODY, log.sign(BODY).value)
    assert not verifier(witness.key).verifies(BODY, bytes(8) + log.sign(BODY).value)
    assert not verifier(log.key).verifies(BODY, witness.sign(CHECKPOINT, TIME).value)
    assert not verifier(log.key).verifies(BODY, witness.sign(CHECKPOINT, TIME).value[8:])


@pytest.mark.parametrize("timestamp", [0, -1, MAX_TIMESTAMP + 1])
def test_no_times(timestamp: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        COSIGNERS["Ed25519"].sign(CHECKPOINT, timestamp)
    assert caught.value.reason == "INVALID_TIME"


@EACH
def test_the_first_time_and_the_last(cosigner: Cosigner) -> None:
    assert timestamp_of(cosigner.sign(CHECKPOINT, 1)) == 1
    signature = cosigner.sign(CHECKPOINT, MAX_TIMESTAMP)
    assert verifier(cosigner.key).verifies(BODY, signature.value)
    assert timestamp_of(signature) == MAX_TIMESTAMP == 2**63 - 1


def test_where_there_is_no_ml_dsa_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    cosigner = COSIGNERS["ML-DSA-44"]
    note = Note(BODY, (cosigner.sign(CHECKPOINT, TIME),))
    monkeypatch.setitem(sys.modules, mldsa.__name__, None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mldsa")
    with pytest.raises(InvalidArgument) as caught:
        verify(note, [verifier(VerifierKey.parse(str(cosigner.key)))])
    assert caught.value.reason == "UNSUPPORTED_ALGORITHM"


# --- checkpoints


LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@given(
    LINES, st.integers(0, MAX_SIZE), st.binary(min_size=32, max_size=32),
    st.lists(LINES, max_size=3).map(tuple),
)  # fmt: skip
def test_a_checkpoint_and_its_text_are_the_same(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    checkpoint = Checkpoint(origin, size, root, extensions)
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert Note.parse(Note(checkpoint.text, (Signature("a", b"1234", b"5"),)).encode()).text == (
        checkpoint.text
    )


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\n\n\n", "a\n1\n", f"a\n1\n{ROOT}", f"\n1\n{ROOT}\n", f"a\n\n{ROOT}\n",
        f"a\n1\n{ROOT}\n\n", f"a\n1\n{ROOT}\n\nx\n", f"a\n01\n{ROOT}\n", f"a\n00\n{ROOT}\n",
        f"a\n+1\n{ROOT}\n", f"a\n-1\n{ROOT}\n", f"a\n1 \n{ROOT}\n", f"a\n 1\n{ROOT}\n",
        f"a\n1_0\n{ROOT}\n", f"a\n٣\n{ROOT}\n", f"a\n1.0\n{ROOT}\n", f"a\n0x1\n{ROOT}\n",
        f"a\n{MAX_SIZE + 1}\n{ROOT}\n", f"a\n{'9' * 5000}\n{ROOT}\n", "a\n1\n\n",
        f"a\n1\n{ROOT[:-1]}\n", f"a\n1\n{ROOT} \n", f"a\n1\n{ROOT}=\n", f"a\n1\n{ROOT[:-2]}J=\n",
        "a\n1\nAAAA\n", f"a\n1\nAAAA{ROOT}\n", f"a\n1\n{ROOT.replace('/', '_')}\n",
        "a\n1\n\u0421" + ROOT[1:] + "\n",
    ],
)  # fmt: skip
def test_no_checkpoints(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Checkpoint.parse(text)
    assert caught.value.reason == "MALFORMED_CHECKPOINT"


def test_no_checkpoint_is_made_that_has_no_text() -> None:
    root = bytes(32)
    for wrong in (
        lambda: Checkpoint("", 1, root),
        lambda: Checkpoint("a\nb", 1, root),
        lambda: Checkpoint("a", 1, root, ("",)),
        lambda: Checkpoint("a", 1, root, ("b\n",)),
        lambda: Checkpoint("a", -1, root),
        lambda: Checkpoint("a", MAX_SIZE + 1, root),
        lambda: Checkpoint("a", 1, root[:-1]),
    ):
        with pytest.raises(InvalidArgument) as caught:
            wrong()
        assert caught.value.reason == "MALFORMED_CHECKPOINT"


def test_a_checkpoint_counts_where_its_own_log_signed_it() -> None:
    log, stranger = NoteSigner(CHECKPOINT.origin, ed25519_key(1)), NoteSigner("b", ed25519_key(2))
    note = Note(BODY, (log.sign(BODY), stranger.sign(BODY)))
    keys = [verifier(log.key), verifier(stranger.key)]
    assert verify_checkpoint(note, keys) == CHECKPOINT
    # Another known log signed it, and its origin is that of the first.
    for signatures, known in ((note.signatures[1:], keys), (note.signatures, keys[1:])):
        with pytest.raises(InvalidArgument) as caught:
            verify_checkpoint(Note(BODY, signatures), known)
        assert caught.value.reason == "NOT_SIGNED"
    # A log may sign by ML-DSA-44, as tlog-checkpoint advises.
    modern = Cosigner(CHECKPOINT.origin, COSIGNERS["ML-DSA-44"].private_key)
    note = Note(BODY, (modern.sign(CHECKPOINT, TIME),))
    assert verify_checkpoint(note, [verifier(modern.key)]) == CHECKPOINT
