"""The number under which everything about one kind of goods is kept together.

A registered batch has its batch number as key. Everything else (foreign units and lots,
containers, documents, events) has a key derived from its canonical identifier. The two never
meet: numbers are below 2^33, derived keys are at least 2^62. If two identifiers got the same
key they would share a shard and, being units 0 of it, a story: 61 bits of SHA-256 make that a
matter of billions of foreign things.
"""

from __future__ import annotations

import hashlib

from tracechain.domain.code import MAX_BATCH_NUMBER, MAX_BATCH_SIZE

# A whole batch is the range of all the indices that a serial can hold.
WHOLE_BATCH = MAX_BATCH_SIZE
_DERIVED = 1 << 62
_MASK = _DERIVED - 1 >> 1


def derived(identifier: str) -> int:
    """Key of a canonical identifier: 2^62 plus 61 bits of its SHA-256. Fits a signed bigint."""
    digest = hashlib.sha256(b"tracechain/batch-key/v1\x00" + identifier.encode()).digest()
    return _DERIVED | int.from_bytes(digest[:8], "big") & _MASK


def event_key(event_id: bytes) -> int:
    """The key that an event lies under; it is one of no goods."""
    return derived("event:" + event_id.hex())


def is_registered(batch_key: int) -> bool:
    """True for the key of a batch that is registered here."""
    return 0 < batch_key <= MAX_BATCH_NUMBER
