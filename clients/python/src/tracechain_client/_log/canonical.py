# Copied from src/tracechain/domain/log/canonical.py by `./dev generate`. Do not edit.
"""Numbers, hashes and bytes as the C2SP texts spell them: each in one way only.

Promises that two texts which read as the same value are the same text. Were a second spelling
taken, a file could be altered without a check that notices.
"""

from __future__ import annotations

import binascii
import re

from tracechain_client._log.errors import InvalidArgument
from tracechain_client._log.merkle import HASH_BYTES, MAX_SIZE

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def decimal(text: str, field: str, reason: str) -> int:
    """A size or an index: ASCII decimal, no leading zeroes, at most MAX_SIZE (tlog-checkpoint,
    Note text). Raises InvalidArgument with the reason given."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise InvalidArgument.of(field, reason, f"is no decimal from 0 to {MAX_SIZE}")
    return int(text)


def octets(text: str, field: str, reason: str) -> bytes:
    """Bytes in base64 (RFC 4648 section 4), padded, with the unused bits zero (section 3.5).
    Raises InvalidArgument with the reason given."""
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise InvalidArgument.of(field, reason, "is no base64") from None
    if base64(value) != text:
        raise InvalidArgument.of(field, reason, "is base64 in another than its one spelling")
    return value


def hash32(text: str, field: str, reason: str) -> bytes:
    """A SHA-256 hash in base64. Raises InvalidArgument with the reason given."""
    value = octets(text, field, reason)
    if len(value) != HASH_BYTES:
        raise InvalidArgument.of(
            field, reason, f"is a hash of {len(value)} bytes, not {HASH_BYTES}"
        )
    return value


def base64(value: bytes) -> str:
    """The one spelling that `octets` reads."""
    return binascii.b2a_base64(value, newline=False).decode()
