"""Reads a code (design section 2) and checks its signature, with no help from the service.

Promises to take exactly the texts that the service takes: one canonical spelling, and of the two
signatures that ECDSA allows only the low one. Written apart from the service's own parser; a test
holds the two against each other.

`https://{resolver}/01/{gtin14}/21/{serial}?91={token}`; the token is base64url of a header byte,
a key id (2 bytes) and a raw signature (64 bytes), or, unsigned, of a key id and 10 bytes.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

ES256, ED25519 = "ES256", "ED25519"
ALGORITHMS = (ES256, ED25519)

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_REST = re.compile(
    r"([0-9]{14})/21/([0-9A-HJKMNP-TV-Z]{13})\?91=([A-Za-z0-9_-]{90}|[A-Za-z0-9_-]{16})"
)
_HEADERS = {0x11: ES256, 0x12: ED25519}  # version 1 in the high half, the algorithm in the low
_SIGNED_BYTES = 67
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DOMAIN_TAG = b"tracechain/code/v1\x00"


class Malformed(ValueError):
    """Not the canonical spelling of any code; the text says why."""


@dataclass(frozen=True, slots=True)
class ReadCode:
    """A well-formed code, nothing of it proved. `algorithm` is None where it is not signed."""

    gtin: str
    serial: str
    key_id: int
    algorithm: str | None
    proof: bytes


def read_code(text: str, resolver: str) -> ReadCode:
    """The code that `text` spells, or Malformed."""
    start = f"https://{resolver}/01/"
    if not text.startswith(start):
        raise Malformed(f"a code of this service begins with {start}")
    match = _REST.fullmatch(text, len(start))
    if match is None:
        raise Malformed("a code has the form /01/{gtin14}/21/{serial}?91={token}")
    gtin, serial, token = match.groups()
    if _check_digit(gtin[:13]) != gtin[13]:
        raise Malformed("the check digit of the GTIN is wrong")
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != token.encode():
        raise Malformed("the token is no canonical base64url")
    if len(raw) != _SIGNED_BYTES:
        return ReadCode(gtin, serial, int.from_bytes(raw[:2]), None, raw[2:])
    if raw[0] not in _HEADERS:
        raise Malformed("the token names an unknown version or algorithm")
    return ReadCode(gtin, serial, int.from_bytes(raw[1:3]), _HEADERS[raw[0]], raw[3:])


def _check_digit(digits: str) -> str:
    """GS1 General Specifications 7.9.1; for thirteen digits the weights begin with three."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(digits))
    return str(-total % 10)


def load_public_key(algorithm: str, der: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo; ValueError where it is none for `algorithm`."""
    try:
        key = serialization.load_der_public_key(der)
    except Exception:  # the loader's own kinds are many; to a caller they are one
        raise ValueError("no public key in DER") from None
    if algorithm == ES256 and isinstance(key, ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1):
            return key
    elif algorithm == ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise ValueError(f"this is no public key for {algorithm}")


def is_signed_by(code: ReadCode, key: PublicKey) -> bool:
    """Whether `key`, loaded for the algorithm that the code names, signed it."""
    payload = _DOMAIN_TAG + f"{code.gtin}\x00{code.serial}".encode("ascii")
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(code.proof, payload)
            return True
        r, s = int.from_bytes(code.proof[:32]), int.from_bytes(code.proof[32:])
        if not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
            return False
        key.verify(encode_dss_signature(r, s), payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
