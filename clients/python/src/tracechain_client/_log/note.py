# Copied from src/tracechain/domain/log/note.py by `./dev generate`. Do not edit.
"""Signed notes: a text, and lines below it that say who signed it.

Promises that a note is read in one way only, that a signature counts only where a key that the
reader brought made it, and that a false signature of such a key spoils the note. Signatures of
strangers are kept, so that they can be handed on, and count for nothing. Were one believed, anybody
could speak for the log.

C2SP signed-note, sections Format, Signatures and Verifier keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.canonical import base64, octets

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import mldsa

MAX_NOTE_BYTES = 1_000_000
# The text asks for 16 at least; a crowded witness network stays far below this.
MAX_SIGNATURES = 100
_KEY_ID_BYTES = 4
_DASH = "— "
# Controls, and half pairs, which no UTF-8 has.
_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_NO_NAME = re.compile("[\\s+\x00-\x1f\ud800-\udfff]")


class SignatureType(IntEnum):
    """What a signature is over, and by what (section Signature types). Others are no keys here:
    a key of a type that cannot be checked would be a promise to check it."""

    ED25519 = 0x01
    COSIGNATURE_ED25519 = 0x04
    COSIGNATURE_ML_DSA_44 = 0x06


_PUBLIC_KEY_BYTES = {
    SignatureType.ED25519: 32,
    SignatureType.COSIGNATURE_ED25519: 32,
    SignatureType.COSIGNATURE_ML_DSA_44: 1312,
}


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and its type: a vkey (section Verifier keys).

    Raises InvalidArgument INVALID_VERIFIER_KEY when made: the name or the key's length is wrong.
    """

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name, "vkey.name", "INVALID_VERIFIER_KEY")
        if len(self.public_key) != _PUBLIC_KEY_BYTES[self.type]:
            raise InvalidArgument.of(
                "vkey.public_key", "INVALID_VERIFIER_KEY", "has not the length of its type"
            )

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Reads `name+hex+base64`. Raises InvalidArgument INVALID_VERIFIER_KEY: its form is
        another, its type unknown, or its key id not that of the key."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        material = octets(encoded, "vkey", "INVALID_VERIFIER_KEY")
        try:
            type_ = SignatureType(material[0])
        except (IndexError, ValueError):
            raise InvalidArgument.of(
                "vkey.type", "INVALID_VERIFIER_KEY",
                "is none of 01 (Ed25519), 04 and 06 (cosignatures by Ed25519 and ML-DSA-44)",
            ) from None  # fmt: skip
        key = cls(name, type_, material[1:])
        if key_id != key.key_id.hex():
            raise InvalidArgument.of(
                "vkey.key_id", "INVALID_VERIFIER_KEY", f"is not {key.key_id.hex()}, the key's"
            )
        return key

    @property
    def key_id(self) -> bytes:
        """The four bytes by which signatures name the key, together with its name."""
        return sha256(
            self.name.encode() + b"\n" + bytes((self.type,)) + self.public_key
        ).digest()[:_KEY_ID_BYTES]  # fmt: skip

    def __str__(self) -> str:
        material = base64(bytes((self.type,)) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{material}"

    def made(self, signature: bytes, message: bytes) -> bool:
        """Whether the key's algorithm made this signature of exactly this message.

        Raises InvalidArgument UNSUPPORTED_ALGORITHM: this build of `cryptography` has no ML-DSA.
        """
        try:
            if self.type is SignatureType.COSIGNATURE_ML_DSA_44:
                from cryptography.hazmat.primitives.asymmetric import mldsa

                mldsa.MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            else:
                ed25519.Ed25519PublicKey.from_public_bytes(self.public_key).verify(
                    signature, message
                )
        except (InvalidSignature, ValueError):
            return False
        except (ImportError, UnsupportedAlgorithm):
            raise InvalidArgument.of(
                "vkey.type", "UNSUPPORTED_ALGORITHM", "ML-DSA-44 is not in this `cryptography`"
            ) from None
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose it says it is, and the bytes. Nothing here is proved.

    Raises InvalidArgument MALFORMED_NOTE when made: the name or the bytes cannot be in a line.
    """

    name: str
    key_id: bytes
    value: bytes

    def __post_init__(self) -> None:
        _check_name(self.name, "signature.name", "MALFORMED_NOTE")
        if len(self.key_id) != _KEY_ID_BYTES or not self.value:
            raise _malformed("signature", "has not a key id of four bytes and something after it")

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Reads a line without its newline. Raises InvalidArgument MALFORMED_NOTE."""
        name, blank, encoded = line.removeprefix(_DASH).partition(" ")
        if not (line.startswith(_DASH) and blank):
            raise _malformed("signature", "is not of the form: em dash, name, base64")
        material = octets(encoded, "signature", "MALFORMED_NOTE")
        return cls(name, material[:_KEY_ID_BYTES], material[_KEY_ID_BYTES:])

    def __str__(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {base64(self.key_id + self.value)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, as they stand there; `verify` tells which of them are true.

    Raises InvalidArgument MALFORMED_NOTE when made: the text cannot be a note's, or there are no
    signatures, or too many.
    """

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        if not self.text.endswith("\n"):
            raise _malformed("note", "is a text that does not end in a newline")
        if found := _NO_TEXT.search(self.text):
            raise _malformed("note", f"has the character {found[0]!r}")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise _malformed("note", f"has not 1 to {MAX_SIGNATURES} signatures")

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Reads a note (section Format). Raises InvalidArgument MALFORMED_NOTE."""
        if len(data) > MAX_NOTE_BYTES:
            raise _malformed("note", f"has {len(data)} bytes, at most {MAX_NOTE_BYTES} are taken")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise _malformed("note", f"is no UTF-8 at byte {error.start}") from None
        text, found, lines = whole.rpartition("\n\n")
        if not found:
            raise _malformed("note", "has no empty line above its signatures")
        return cls(text + "\n", parse_lines(lines))

    def encode(self) -> bytes:
        """The note as a file: what `parse` reads."""
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()

    def signed(self, *more: Signature) -> Note:
        """The same note with more signatures, each once. Raises InvalidArgument MALFORMED_NOTE:
        they are too many."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))


def parse_lines(lines: str) -> tuple[Signature, ...]:
    """Reads signature lines, each with its newline. Raises InvalidArgument MALFORMED_NOTE."""
    if not lines.endswith("\n"):
        raise _malformed("note", "does not end in a newline")
    if (count := lines.count("\n")) > MAX_SIGNATURES:
        raise _malformed("note", f"has {count} signatures, at most {MAX_SIGNATURES} are taken")
    return tuple(Signature.parse(line) for line in lines[:-1].split("\n"))


class Verifier(Protocol):
    """Somebody's key, and how it signs notes."""

    @property
    def key(self) -> VerifierKey: ...

    def verifies(self, text: str, value: bytes) -> bool:
        """Whether the key made this signature, without its key id, of a note with this text."""
        ...


@dataclass(frozen=True, slots=True)
class NoteVerifier:
    """Ed25519 signatures over the text itself (section Ed25519 signatures)."""

    key: VerifierKey

    def verifies(self, text: str, value: bytes) -> bool:
        return self.key.made(value, text.encode())


def verify(note: Note, verifiers: Iterable[Verifier]) -> tuple[Signature, ...]:
    """The signatures that these keys made, in the note's order; of one key the first.

    Raises InvalidArgument FALSE_SIGNATURE: a signature names one of the keys, which did not make
    it (section Signatures: the whole note is rejected); NOT_SIGNED: none of the keys signed it.
    """
    known = {(v.key.name, v.key.key_id): v for v in verifiers}
    true: dict[tuple[str, bytes], Signature] = {}
    for signature in note.signatures:
        named = (signature.name, signature.key_id)
        if (verifier := known.get(named)) is None:
            continue
        if not verifier.verifies(note.text, signature.value):
            raise InvalidArgument.of(
                "note", "FALSE_SIGNATURE", f"the signature by {signature.name} is false"
            )
        true.setdefault(named, signature)
    if not true:
        raise InvalidArgument.of("note", "NOT_SIGNED", "is signed by none of the known keys")
    return tuple(true.values())


@dataclass(frozen=True, slots=True)
class NoteSigner:
    """Signs texts of notes by Ed25519 (section Ed25519 signatures)."""

    name: str
    private_key: ed25519.Ed25519PrivateKey

    @property
    def key(self) -> VerifierKey:
        """The key that others verify with."""
        return public_half(self.name, SignatureType.ED25519, self.private_key)

    def sign(self, text: str) -> Signature:
        """The signature line for a text."""
        key = self.key
        return Signature(key.name, key.key_id, self.private_key.sign(text.encode()))


def public_half(
    name: str,
    type_: SignatureType,
    private_key: ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey,
) -> VerifierKey:
    """The key that verifies what a private key signs. Raises InvalidArgument INVALID_VERIFIER_KEY:
    the name cannot be a key's, or the private key is of another algorithm than the type."""
    return VerifierKey(name, type_, private_key.public_key().public_bytes_raw())


def _check_name(name: str, field: str, reason: str) -> None:
    """Section Format: not empty, no Unicode spaces, no plus; and what no note may have."""
    if not name or _NO_NAME.search(name):
        raise InvalidArgument.of(field, reason, "is empty, or has a space, a plus or a control")


def _malformed(field: str, why: str) -> InvalidArgument:
    return InvalidArgument.of(field, "MALFORMED_NOTE", why)
