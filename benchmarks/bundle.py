"""Evidence: what it takes to verify a bundle, beside hashing the same bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from hashlib import sha256

from tests.support.bundles import made_bundle, policy_text
from tracechain.domain.evidence.verification import verify_bundle
from tracechain.domain.log.policy import Policy


def measure(events: int = 100, rounds: int = 20) -> dict[str, object]:
    """A bundle of so many events with one checkpoint, three witnesses and a proof for each leaf."""
    made = made_bundle(events)
    policy = Policy.parse(policy_text().encode())
    verify = _median(lambda: verify_bundle(made.data, policy), rounds)
    hashing = _median(lambda: sha256(made.data).digest(), rounds)
    return {
        "events": events,
        "bytes": len(made.data),
        "members": len(made.whole),
        "verify_ms": round(verify * 1000, 2),
        "hash_same_bytes_ms": round(hashing * 1000, 3),
        "ceiling": {"verify_ms": 1000},
    }


def _median(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
