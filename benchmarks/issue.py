"""Issuing signed codes against raw signing of the same payloads on all cores."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.processes import resident_bytes
from benchmarks.stand import stand
from tracechain.domain.code import encode_serial, signed_payload
from tracechain.v1 import issuance_pb2, issuance_pb2_grpc

GTIN = "06901234567892"
ROUNDS = 3
MILLION = 1_000_000


def _sign(first: int, count: int) -> int:
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    payloads = [signed_payload(GTIN, encode_serial(first + i)) for i in range(count)]
    started = time.perf_counter()
    for payload in payloads:
        key.sign(payload, algorithm)
    return int((time.perf_counter() - started) * 1e9)


def raw_rate(count: int, pool: ProcessPoolExecutor | ThreadPoolExecutor) -> float:
    """Signatures a second of `cryptography` alone, on all cores."""
    cores = os.cpu_count() or 1
    started = time.perf_counter()
    jobs = [pool.submit(_sign, i * count, count // cores) for i in range(cores)]
    for job in jobs:
        job.result()
    return count / (time.perf_counter() - started)


def measure(count: int = 100_000, long: int = MILLION) -> dict[str, object]:
    """The ratio, median of rounds, and the memory of the server while a million stream."""
    ratios: list[float] = []
    with stand() as made, ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        raw_rate(1000, pool)
        stub = issuance_pb2_grpc.IssuanceServiceStub(made.channel)
        batch = made.batch("ISSUE", count * ROUNDS + long + 2000)

        def issue(quantity: int, watch: list[int]) -> float:
            started, got = time.perf_counter(), 0
            stream = stub.IssueCodes(
                issuance_pb2.IssueCodesRequest(
                    parent=batch.name, request_id=uuid.uuid4().hex, quantity=quantity
                ),
                metadata=made.metadata("issuer"),
            )
            for number, part in enumerate(stream):
                got += len(part.codes)
                if number % 50 == 0:
                    watch.append(resident_bytes(made.pids))
            assert got == quantity
            return quantity / (time.perf_counter() - started)

        issue(2000, [])  # both sides have started their processes
        rates: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            raw, ours = raw_rate(count, pool), issue(count, [])
            rates.append((raw, ours))
            ratios.append(ours / raw)
        memory: list[int] = []
        issue(long, memory)
    tail = memory[len(memory) // 10 :]
    return {
        "issue_to_raw_signing": round(statistics.median(ratios), 3),
        "rounds": [round(value, 3) for value in ratios],
        "codes_per_second": round(statistics.median(ours for _, ours in rates)),
        "raw_signatures_per_second": round(statistics.median(raw for raw, _ in rates)),
        "streamed": long,
        "resident_mib_after_a_tenth": round(tail[0] / 2**20, 1),
        "resident_mib_at_the_end": round(tail[-1] / 2**20, 1),
        "resident_mib_most": round(max(memory) / 2**20, 1),
        "floor": {"issue_to_raw_signing": 0.60},
    }
