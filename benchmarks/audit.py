"""What the audit record of each call costs capture and issuing: the same service, side by side.

The twin of a method is the method itself behind the same gate, with records that nobody keeps. Both
are driven in turn, as many calls under way as the service takes, so that the machine's moods hit
both and neither waits for company; the figure is the median of the ratios. Each event is of a unit
of its own: a unit's events are folded with each further one, so that a few units, asked again and
again, would have each round measure longer stories than the one before.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice

from benchmarks.backends import BACKENDS, Backend
from benchmarks.capture import inspected
from benchmarks.load import drive
from benchmarks.stand import Stand, stand
from benchmarks.unrecorded import UNRECORDED
from tracechain.v1 import capture_pb2, issuance_pb2

CAPTURE = "/tracechain.v1.EventService/CaptureEvents"
ISSUE = "/tracechain.v1.IssuanceService/IssueCodes"
# Small calls, for which a record is the dearest.
_EVENTS = 5
_CODES = 10
_number = count()


def measure(
    calls: int = 300, rounds: int = 7, backends: tuple[Backend, ...] = BACKENDS
) -> dict[str, object]:
    """Throughput with records over throughput without."""
    found: dict[str, object] = {}
    for backend in backends:
        with stand(backend=backend) as made:
            batch = made.batch("AUDIT", 1_000_000).name
            # Each round goes both ways, and once more to be warm.
            events = _EVENTS * calls * 2 * (rounds + 1)
            codes = iter(made.codes(batch, events, 2))
            found[backend.name] = {
                "capture": _ratios(
                    rounds, partial(_rate, made, CAPTURE, partial(_events, codes), calls)
                ),
                "issue": _ratios(
                    rounds, partial(_rate, made, ISSUE, partial(_order, batch), calls)
                ),
            }
    found["events_of_a_call"], found["codes_of_an_order"] = _EVENTS, _CODES
    found["floor"] = {"with_records_to_without": 0.90}
    return found


def _ratios(rounds: int, rate: Callable[[str], float]) -> dict[str, object]:
    # Once each, so that all is open and warm.
    for prefix in ("", UNRECORDED):
        rate(prefix)
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


def _rate(made: Stand, path: str, request: Callable[[], bytes], calls: int, prefix: str) -> float:
    requests = [request() for _ in range(calls)]
    result = drive(made.port, prefix + path, requests, metadata=made.metadata("issuer"))
    if result.failed:
        raise RuntimeError(f"refused: {result.refused}")
    return result.rate


def _events(codes: Iterator[str]) -> bytes:
    events = [inspected(next(_number), code) for code in islice(codes, _EVENTS)]
    return capture_pb2.CaptureEventsRequest(events=events).SerializeToString()


def _order(batch: str) -> bytes:
    return issuance_pb2.IssueCodesRequest(
        parent=batch, quantity=_CODES, request_id=f"audit {next(_number)}"
    ).SerializeToString()
