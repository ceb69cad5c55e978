"""Keys of issuers as they are kept: the public half plain, the secret half wrapped.

A key id selects signing key, serial key and PIN key together, so that all rotate at once, and it
binds the algorithm: what a code says about its own algorithm is never believed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One key. `public_key` is SubjectPublicKeyInfo in DER; `wrapped_secret` is opaque here."""

    key_id: int
    issuer_gln: str
    algorithm: Algorithm
    public_key: bytes
    wrapped_secret: bytes
    request_id: str
    create_time: int
    revoke_time: int | None = None
    revoke_reason: str = ""


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
