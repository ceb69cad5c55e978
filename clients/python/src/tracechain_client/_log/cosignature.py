# Copied from src/tracechain/domain/log/cosignature.py by `./dev generate`. Do not edit.
"""Cosignatures: a witness says that a checkpoint continues all that it saw of that log before.

Promises that the time which a cosignature tells is the one that was signed, and that a signature
over one log, size, root or witness is none over another. Were any of these left out of what is
signed, a witness could be quoted for a tree that it never compared.

C2SP tlog-cosignature: cosignature/v1 by Ed25519 (type 04), subtree/v1 by ML-DSA-44 (type 06), of
whole trees only. FIPS 204, with an empty context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ed25519

from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.checkpoint import Checkpoint
from tracechain_client._log.note import (
    NoteVerifier,
    Signature,
    SignatureType,
    Verifier,
    VerifierKey,
    public_half,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import mldsa

MAX_TIMESTAMP = (1 << 63) - 1
_TIME_BYTES = 8
_SIGNATURE_BYTES = {
    SignatureType.COSIGNATURE_ED25519: 64,
    SignatureType.COSIGNATURE_ML_DSA_44: 2420,
}


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """Timestamped signatures over a note whose text is a checkpoint (section Format)."""

    key: VerifierKey

    def verifies(self, text: str, value: bytes) -> bool:
        if len(value) != _TIME_BYTES + _SIGNATURE_BYTES[self.key.type]:
            return False
        timestamp = _time(value)
        if timestamp > MAX_TIMESTAMP:
            return False
        try:
            message = signed_message(self.key, Checkpoint.parse(text), timestamp)
        except InvalidArgument:
            return False
        return self.key.made(value[_TIME_BYTES:], message)


def verifier(key: VerifierKey) -> Verifier:
    """How signatures of a key of any type are verified."""
    return NoteVerifier(key) if key.type is SignatureType.ED25519 else CosignatureVerifier(key)


def timestamp_of(signature: Signature) -> int:
    """The POSIX seconds in a cosignature that was verified. It is the witness's word: as of then,
    it knew no larger tree of that log; 0 says nothing of the kind."""
    return _time(signature.value)


def signed_message(key: VerifierKey, checkpoint: Checkpoint, timestamp: int) -> bytes:
    """What a cosignature by this key is over (sections Ed25519 signed message, ML-DSA-44 signed
    message).

    Raises InvalidArgument MALFORMED_CHECKPOINT: a name or an origin of more than 255 bytes has no
    place in the message for ML-DSA-44.
    """
    if key.type is SignatureType.COSIGNATURE_ED25519:
        return f"cosignature/v1\ntime {timestamp}\n{checkpoint.text}".encode()
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _vector(key.name),
            timestamp.to_bytes(8),
            _vector(checkpoint.origin),
            (0).to_bytes(8),
            checkpoint.size.to_bytes(8),
            checkpoint.root,
        )
    )


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A witness's name and private key. Ed25519 and its message do not name the witness: no two
    witnesses may share such a key (section Ed25519 signed message)."""

    name: str
    private_key: ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey

    @property
    def key(self) -> VerifierKey:
        """The key that others verify with."""
        is_ed25519 = isinstance(self.private_key, ed25519.Ed25519PrivateKey)
        return public_half(
            self.name,
            SignatureType.COSIGNATURE_ED25519
            if is_ed25519
            else SignatureType.COSIGNATURE_ML_DSA_44,
            self.private_key,
        )

    def sign(self, checkpoint: Checkpoint, timestamp: int) -> Signature:
        """The signature line for a checkpoint at a time in POSIX seconds.

        Raises InvalidArgument INVALID_TIME: it is none; MALFORMED_CHECKPOINT: as `signed_message`.
        """
        if not 0 < timestamp <= MAX_TIMESTAMP:
            raise InvalidArgument.of("timestamp", "INVALID_TIME", "is no time of a cosignature")
        key = self.key
        value = self.private_key.sign(signed_message(key, checkpoint, timestamp))
        return Signature(key.name, key.key_id, timestamp.to_bytes(_TIME_BYTES) + value)


def _time(value: bytes) -> int:
    return int.from_bytes(value[:_TIME_BYTES])


def _vector(text: str) -> bytes:
    """opaque<1..2^8-1> (RFC 8446 section 3.4); neither a name nor an origin is empty."""
    value = text.encode()
    if len(value) > 0xFF:
        raise InvalidArgument.of(
            "checkpoint.origin", "MALFORMED_CHECKPOINT", "has no room in a cosignature"
        )
    return len(value).to_bytes(1) + value
