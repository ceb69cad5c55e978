"""Ten times what the service can carry, and what becomes of those it takes.

The peak is measured closed loop, and latency at peak as well: with as many calls under way as the
service admits at once. Then calls are due at ten times that rate, by chance, over many
connections, and a caller that finds no free place on its connection within a second gives up.
Latency of accepted calls counts from the moment at which the call went out (`p99_ms`) and, apart,
from the moment at which it was due (`p99_from_due_ms`, which has the callers' own queue in it).
Memory is that of the server's processes, read twice a second. Afterwards a light load goes on
until p99 within half a second is no more than twice what it was before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from benchmarks import processes
from benchmarks.backends import BACKENDS, Backend
from benchmarks.load import Generators, Result, arrivals, drive, quantile
from benchmarks.stand import Stand, stand
from benchmarks.verify import VERIFY, requests
from tracechain.v1 import verification_pb2 as pb

TIMES = 10
SECONDS = 15.0
CONNECTIONS = 16
_PATIENCE = 1.0
_LIGHT_SHARE = 0.2
_SLICE = 0.5
_MIB = 1 << 20


def measure(
    seconds: float = SECONDS,
    calls: int = 8000,
    times: int = TIMES,
    backends: Sequence[Backend] = BACKENDS,
) -> dict[str, object]:
    """Peak, overload and recovery on each backend."""
    return {backend.name: _on(backend, seconds, calls, times) for backend in backends}


def _on(backend: Backend, seconds: float, calls: int, times: int) -> dict[str, object]:
    with stand(backend) as made, Generators(os.cpu_count() or 1) as generators:
        bodies = [r.SerializeToString() for r in requests(made, "OVERLOAD", calls)]
        drive(made.port, VERIFY, bodies[:2000], server=made.pids)
        peak = drive(made.port, VERIFY, bodies, server=made.pids)
        light = arrivals(peak.rate * _LIGHT_SHARE, min(3.0, 2 * seconds))
        calm = drive(made.port, VERIFY, _cycle(bodies, len(light)), plan=light, server=made.pids)
        plan = arrivals(peak.rate * times, seconds)
        with _Memory(made) as memory:
            load = drive(
                made.port,
                VERIFY,
                _cycle(bodies, len(plan)),
                plan=plan,
                generators=generators,
                server=made.pids,
                connections=CONNECTIONS // generators.count,
                patience=_PATIENCE,
            )
        light = arrivals(peak.rate * _LIGHT_SHARE, min(5.0, 4 * seconds))
        after = drive(made.port, VERIFY, _cycle(bodies, len(light)), plan=light, server=made.pids)
    for answer in load.answers[:: max(1, len(load.answers) // 1000)]:
        if pb.Verdict.FromString(answer).issuance != pb.ISSUANCE_ISSUED:
            raise RuntimeError("an accepted call was answered wrongly")
    tail = memory.read[len(memory.read) // 3 :]
    told = sum(n for (code, _, retry), n in load.refused.items() if code == 8 and retry)
    return {
        "peak_calls_per_second": round(peak.rate),
        "offered_calls_per_second": round(len(plan) / seconds),
        "accepted_calls_per_second": round(load.rate),
        "accepted_to_peak": round(load.rate / peak.rate, 2),
        "refused": load.failed,
        "refused_with_retry_info": told,
        "refused_by_reason": {f"{c}/{r}": n for (c, r, _), n in load.refused.items()},
        "refusal_p50_ms": _ms(load.refusal_latencies, 0.5),
        "gave_up_waiting_for_a_place": load.gave_up,
        "p50_ms": {"peak": _ms(peak.latencies, 0.5), "overload": _ms(load.served, 0.5)},
        "p99_ms": {"peak": _ms(peak.latencies, 0.99), "overload": _ms(load.served, 0.99)},
        "p99_from_due_ms": _ms(load.latencies, 0.99),
        "resident_mib": {
            "before": round(memory.read[0] / _MIB, 1),
            "after_a_third": round(tail[0] / _MIB, 1),
            "most": round(max(memory.read) / _MIB, 1),
            "end": round(tail[-1] / _MIB, 1),
        },
        "recovered_after_seconds": _recovery(calm, after),
        "sent_again": load.sent_again,
        "cpu_share": {
            "server": round(load.server_cpu / load.seconds, 2),
            "generators": round(load.generator_cpu / load.seconds, 2),
        },
        "client_saturated": load.client_saturated,
    }


def _cycle(bodies: list[bytes], count: int) -> list[bytes]:
    return (bodies * (count // len(bodies) + 1))[:count]


def _ms(values: list[float], share: float) -> float | None:
    return round(quantile(values, share) * 1000, 1) if values else None


def _recovery(calm: Result, after: Result) -> float | None:
    """Seconds after the load's end from which on each slice's p99 is as it was; None: never."""
    normal = max(2 * calm.percentile(0.99), 0.02)
    slices: dict[int, list[float]] = {}
    for ended, latency in zip(after.ended, after.latencies, strict=True):
        slices.setdefault(int(ended / _SLICE), []).append(latency)
    good = None
    for number in sorted(slices):
        if quantile(slices[number], 0.99) > normal:
            good = None
        elif good is None:
            good = number * _SLICE
    return good


class _Memory:
    """Reads the server's resident memory while it is entered."""

    def __init__(self, made: Stand) -> None:
        self._pids = made.pids
        self._over = threading.Event()
        self.read: list[int] = [processes.resident_bytes(self._pids)]
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.read.append(processes.resident_bytes(self._pids))
