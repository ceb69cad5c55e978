"""VerifyCode with its durable scan against an RPC with the same messages that does nothing."""

from __future__ import annotations

import asyncio
import statistics

from benchmarks.load import Result, run
from benchmarks.server import NOTHING
from benchmarks.stand import stand
from tracechain.v1 import verification_pb2

VERIFY = "/tracechain.v1.VerificationService/VerifyCode"
CALLS = 4000
ROUNDS = 7


def measure(calls: int = CALLS, rounds: int = ROUNDS) -> dict[str, object]:
    """Ratios of calls a second, the median of rounds in which the three alternate."""
    with stand() as made:
        batch = made.batch("VERIFY", calls * (rounds + 1))
        codes = made.codes(batch.name, calls * (rounds + 1))
        requests = [
            verification_pb2.VerifyCodeRequest(
                code=code,
                context=verification_pb2.ScanContext(
                    device_id=f"device-{i % 977}", region="210102"
                ),
            ).SerializeToString()
            for i, code in enumerate(codes)
        ]
        first: list[float] = []
        again: list[float] = []
        rates: dict[str, list[float]] = {"nothing": [], "first": [], "again": []}
        latencies: dict[str, list[float]] = {"nothing": [], "first": [], "again": []}
        for number in range(rounds + 1):
            part = requests[number * calls : (number + 1) * calls]
            results = {
                "nothing": asyncio.run(run(made.port, NOTHING, part)),
                "first": asyncio.run(run(made.port, VERIFY, part)),
                "again": asyncio.run(run(made.port, VERIFY, part)),
            }
            _check(results["first"], calls, verification_pb2.HISTORY_FIRST_SCAN)
            _check(results["again"], calls, verification_pb2.HISTORY_SAME_DEVICE)
            if number == 0:
                continue  # a round to warm up
            for name, result in results.items():
                rates[name].append(result.rate)
                latencies[name].append(result.percentile(0.99))
            first.append(results["first"].rate / results["nothing"].rate)
            again.append(results["again"].rate / results["nothing"].rate)
    return {
        "first_scan_to_nothing": round(statistics.median(first), 3),
        "repeat_scan_to_nothing": round(statistics.median(again), 3),
        "first_scan_rounds": [round(value, 3) for value in first],
        "repeat_scan_rounds": [round(value, 3) for value in again],
        "calls_per_second": {k: round(statistics.median(v)) for k, v in rates.items()},
        "p99_ms": {k: round(statistics.median(v) * 1000, 2) for k, v in latencies.items()},
        "floor": {"first_scan_to_nothing": 0.50, "repeat_scan_to_nothing": 0.65},
    }


def _check(result: Result, calls: int, history: int) -> None:
    """A rate of wrong answers is no rate."""
    verdicts = [verification_pb2.Verdict.FromString(answer) for answer in result.answers]
    wrong = [v for v in verdicts if v.history != history or v.outcome != 1]
    if result.failed or len(verdicts) != calls or wrong:
        raise RuntimeError(
            f"{result.failed} calls failed, {len(verdicts)} of {calls} answered, "
            f"{len(wrong)} wrong: {wrong[:1]}"
        )
