"""The transparency log: what it costs to keep it, and what reading it costs."""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import capture, log_proof
from benchmarks.stand import Stand, stand
from tracechain.adapters.sqlite import open_store
from tracechain.app.log.proofs import proof_of
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.merkle import (
    consistency,
    inclusion,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from tracechain.domain.scan import ScanRules

_PER_CALL = 200


def measure(events: int = 20_000, rounds: int = 5, logged: int = 10_000_000) -> dict[str, object]:
    """Capture with the log and without it, in turns; leaves a second, with somebody verifying;
    the proof of one of so many leaves."""
    without, kept, leaves, verified = [], [], [], 0
    for _ in range(rounds):
        with stand(log=False) as made:
            without.append(_captured(made, events))
        with stand() as made, _Verifier(made.folder / "store.sqlite3") as verifier:
            started = time.perf_counter()
            kept.append(_captured(made, events))
            while verifier.head.size < events:
                if time.perf_counter() - started > 60:
                    raise RuntimeError("the log does not keep up")
                time.sleep(0.01)
            leaves.append(verifier.head.size / (time.perf_counter() - started))
            verified += verifier.proofs
    return {
        "capture_with_log_to_without": round(
            statistics.median(a / b for a, b in zip(kept, without, strict=True)), 3
        ),
        "rounds": [round(a / b, 3) for a, b in zip(kept, without, strict=True)],
        "events_per_second_with_log": round(statistics.median(kept)),
        "leaves_per_second": round(statistics.median(leaves)),
        "proofs_verified_meanwhile": verified,
        "events": events,
        "proof": log_proof.measure(logged, min(500, logged)),
        "floor": {"capture_with_log_to_without": 0.8, "leaves_per_second": 2000},
    }


def _captured(made: Stand, events: int) -> float:
    """Events a second, each durable before its answer."""
    batch = made.batch("LOG", events)
    said = [capture.inspected(i, code) for i, code in enumerate(made.codes(batch.name, events, 2))]
    started = time.perf_counter()
    capture.send(made, "issuer", [said[i : i + _PER_CALL] for i in range(0, events, _PER_CALL)])
    return events / (time.perf_counter() - started)


@dataclass
class _Verifier:
    """Looks at the log all the while, as an auditor does: the head that it sees continues the one
    before, and a leaf that it picks is in it."""

    path: Path
    head: Head = field(default_factory=Head)
    proofs: int = 0
    _ends: threading.Event = field(default_factory=threading.Event)
    _failed: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> _Verifier:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._failed:
            raise self._failed[0]

    def _run(self) -> None:
        try:
            asyncio.run(self._verify())
        except BaseException as error:
            self._failed.append(error)

    async def _verify(self) -> None:
        store = await open_store(self.path, ScanRules())
        dice = random.Random(1)
        try:
            while not self._ends.is_set():
                head = await store.log_head()
                if head.size > self.head.size:
                    if self.head.size:
                        path = consistency(self.head.size, head.size)
                        proof = await proof_of(store, path, head.size)
                        verify_consistency(
                            self.head.size, head.size, proof, self.head.root, head.root
                        )
                    index = dice.randrange(head.size)
                    (leaf,) = await store.read_leaves(index, index + 1)
                    proof = await proof_of(store, inclusion(index, head.size), head.size)
                    verify_inclusion(leaf_hash(leaf.entry), index, proof, head.root, head.size)
                    self.proofs += 2
                    self.head = head
                await asyncio.sleep(0.05)
        finally:
            await store.close()
