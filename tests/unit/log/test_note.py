"""Notes: one reading, and only true signatures of known keys count."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.log.trees import DATA, ed25519_key, examples
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    Note,
    NoteSigner,
    NoteVerifier,
    Signature,
    SignatureType,
    VerifierKey,
    parse_lines,
    public_half,
    verify,
)

SIGNER = NoteSigner("log.example/a", ed25519_key(1))
OTHER = NoteSigner("log.example/b", ed25519_key(2))
TEXT = "erste Zeile\n\n— keine Unterschrift\n"
NOTE = Note(TEXT, (OTHER.sign(TEXT), SIGNER.sign(TEXT)))
FILE = NOTE.encode()
VERIFIER = NoteVerifier(SIGNER.key)


def refused(data: bytes, *verifiers: NoteVerifier) -> str:
    """The reason for which a file is refused."""
    with pytest.raises(InvalidArgument) as caught:
        verify(Note.parse(data), verifiers or (VERIFIER,))
    return caught.value.reason


def test_the_example_of_the_text() -> None:
    vkey, data = (text for text in examples("signed-note") if "example.com/foo" in text)
    key = VerifierKey.parse(vkey.strip())
    assert key.type is SignatureType.ED25519
    assert key.key_id.hex() == "530d903a"
    assert str(key) == vkey.strip()
    note = Note.parse(data.encode())
    assert note.text == "This is an example message.\n"
    assert verify(note, [NoteVerifier(key)]) == note.signatures
    assert note.encode() == data.encode()
    other = data.replace("example message", "Example message")
    assert refused(other.encode(), NoteVerifier(key)) == "FALSE_SIGNATURE"


def test_a_text_with_empty_lines() -> None:
    poem = next(text for text in examples("signed-note") if text.startswith("Ognuno"))
    note = Note.parse(poem.encode())
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]
    assert note.encode().decode() == poem
    assert refused(poem.encode()) == "NOT_SIGNED"


def test_recorded_vkeys_name_their_keys() -> None:
    """Key ids that sunlight computed."""
    found = 0
    for file in (DATA / "sunlight").rglob("*.v0.json"):
        for text in json.loads(file.read_text())["verifier_keys"]:
            assert str(VerifierKey.parse(text)) == text
            found += 1
    assert found == 3


def test_unknown_signatures_are_kept_and_count_for_nothing() -> None:
    note = Note.parse(FILE)
    assert note == NOTE
    assert verify(note, [VERIFIER]) == (SIGNER.sign(TEXT),)
    assert verify(note, [VERIFIER, NoteVerifier(OTHER.key)]) == note.signatures
    # The same name with another key, and another name with the same id, are strangers.
    namesake = NoteSigner(SIGNER.name, ed25519_key(3))
    assert refused(FILE, NoteVerifier(namesake.key)) == "NOT_SIGNED"
    renamed = Signature("other.example", SIGNER.key.key_id, b"junk")
    assert verify(note.signed(renamed), [VERIFIER]) == (SIGNER.sign(TEXT),)


def test_a_false_signature_of_a_known_key_spoils_the_note() -> None:
    false = Signature(SIGNER.name, SIGNER.key.key_id, bytes(64))
    for signatures in (
        (false,), (false, SIGNER.sign(TEXT)), (SIGNER.sign(TEXT), false),
        (SIGNER.sign(TEXT + "x\n"),), (Signature(SIGNER.name, SIGNER.key.key_id, b"x"),),
    ):  # fmt: skip
        assert refused(Note(TEXT, signatures).encode()) == "FALSE_SIGNATURE"


def test_a_key_counts_once() -> None:
    twice = Note(TEXT, (SIGNER.sign(TEXT), SIGNER.sign(TEXT)))
    assert verify(Note.parse(twice.encode()), [VERIFIER]) == (SIGNER.sign(TEXT),)
    assert twice.signed(SIGNER.sign(TEXT)).signatures == (SIGNER.sign(TEXT),)


SIGNED = st.text(max_size=60)


@given(SIGNED)
def test_any_text_that_may_be_one_comes_back(text: str) -> None:
    text += "\n"
    if any(c < " " and c != "\n" for c in text):
        with pytest.raises(InvalidArgument, match="has the character"):
            Note(text, (SIGNER.sign(text),))
        return
    note = Note(text, (SIGNER.sign(text), OTHER.sign(text)))
    assert Note.parse(note.encode()) == note
    assert len(verify(Note.parse(note.encode()), [VERIFIER, NoteVerifier(OTHER.key)])) == 2


SINGLE = Note("a note of one signature\n", (SIGNER.sign("a note of one signature\n"),)).encode()


def test_no_altered_byte_is_accepted() -> None:
    assert verify(Note.parse(SINGLE), [VERIFIER])
    for at in range(len(SINGLE)):
        for bit in range(8):
            altered = bytearray(SINGLE)
            altered[at] ^= 1 << bit
            assert refused(bytes(altered)) in ("MALFORMED_NOTE", "NOT_SIGNED", "FALSE_SIGNATURE")
    for at in range(len(SINGLE)):
        assert refused(SINGLE[:at]) in ("MALFORMED_NOTE", "NOT_SIGNED", "FALSE_SIGNATURE")


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text("— ab+/=\n\t\u00a0\u2028", max_size=40).map(str.encode))
def test_whatever_is_read_is_written_again_or_refused_with_a_reason(data: bytes) -> None:
    for file in (data, b"text\n\n" + data, FILE + data):
        try:
            note = Note.parse(file)
        except InvalidArgument as error:
            if error.reason != "MALFORMED_NOTE":
                raise
        else:
            assert note.encode() == file


LINE = str(SIGNER.sign(TEXT))[:-1]
ENCODED = LINE.split(" ")[2]


@pytest.mark.parametrize(
    "line",
    [
        "", "—", "— ", "— name", "— name ", f"- name {ENCODED}", f"—name {ENCODED}",
        f"—  {ENCODED}", f"— name  {ENCODED}", f"— name {ENCODED} ", f" — name {ENCODED}",
        f"— na+me {ENCODED}", f"— na\u00a0me {ENCODED}", f"— na\u2028me {ENCODED}",
        f"— na\u3000me {ENCODED}", f"— na\u0085me {ENCODED}", f"— {ENCODED}",
        "— name AAAA", "— name AAAAAA==", "— name AAAAAAA", "— name AAAAAAA=\u00a0",
        "— name AAAAAAB=", "— name AAAAA AA=", "— name AAAA\u0410AA=", "— name AA-_AAA=",
        "— name AAAAAAA==", "— name AAAA====", "— name =", f"— name {ENCODED}=",
        f"— name {ENCODED[:-1]}",
    ],
)  # fmt: skip
def test_no_lines_of_signatures(line: str) -> None:
    assert refused(f"text\n\n{line}\n".encode()) == "MALFORMED_NOTE"
    with pytest.raises(InvalidArgument):
        parse_lines(f"{LINE}\n{line}\n")


def test_unused_bits_of_base64_are_zero() -> None:
    """The lines differ in what no decoder has to look at."""
    raw = base64.b64encode(bytes(5)).decode()
    assert raw == "AAAAAAA="
    assert Signature.parse(f"— name {raw}").value == b"\0"
    for other in ("AAAAAAB=", "AAAAAAC=", "AAAAAAD="):
        assert base64.b64decode(other) == bytes(5)
        with pytest.raises(InvalidArgument, match="one spelling"):
            Signature.parse(f"— name {other}")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"text", b"text\n", b"text\n\n", b"text\n\n\n",
        FILE + b"\n", FILE[:-1], FILE.replace(b"\n\n", b"\n"), FILE.replace(b"\n", b"\r\n"),
        FILE + b"\t\n", FILE.replace(b"\x94 log", b"\x94 l\0og"), FILE[:-1] + b"\0\n",
        FILE.replace(b"Zeile", b"Ze\tle"), FILE.replace(b"Zeile", b"Ze\0le"),
        FILE.replace(b"Zeile", b"Ze\xffle"), FILE.replace(b"Zeile", b"Ze\xed\xa0\x80le"),
        FILE.replace(b"\xe2\x80\x94 log", b"\xe2\x80\x93 log"),
    ],
)  # fmt: skip
def test_no_notes(data: bytes) -> None:
    assert refused(data) == "MALFORMED_NOTE"


def test_limits() -> None:
    """At least 16 signatures are taken (section Format), of the largest kind too."""
    large = tuple(Signature(f"w{i}.example", b"abcd", bytes(5000)) for i in range(16))
    assert verify(Note.parse(NOTE.signed(*large).encode()), [VERIFIER])
    many = tuple(Signature(f"w{i}.example", b"abcd", b"x") for i in range(MAX_SIGNATURES - 2))
    full = NOTE.signed(*many)
    assert verify(Note.parse(full.encode()), [VERIFIER])
    with pytest.raises(InvalidArgument, match="1 to 100"):
        full.signed(Signature("one.more", b"abcd", b"x"))
    assert refused(full.encode() + f"{LINE}\n".encode()) == "MALFORMED_NOTE"
    for more, reason in ((0, "NOT_SIGNED"), (1, "MALFORMED_NOTE")):
        text = "x" * (MAX_NOTE_BYTES - len(f"\n\n{LINE}\n".encode()) + more)
        assert refused(f"{text}\n\n{LINE}\n".encode(), NoteVerifier(OTHER.key)) == reason
    with pytest.raises(InvalidArgument, match="has 101 signatures"):
        parse_lines(f"{LINE}\n" * 101)
    with pytest.raises(InvalidArgument, match="1 to 100"):
        Note(TEXT, ())
    with pytest.raises(InvalidArgument, match="newline"):
        Note("text", NOTE.signatures)


VKEY = str(SIGNER.key)
NAME, KEY_ID, MATERIAL = VKEY.split("+", 2)


def packed(type_: int, length: int) -> str:
    return base64.b64encode(bytes([type_]) + bytes(length)).decode()


@pytest.mark.parametrize(
    "vkey",
    [
        "", "+", "++", NAME, f"{NAME}+{KEY_ID}", f"{NAME}+{KEY_ID}+", f"+{KEY_ID}+{MATERIAL}",
        f"{NAME}+{KEY_ID.upper()}+{MATERIAL}", f"{NAME}+{KEY_ID[1:]}+{MATERIAL}",
        f"{NAME}+00000000+{MATERIAL}", f"other+{KEY_ID}+{MATERIAL}", f"{VKEY}=", f"{VKEY} ",
        f"{VKEY}\n", f" {VKEY}", f"a b+{KEY_ID}+{MATERIAL}",
        f"{NAME}+{KEY_ID}+{packed(0, 32)}", f"{NAME}+{KEY_ID}+{packed(5, 91)}",
        f"{NAME}+{KEY_ID}+{packed(2, 91)}",
        f"{NAME}+{KEY_ID}+{packed(1, 31)}",
        f"{NAME}+{KEY_ID}+{packed(6, 32)}",
    ],
)  # fmt: skip
def test_no_vkeys(vkey: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        VerifierKey.parse(vkey)
    assert caught.value.reason == "INVALID_VERIFIER_KEY"


@pytest.mark.parametrize("type_", SignatureType)
def test_vkeys_of_every_type(type_: SignatureType) -> None:
    """Base64 has plus signs too; the type is part of the key id."""
    seen = set()
    for seed in range(20):
        private = (
            mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32)
            if type_ is SignatureType.COSIGNATURE_ML_DSA_44
            else ed25519_key(seed)
        )
        key = public_half("log.example/a", type_, private)
        assert VerifierKey.parse(str(key)) == key
        named = b"log.example/a\n" + bytes([type_]) + key.public_key
        assert key.key_id == hashlib.sha256(named).digest()[:4]
        assert str(key).startswith(f"log.example/a+{key.key_id.hex()}+")
        seen.add(str(key).count("+"))
    assert max(seen) > 2
    # Section Signature types, and the key ids of tlog-cosignature.
    assert [int(one) for one in SignatureType] == [0x01, 0x04, 0x06]
    assert len({VerifierKey(NAME, t, SIGNER.key.public_key).key_id
                for t in list(SignatureType)[:2]}) == 2  # fmt: skip


def test_a_key_of_another_algorithm_is_none_of_the_type() -> None:
    with pytest.raises(InvalidArgument, match="length of its type"):
        public_half("a", SignatureType.COSIGNATURE_ML_DSA_44, ed25519_key(1))
    for name in ("", "a b", "a+b", "a\nb", "a\x00b", "a\ud800b"):
        with pytest.raises(InvalidArgument, match="a space, a plus") as caught:
            NoteSigner(name, ed25519_key(1)).sign(TEXT)
        assert caught.value.reason == "INVALID_VERIFIER_KEY"
