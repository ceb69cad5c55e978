"""VerifyCode with its durable scan against an RPC with the same messages that does nothing.

Everything is a ratio of things taken in turn, round after round, in one run:

- calls a second of first and of repeated scans to those of the do-nothing RPC, closed loop;
- codes a second in BatchVerifyCodes calls of 500 to single calls;
- p99 latency at half of the measured peak to that of the do-nothing RPC at the same rate, open
  loop: latency counts from the time at which a call was due;
- two processes to one, twice. `raw` is calls a second of two workers to those of one that has the
  whole machine: a worker's own store and arithmetic are processes too, so one alone keeps more
  than a core busy. `capacity` is two workers on two cores to one worker on one: each is held to a
  core with all that it started. Generator and servers share these cores, which is accounted for:
  what two could do is their calls per second of their own CPU time, times the cores.
"""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks import processes
from benchmarks.backends import BACKENDS, Backend
from benchmarks.load import Result, arrivals, drive
from benchmarks.server import NOTHING
from benchmarks.stand import Stand, stand
from tracechain.v1 import verification_pb2 as pb

VERIFY = "/tracechain.v1.VerificationService/VerifyCode"
BATCH_VERIFY = "/tracechain.v1.VerificationService/BatchVerifyCodes"
CALLS = 4000
ROUNDS = 7
PER_BATCH = 500
OPEN_SECONDS = 3.0
FLOORS = {
    "sqlite": {"first_scan_to_nothing": 0.60, "repeat_scan_to_nothing": 0.80},
    "postgresql_redis": {"first_scan_to_nothing": 0.50, "repeat_scan_to_nothing": 0.70},
}
_COMMON_FLOORS = {"batch_to_single_codes": 6.0, "two_processes_to_one_capacity": 1.7}
_CEILINGS = {"p99_at_half_of_peak_to_nothing": 4.0}

_Findings = dict[str, object]


def measure(
    calls: int = CALLS,
    rounds: int = ROUNDS,
    open_seconds: float = OPEN_SECONDS,
    backends: Sequence[Backend] = BACKENDS,
) -> _Findings:
    """All of it on each backend."""
    return {
        backend.name: _on(backend, calls, rounds, open_seconds) | _scaling(backend, calls, rounds)
        for backend in backends
    }


def _on(backend: Backend, calls: int, rounds: int, open_seconds: float) -> _Findings:
    seen: list[Result] = []
    with stand(backend) as made:
        found, peak = _closed(made, calls, rounds, seen)
        found |= _batches(made, calls, rounds, peak, seen)
        found |= _half_peak(made, peak["first"], rounds, open_seconds, seen)
    return found | {
        "client_saturated": any(result.client_saturated for result in seen),
        "floor": FLOORS.get(backend.name, {}) | _COMMON_FLOORS,
        "ceiling": _CEILINGS,
    }


def requests(made: Stand, lot: str, count: int) -> Iterator[pb.VerifyCodeRequest]:
    """Scans of codes that were never scanned."""
    batch = made.batch(lot, count)
    for i, code in enumerate(made.codes(batch.name, count)):
        context = pb.ScanContext(device_id=f"device-{i % 977}", region="210102")
        yield pb.VerifyCodeRequest(code=code, context=context)


def _closed(
    made: Stand, calls: int, rounds: int, seen: list[Result]
) -> tuple[_Findings, dict[str, float]]:
    bodies = [r.SerializeToString() for r in requests(made, "VERIFY", calls * (rounds + 1))]
    results: dict[str, list[Result]] = defaultdict(list)
    for number in range(rounds + 1):
        part = bodies[number * calls : (number + 1) * calls]
        taken = {
            "nothing": drive(made.port, NOTHING, part, server=made.pids, beside=made.beside),
            "first": drive(made.port, VERIFY, part, server=made.pids, beside=made.beside),
            "again": drive(made.port, VERIFY, part, server=made.pids, beside=made.beside),
        }
        _check(taken["first"], calls, pb.HISTORY_FIRST_SCAN)
        _check(taken["again"], calls, pb.HISTORY_SAME_DEVICE)
        if number == 0:
            continue  # a round to warm up
        for name, result in taken.items():
            results[name].append(result)
    for some in results.values():
        seen += some
    rates = {name: [result.rate for result in some] for name, some in results.items()}
    first = [a / b for a, b in zip(rates["first"], rates["nothing"], strict=True)]
    again = [a / b for a, b in zip(rates["again"], rates["nothing"], strict=True)]
    found = {
        "first_scan_to_nothing": _median(first),
        "repeat_scan_to_nothing": _median(again),
        "first_scan_rounds": _rounded(first),
        "repeat_scan_rounds": _rounded(again),
        "calls_per_second": {k: round(statistics.median(v)) for k, v in rates.items()},
        "p99_ms": {
            name: _median([result.percentile(0.99) * 1000 for result in some], 2)
            for name, some in results.items()
        },
        "server_cpu_us_per_call": {
            name: round(statistics.median(r.server_cpu / len(r.answers) * 1e6 for r in some))
            for name, some in results.items()
        },
        "beside_cpu_us_per_call": {
            name: {
                other: round(
                    statistics.median(r.beside_cpu[other] / len(r.answers) * 1e6 for r in some)
                )
                for other in made.beside
            }
            for name, some in results.items()
        },
        "generator_cpu_share": _median(
            [r.generator_cpu / r.seconds for some in results.values() for r in some], 2
        ),
    }
    return found, {name: statistics.median(some) for name, some in rates.items()}


def _batches(
    made: Stand, calls: int, rounds: int, single: dict[str, float], seen: list[Result]
) -> _Findings:
    """Codes never seen and codes seen before, each against single calls of its kind."""
    each, count = min(PER_BATCH, calls), max(6, calls // PER_BATCH)
    scans = list(requests(made, "BATCHES", each * count * (rounds + 1)))
    bodies = [
        pb.BatchVerifyCodesRequest(requests=scans[i : i + each]).SerializeToString()
        for i in range(0, len(scans), each)
    ]
    rates: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        part = bodies[number * count : (number + 1) * count]
        for kind, history in (("first", pb.HISTORY_FIRST_SCAN), ("again", pb.HISTORY_SAME_DEVICE)):
            result = drive(made.port, BATCH_VERIFY, part, server=made.pids, connections=2, width=2)
            verdicts = [
                verdict
                for answer in result.answers
                for verdict in pb.BatchVerifyCodesResponse.FromString(answer).verdicts
            ]
            _check_verdicts(verdicts, len(part) * each, history, result)
            if number:
                rates[kind].append(len(verdicts) / result.seconds)
                seen.append(result)
    return {
        "batch_to_single_codes": _median([rate / single["first"] for rate in rates["first"]], 2),
        "batch_to_single_codes_again": _median(
            [rate / single["again"] for rate in rates["again"]], 2
        ),
        "batch_codes_per_second": {k: round(statistics.median(v)) for k, v in rates.items()},
        "codes_per_batch": each,
    }


def _half_peak(
    made: Stand, peak: float, rounds: int, seconds: float, seen: list[Result]
) -> _Findings:
    plans = [arrivals(peak / 2, seconds, seed=number) for number in range(rounds + 1)]
    scans = requests(made, "HALF", sum(len(plan) for plan in plans))
    verify, nothing = [], []
    for number, plan in enumerate(plans):
        part = [next(scans).SerializeToString() for _ in plan]
        idle = drive(made.port, NOTHING, part, plan=plan, server=made.pids)
        real = drive(made.port, VERIFY, part, plan=plan, server=made.pids)
        _check(real, len(plan), pb.HISTORY_FIRST_SCAN)
        if number:
            seen += [idle, real]
            nothing.append(idle.percentile(0.99))
            verify.append(real.percentile(0.99))
    ratios = [a / b for a, b in zip(verify, nothing, strict=True)]
    return {
        "p99_at_half_of_peak_to_nothing": _median(ratios, 2),
        "p99_at_half_of_peak_rounds": _rounded(ratios, 2),
        "p99_at_half_of_peak_ms": {
            "nothing": _median([value * 1000 for value in nothing], 2),
            "verify": _median([value * 1000 for value in verify], 2),
        },
        "half_of_peak_calls_per_second": round(peak / 2),
    }


def _scaling(backend: Backend, calls: int, rounds: int) -> _Findings:
    """One process on all cores and on one, and two on a core each, taking turns."""
    cores = os.cpu_count() or 1
    raw, accounted, idle, saturated = [], [], [], False
    with stand(backend) as free, stand(backend) as one, stand(backend, workers=2) as two:
        processes.hold(one.pids)
        processes.hold(two.pids)
        places = (free, one, two)
        scans = {
            id(made): [r.SerializeToString() for r in requests(made, "SCALE", calls * (rounds + 1))]
            for made in places
        }
        for number in range(rounds + 1):
            results = []
            for made in places:
                part = scans[id(made)][number * calls : (number + 1) * calls]
                result = drive(made.port, VERIFY, part, server=made.pids, connections=8, width=16)
                _check(result, calls, pb.HISTORY_FIRST_SCAN)
                results.append(result)
            if number:
                saturated |= any(result.client_saturated for result in results)
                alone, single, double = results
                raw.append(double.rate / alone.rate)
                could = len(double.answers) / double.server_cpu * min(2, cores)
                accounted.append(could / single.rate)
                idle.append(double.idle / double.seconds / cores)
    return {
        "two_processes_to_one_raw": _median(raw),
        "two_processes_to_one_capacity": _median(accounted),
        "two_processes_idle_share": _median(idle, 2),
        "two_processes_client_saturated": saturated,
    }


def _median(values: list[float], digits: int = 3) -> float:
    return round(statistics.median(values), digits)


def _rounded(values: list[float], digits: int = 3) -> list[float]:
    return [round(value, digits) for value in values]


def _check(result: Result, calls: int, history: int) -> None:
    _check_verdicts([pb.Verdict.FromString(a) for a in result.answers], calls, history, result)


def _check_verdicts(verdicts: list[pb.Verdict], codes: int, history: int, result: Result) -> None:
    """A rate of wrong answers is no rate."""
    wrong = [v for v in verdicts if v.history != history or v.outcome != 1]
    if result.failed or len(verdicts) != codes or wrong:
        raise RuntimeError(
            f"{result.failed} calls failed {dict(result.refused)}, {len(verdicts)} of {codes} "
            f"answered, {len(wrong)} wrong: {wrong[:1]}"
        )
