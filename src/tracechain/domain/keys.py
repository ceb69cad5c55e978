"""Keys of issuers as they are kept: the public half plain, the secret half wrapped.

A key id selects signing key, serial key and PIN key together, so that all rotate at once, and it
binds the algorithm: what a code says about its own algorithm is never believed. A key is made,
activated, retired and perhaps revoked; it never goes back, so that a change told twice or out of
order is harmless. If this module lies, codes of a leaked key pass, or good ones are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tracechain.domain.code import Algorithm, CodeKey

MAX_KEY_ID = 0xFFFF
_ROOT_BYTES = 32


class KeyState(StrEnum):
    """Where a key is in its life. Only ACTIVE signs; RETIRED verifies as before."""

    PENDING = "pending"
    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


class JudgeEarlier(StrEnum):
    """What is thought of codes that a revoked key signed before its revocation; in the order of
    their strictness."""

    ACCEPT = "accept"
    CAUTION = "caution"
    REFUSE = "refuse"


class KeyStanding(StrEnum):
    """What a key's revocation means for one code. LATE: issued when the key was revoked."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"
    LATE = "late"


_STANDING = {
    JudgeEarlier.ACCEPT: KeyStanding.GOOD,
    JudgeEarlier.CAUTION: KeyStanding.DOUBTFUL,
    JudgeEarlier.REFUSE: KeyStanding.REFUSED,
}


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One key. `public_key` is SubjectPublicKeyInfo in DER; `wrapped_secret` is opaque here.

    `certificate` is the platform's on the public half (X.509, DER). Times are microseconds since
    1970 UTC; those of activation and retirement may lie ahead.
    """

    key_id: int
    issuer_gln: str
    algorithm: Algorithm
    public_key: bytes
    wrapped_secret: bytes
    request_id: str
    create_time: int
    revoke_time: int | None = None
    revoke_reason: str = ""
    activate_time: int | None = None
    retire_time: int | None = None
    judge_earlier: JudgeEarlier = JudgeEarlier.CAUTION
    certificate: bytes = b""

    def state(self, now: int) -> KeyState:
        """Where the key is in its life at this moment."""
        if self.revoke_time is not None:
            return KeyState.REVOKED
        if self.retire_time is not None and self.retire_time <= now:
            return KeyState.RETIRED
        if self.activate_time is not None and self.activate_time <= now:
            return KeyState.ACTIVE
        return KeyState.PENDING

    def standing(self, issue_time: int) -> KeyStanding:
        """What is thought of a code of this key that was issued at this moment. The moment of
        revocation itself belongs to what comes after."""
        if self.revoke_time is None:
            return KeyStanding.GOOD
        if issue_time >= self.revoke_time:
            return KeyStanding.LATE
        return _STANDING[self.judge_earlier]


def generate(
    algorithm: Algorithm, random_bytes: Callable[[int], bytes] = os.urandom
) -> tuple[bytes, bytes]:
    """A new key as (public key DER, secret). The secret is 32 random bytes, from which serial,
    MAC and PIN keys are derived, followed by the signing key as PKCS #8 DER."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    if algorithm is Algorithm.ED25519:
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return public, random_bytes(_ROOT_BYTES) + der


def code_key(key: IssuerKey, secret: bytes) -> CodeKey:
    """The working form of a key from its unwrapped secret."""
    return CodeKey(key.key_id, key.algorithm, secret[_ROOT_BYTES:], secret[:_ROOT_BYTES])
