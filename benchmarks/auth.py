"""What it costs to know who calls: calls with a credential to the same calls without.

Taken in turn, round after round, in one run on one server: VerifyCode as it is, which asks nobody,
and a twin that asks; CaptureEvents of one event a call, the worst case for it, as it is, and a twin
that believes everybody. With an API key, and with a bearer token of an issuer on loopback.

A call without carries no header at all, so what gRPC does to read the header is in the figure too:
nobody can be asked without it. The load generator is not: it makes a call's headers once, and sends
one byte more for each call with a credential (HPACK). `server_cpu_of_none` is the same comparison
by the CPU time of the service's processes alone.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.capture import inspected
from benchmarks.guarded import CAPTURE as OPEN_CAPTURE
from benchmarks.guarded import VERIFY as GUARDED_VERIFY
from benchmarks.load import Result, drive
from benchmarks.server import ISSUER
from benchmarks.stand import Stand, stand
from benchmarks.verify import VERIFY, requests
from tests.support.token_issuer import AUDIENCE, Issuer, token_issuer
from tracechain.v1 import capture_pb2, verification_pb2

CAPTURE = "/tracechain.v1.EventService/CaptureEvents"
# Short turns and many of them: what is compared was measured within a second or two.
CALLS = 1000
ROUNDS = 28
FLOORS = {"verify": 0.90, "capture": 0.85}

_Metadata = tuple[tuple[str, str], ...]


def measure(calls: int = CALLS, rounds: int = ROUNDS) -> dict[str, object]:
    """Both methods, each with both credentials."""
    with token_issuer() as issuer:
        trusted = {
            "issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", "audience": AUDIENCE,
            "algorithms": ["ES256"],
        }  # fmt: skip
        with stand(oidc=[trusted]) as made:
            return _on(made, issuer, calls, rounds)


def _on(made: Stand, issuer: Issuer, calls: int, rounds: int) -> dict[str, object]:
    credentials = {"api_key": made.keys["issuer"], "token": issuer.token(
        issuer.claims(ISSUER, "issuer", exp=4_000_000_000)
    )}  # fmt: skip
    shown = {name: (("authorization", f"Bearer {text}"),) for name, text in credentials.items()}
    seen: list[Result] = []
    verify = _turns(
        made, _scans(made, calls * (rounds + 1) * 3), calls, rounds, seen,
        {"none": (VERIFY, ()), **{name: (GUARDED_VERIFY, said) for name, said in shown.items()}},
    )  # fmt: skip
    capture = _turns(
        made, _events(made, calls * (rounds + 1) * 3), calls, rounds, seen,
        {
            "none": (OPEN_CAPTURE, shown["api_key"]),
            **{name: (CAPTURE, said) for name, said in shown.items()},
        },
    )  # fmt: skip
    return {
        "verify": verify,
        "capture": capture,
        "client_saturated": any(result.client_saturated for result in seen),
        "floor": FLOORS,
    }


def _turns(
    made: Stand,
    bodies: Iterator[bytes],
    calls: int,
    rounds: int,
    seen: list[Result],
    ways: dict[str, tuple[str, _Metadata]],
) -> dict[str, object]:
    """The ways in turn; each way's rate to that of `none` in the same round."""
    rates: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    names = list(ways)
    for number in range(rounds + 1):
        # Each in turn goes first: the store grows, and the machine is not the same all the time.
        names.append(names.pop(0))
        for name in names:
            path, metadata = ways[name]
            part = list(itertools.islice(bodies, calls))
            result = drive(made.port, path, part, server=made.pids, metadata=metadata)
            _check(result, calls, path)
            if number:
                rates[name].append(result.rate)
                cpu[name].append(result.server_cpu / calls * 1e6)
                seen.append(result)
    none = rates.pop("none")
    return {
        "to_none": {name: _ratio(some, none) for name, some in rates.items()},
        "server_cpu_of_none": {name: _ratio(cpu["none"], cpu[name]) for name in rates},
        "calls_per_second": {"none": _median(none), **{n: _median(s) for n, s in rates.items()}},
        "server_cpu_us_per_call": {name: _median(some) for name, some in cpu.items()},
    }


def _ratio(some: list[float], none: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(some, none, strict=True)), 3)


def _median(values: list[float]) -> int:
    return round(statistics.median(values))


def _scans(made: Stand, count: int) -> Iterator[bytes]:
    return (request.SerializeToString() for request in requests(made, "AUTH", count))


def _events(made: Stand, count: int) -> Iterator[bytes]:
    batch = made.batch("AUTH-EVENTS", count)
    for number, code in enumerate(made.codes(batch.name, count, 2)):
        event = inspected(number, code)
        yield capture_pb2.CaptureEventsRequest(events=[event]).SerializeToString()


def _check(result: Result, calls: int, path: str) -> None:
    """A rate of refusals is no rate."""
    good = 0
    for answer in result.answers:
        if path.endswith("VerifyCode"):
            good += verification_pb2.Verdict.FromString(answer).outcome == 1
        else:
            captured = capture_pb2.CaptureEventsResponse.FromString(answer)
            good += captured.results[0].status == capture_pb2.CAPTURE_STATUS_ACCEPTED
    if result.failed or good != calls:
        raise RuntimeError(f"{path}: {good} of {calls}, {json.dumps(dict(result.refused))}")
