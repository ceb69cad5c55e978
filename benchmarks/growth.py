"""What a call costs as the store grows: a store of each power of ten, and then their comparison.

Then all sizes take turns, round after round, so that what else the machine does falls on all alike.
One call after the other (so latency is cost, not queueing): tracing a unit through four levels of
containers with fifty events in its story, VerifyCode, CaptureEvents of one event, and the
do-nothing RPC for scale. Units are taken from anywhere in the store.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import capture, plot
from benchmarks.backends import BACKENDS, Backend
from benchmarks.filling import EVENTS_PER_JOURNEY, LEVELS, Filling
from benchmarks.load import Result, drive
from benchmarks.server import NOTHING
from benchmarks.stand import Stand, stand
from tracechain import bootstrap
from tracechain.domain.identifiers import gs1_check_digit
from tracechain.settings import Settings
from tracechain.v1 import capture_pb2, provenance_pb2, verification_pb2

SIZES = (10_000, 100_000, 1_000_000)
FULL = (*SIZES, 10_000_000)
MOST_SCANS = 1_000_000
SAMPLES = 500
PLOT = Path(__file__).parent / "growth.svg"
CALLS = {
    "trace": "/tracechain.v1.ProvenanceService/TraceUnit",
    "verify": "/tracechain.v1.VerificationService/VerifyCode",
    "capture": "/tracechain.v1.EventService/CaptureEvents",
    "nothing": NOTHING,
}
_ROUNDS = 5


@dataclass(frozen=True)
class Grown:
    """A running server on a store of a size."""

    made: Stand
    filling: Filling
    events: int
    scans: int
    filled_events_per_second: int


def measure(
    sizes: tuple[int, ...] = SIZES,
    samples: int = SAMPLES,
    plotted: Path | None = PLOT,
    backends: Sequence[Backend] = BACKENDS,
) -> dict[str, object]:
    """Milliseconds by backend, size and call. Draws `plotted` and prints a table."""
    found: dict[str, Any] = {}
    for backend in backends:
        with grown(backend, sizes) as stores:
            found[backend.name] = compare(stores, samples)
    print(table(found), flush=True)
    if plotted is not None:
        plot.growth(found, plotted, datetime.date.today().isoformat())
    return found


@contextmanager
def grown(backend: Backend, sizes: tuple[int, ...]) -> Iterator[list[Grown]]:
    """A store of each size, with a server on it."""
    with ExitStack() as stack:
        stores = []
        for size in sizes:
            made, scans = stack.enter_context(stand(backend)), min(size, MOST_SCANS)
            filling, speed = asyncio.run(_fill(made, size, scans))
            print(f"  {backend.name}: {size} events ({speed:.0f}/s)", file=sys.stderr, flush=True)
            stores.append(Grown(made, filling, size, scans, round(speed)))
        yield stores


async def _fill(made: Stand, events: int, scans: int) -> tuple[Filling, float]:
    app = await bootstrap.build(Settings(**made.settings, log_level="error"))
    try:
        filling = Filling(app)
        return filling, (await filling.grow(events, scans))[0]
    finally:
        await app.close()


def compare(stores: Sequence[Grown], samples: int = SAMPLES) -> dict[str, Any]:
    """Medians and tails of each call on each store, the stores taking turns."""
    seconds = itertools.count()
    whole = [{name: Result() for name in CALLS} for _ in stores]
    share = max(1, samples // _ROUNDS)
    for number in range(_ROUNDS + 1):
        for name in CALLS:
            for store, results in zip(stores, whole, strict=True):
                result = _drive(store, name, share, seconds)
                if number:  # the first round warms up
                    results[name].absorb(result)
    points = [
        {
            "events": store.events,
            "scans": store.scans,
            "filled_events_per_second": store.filled_events_per_second,
            **{
                name: {
                    "p50_ms": round(result.percentile(0.5) * 1000, 2),
                    "p99_ms": round(result.percentile(0.99) * 1000, 2),
                }
                for name, result in results.items()
            },
        }
        for store, results in zip(stores, whole, strict=True)
    ]
    first, last = (whole[at]["trace"].percentile(0.5) for at in (0, -1))
    return {
        "trace_median_growth": round(last / first, 2),
        "from_events": stores[0].events,
        "to_events": stores[-1].events,
        "points": points,
        "ceiling": {"trace_median_growth": 1.5},
    }


def _drive(store: Grown, name: str, calls: int, seconds: itertools.count[int]) -> Result:
    made = store.made
    result = drive(
        made.port,
        CALLS[name],
        _requests(name, store.filling, calls, seconds),
        connections=1,
        width=1,
        metadata=made.metadata("issuer") if name in ("trace", "capture") else (),
    )
    _check(name, result, calls)
    return result


def _requests(
    name: str, filling: Filling, count: int, seconds: itertools.count[int]
) -> list[bytes]:
    if name == "capture":
        made = []
        for number in itertools.islice(seconds, count):
            digits = f"96901234{number:09}"
            event = capture._event(
                number,
                biz_step="storing",
                epc_list=[f"https://id.gs1.org/00/{digits}{gs1_check_digit(digits)}"],
            )
            made.append(capture_pb2.CaptureEventsRequest(events=[event]).SerializeToString())
        return made
    codes = filling.codes(count)
    if name == "trace":
        return [provenance_pb2.TraceUnitRequest(epc=code).SerializeToString() for code in codes]
    return [verification_pb2.VerifyCodeRequest(code=code).SerializeToString() for code in codes]


def _check(name: str, result: Result, count: int) -> None:
    """A fast answer that is wrong is no answer."""
    if result.failed or len(result.answers) != count:
        raise RuntimeError(f"{name}: {result.failed} of {count} failed: {dict(result.refused)}")
    for answer in result.answers:
        if name == "trace":
            trace = provenance_pb2.Trace.FromString(answer)
            if len(trace.steps) != EVENTS_PER_JOURNEY or len(trace.containers) != LEVELS:
                raise RuntimeError(f"{len(trace.steps)} steps, {len(trace.containers)} containers")
        elif name == "verify":
            verdict = verification_pb2.Verdict.FromString(answer)
            if verdict.issuance != verification_pb2.ISSUANCE_ISSUED:
                raise RuntimeError(f"not issued: {verdict}")
        elif name == "capture":
            capture._check(capture_pb2.CaptureEventsResponse.FromString(answer))


def table(found: dict[str, Any]) -> str:
    """The results in Markdown."""
    lines = [
        "| backend | events | scans | "
        + " | ".join(f"{name} p50 / p99 ms" for name in CALLS)
        + " |",
        "|---|---:|---:|" + "---:|" * len(CALLS),
    ]
    for backend, result in found.items():
        for point in result["points"]:
            cells = [f"{point[name]['p50_ms']} / {point[name]['p99_ms']}" for name in CALLS]
            lines.append(
                f"| {backend} | {point['events']:,} | {point['scans']:,} | "
                + " | ".join(cells)
                + " |"
            )
    return "\n".join(lines)
