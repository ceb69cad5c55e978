"""What the audit record of each call costs capture and issuing: the same service, side by side.

The twin of a method is the method itself behind the same gate, with records that nobody keeps. Both
are driven in turn, so that the machine's moods hit both; the figure is the median of the ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks import capture
from benchmarks.backends import BACKENDS, Backend
from benchmarks.server import UNRECORDED
from benchmarks.stand import Stand, stand
from tracechain.v1 import capture_pb2, issuance_pb2

CAPTURE = "/tracechain.v1.EventService/CaptureEvents"
ISSUE = "/tracechain.v1.IssuanceService/IssueCodes"
_UNDER_WAY = 16


def measure(
    calls: int = 600, rounds: int = 7, backends: tuple[Backend, ...] = BACKENDS
) -> dict[str, object]:
    """Throughput with records over throughput without, of small calls: the dearest for records."""
    found: dict[str, object] = {}
    for backend in backends:
        with stand(backend=backend) as made:
            batch = made.batch("AUDIT", 100_000)
            codes = made.codes(batch.name, 1000, 2)
            captured = _ratios(rounds, lambda prefix: _capture(made, prefix, codes, calls))
            issued = _ratios(rounds, lambda prefix: _issue(made, prefix, batch.name, calls // 6))
        found[backend.name] = {"capture_of_5_events": captured, "order_of_10_codes": issued}
    found["floor"] = {"with_records_to_without": 0.90}
    return found


def _ratios(rounds: int, rate: Callable[[str], float]) -> dict[str, object]:
    rate(""), rate(UNRECORDED)
    pairs = []
    for number in range(rounds):
        # Who goes first changes: what one leaves to the disk the other must wait for.
        order = ("", UNRECORDED) if number % 2 else (UNRECORDED, "")
        rates = {prefix: rate(prefix) for prefix in order}
        pairs.append((rates[""], rates[UNRECORDED]))
    return {
        "with_records_to_without": round(statistics.median(a / b for a, b in pairs), 3),
        "rounds": [round(a / b, 3) for a, b in pairs],
        "calls_per_second": round(statistics.median(a for a, _ in pairs)),
    }


_second = iter(range(1 << 30))


def _capture(made: Stand, prefix: str, codes: list[str], calls: int) -> float:
    call = made.channel.unary_unary(
        prefix + CAPTURE,
        request_serializer=capture_pb2.CaptureEventsRequest.SerializeToString,
        response_deserializer=capture_pb2.CaptureEventsResponse.FromString,
    )
    requests = []
    for number in range(calls):
        chosen = [codes[(number * 5 + n) % len(codes)].partition("?")[0] for n in range(5)]
        requests.append(
            capture_pb2.CaptureEventsRequest(
                events=[
                    capture._event(next(_second), biz_step="inspecting", epc_list=[code])
                    for code in chosen
                ]
            )
        )
    started = time.perf_counter()
    under_way = []
    for request in requests:
        under_way.append(call.future(request, metadata=made.metadata("issuer")))
        if len(under_way) >= _UNDER_WAY:
            under_way.pop(0).result()
    for one in under_way:
        one.result()
    return calls / (time.perf_counter() - started)


def _issue(made: Stand, prefix: str, batch: str, orders: int) -> float:
    call = made.channel.unary_stream(
        prefix + ISSUE,
        request_serializer=issuance_pb2.IssueCodesRequest.SerializeToString,
        response_deserializer=issuance_pb2.IssueCodesResponse.FromString,
    )
    started = time.perf_counter()
    under_way = []
    for _ in range(orders):
        request = issuance_pb2.IssueCodesRequest(
            parent=batch, quantity=10, request_id=f"audit {next(_second)}"
        )
        under_way.append(call(request, metadata=made.metadata("issuer")))
        if len(under_way) >= _UNDER_WAY:
            list(under_way.pop(0))
    for one in under_way:
        list(one)
    return orders / (time.perf_counter() - started)
