"""What one greedy client costs another, and what a million guessed codes cost the store.

Neighbour: a client scans at half of its limit, open loop, alone and beside one that sends ten times
the limit, in turn, round after round; `p99_growth` is of all rounds together, so that what else the
machine does falls on both. The two are told apart by the address that a proxy tells of, and come
from processes of their own.

Side by side: VerifyCode closed loop on two services that differ in their limits only, in turn: one
without, one with limits too high to be reached. Calls a second, and the service's CPU time for a
call, which a busy machine changes less.

Guesses: well-formed codes that nobody issued, under the id of a key that exists, half of them
`signed` and half `compact`; every call of the store is counted while they are verified.
"""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import grpc
import uvloop

from benchmarks.load import Generators, Result, arrivals, drive, quantile
from benchmarks.server import ISSUER
from benchmarks.stand import GTIN, stand
from benchmarks.verify import VERIFY, requests
from tracechain import bootstrap
from tracechain.app.ports import Store
from tracechain.app.scanning import ScanRequest
from tracechain.domain.party import Party, PartyKind, Role
from tracechain.domain.scan import ScanRules
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import Outcome
from tracechain.settings import Settings
from tracechain.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    issuance_pb2,
    issuance_pb2_grpc,
    party_pb2,
)

LIMIT = 100
TIMES = 10
GUESSES = 1_000_000
_PER_CALL = 1000
# Seconds in which a greedy client uses up what it may have at once (ten seconds' worth, at ten
# times its limit), before its neighbour begins.
_LEAD = 1.5
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SIGNATURE, _MAC = 64, 10
HIGH = {
    "client_codes_per_second": 10_000_000,
    "client_looks_per_minute": 10_000_000,
    "party_calls_per_second": 10_000_000,
}


def measure(
    seconds: float = 4.0, rounds: int = 9, calls: int = 4000, guesses: int = GUESSES
) -> dict[str, object]:
    """All three."""
    return {
        "neighbour": _neighbour(seconds, rounds),
        "side_by_side": _side_by_side(calls, rounds),
        "guesses": uvloop.run(_guesses(guesses)),
    }


def _from(address: str) -> list[tuple[str, str]]:
    return [("x-forwarded-for", address)]


def _neighbour(seconds: float, rounds: int) -> dict[str, object]:
    with (
        stand(client_codes_per_second=LIMIT, grpc_proxies=1) as made,
        Generators(1) as generator,
    ):
        bodies = [r.SerializeToString() for r in requests(made, "NEIGHBOUR", 2000)]
        light = arrivals(LIMIT / 2, seconds)
        heavy = arrivals(LIMIT * TIMES, seconds + _LEAD, seed=2)

        def neighbour() -> Result:
            return drive(
                made.port, VERIFY, _cycle(bodies, len(light)), plan=light, connections=2,
                metadata=_from("192.0.2.2"),
            )  # fmt: skip

        def hog() -> Result:
            return drive(
                made.port, VERIFY, _cycle(bodies, len(heavy)), plan=heavy, connections=4,
                metadata=_from("192.0.2.1"), generators=generator,
            )  # fmt: skip

        neighbour()
        alone, beside, greedy = [], [], []
        for _ in range(rounds):
            alone.append(neighbour())
            found = asyncio.run(_together(neighbour, hog))
            beside.append(found[0])
            greedy.append(found[1])
    p99 = {
        name: quantile([took for run in runs for took in run.latencies], 0.99) * 1000
        for name, runs in (("alone", alone), ("beside", beside))
    }
    return {
        "limit_per_second": LIMIT,
        "offered_per_second": round(len(heavy) / (seconds + _LEAD)),
        "answered_per_second": round(
            sum(len(g.answers) for g in greedy) / rounds / (seconds + _LEAD)
        ),
        "refused_by_reason": {
            f"{code}/{reason}": sum(g.refused[code, reason, told] for g in greedy)
            for code, reason, told in {k for g in greedy for k in g.refused}
        },
        "neighbour_refused": sum(b.failed for b in beside),
        "p99_ms": {name: round(took, 2) for name, took in p99.items()},
        "p99_growth": round(p99["beside"] / p99["alone"], 2),
        "ceiling": {"p99_growth": 2.0},
        "client_saturated": any(r.client_saturated for r in (*alone, *beside)),
    }


async def _together(neighbour: object, hog: object) -> tuple[Result, Result]:
    async def later() -> Result:
        # The hog has used up what it may have at once when its neighbour begins.
        await asyncio.sleep(_LEAD)
        return await asyncio.to_thread(neighbour)  # type: ignore[arg-type]

    greedy = asyncio.create_task(asyncio.to_thread(hog))  # type: ignore[arg-type]
    return await later(), await greedy


def _side_by_side(calls: int, rounds: int) -> dict[str, object]:
    rates, costs = [], []
    with stand() as without, stand(**HIGH) as with_limits:
        bodies = {
            made.port: [r.SerializeToString() for r in requests(made, "SIDE", calls)]
            for made in (without, with_limits)
        }
        for turn in range(rounds + 1):
            pair = [without, with_limits] if turn % 2 else [with_limits, without]
            runs = {
                made.port: drive(made.port, VERIFY, bodies[made.port], server=made.pids)
                for made in pair
            }
            before, after = runs[without.port], runs[with_limits.port]
            if turn:
                rates.append(after.rate / before.rate)
                costs.append(after.server_cpu / before.server_cpu)
    return {
        "calls_with_limits_to_without": round(statistics.median(rates), 3),
        "cpu_for_a_call_with_limits_to_without": round(statistics.median(costs), 3),
        "of_rounds": [round(ratio, 3) for ratio in costs],
    }


class Counted:
    """A store that counts its calls by name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return found(*arguments, **named)

        return counted


def guesses(codes: Sequence[str], count: int, seed: int) -> Iterator[str]:
    """Codes in their canonical spelling, made from good ones of either profile: a proof by chance,
    and every second time a serial by chance as well."""
    chance = random.Random(seed)
    for number in range(count):
        head, _, token = codes[number % len(codes)].partition("?91=")
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        size = _SIGNATURE if len(raw) > _SIGNATURE else _MAC
        proof = bytearray(chance.randbytes(size))
        # What is not low-S is refused before it is checked (half of all guesses).
        proof[size // 2] &= 0x7F
        if number // len(codes) % 2:
            head = head[:-13] + "".join(chance.choices(_CROCKFORD, k=13))
        made = base64.urlsafe_b64encode(raw[:-size] + proof).decode().rstrip("=")
        yield f"{head}?91={made}"


async def _guesses(count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="tracechain-bench-") as folder:
        # No poll: what is counted is asked for by guesses.
        quiet = 3_600_000
        settings = Settings(
            data_dir=Path(folder), http_listen="", key_poll_ms=quiet, log_poll_ms=quiet
        )
        store = Counted(await bootstrap.store_for(settings, ScanRules()))
        app = await bootstrap.build(settings, cast("Store", store))
        try:
            codes = await _good(app)
            known = await app.scanning.verify_all([ScanRequest(code) for code in codes])
            if {verdict.outcome for verdict in known} == {Outcome.COUNTERFEIT}:
                raise RuntimeError("the codes that guesses are made from are no good")
            store.calls.clear()
            outcomes: Counter[str] = Counter()
            began = time.monotonic()
            made = guesses(codes, count, seed=1)
            while part := [ScanRequest(code) for code in islice(made, _PER_CALL)]:
                for verdict in await app.scanning.verify_all(part):
                    outcomes[f"{verdict.outcome}/{verdict.reasons[0]}"] += 1
            seconds, calls = time.monotonic() - began, dict(store.calls)
        finally:
            await app.close()
    return {
        "guesses": count,
        "verdicts": dict(outcomes),
        "hits": count - outcomes["counterfeit/TOKEN_FALSE"],
        "store_calls": calls,
        "guesses_per_second": round(count / seconds),
        "ceiling": {"hits": 0},
    }


async def _good(app: bootstrap.App) -> list[str]:
    """A code of either profile, issued now."""
    await app.store.put_party(
        Party(ISSUER, "91210102MA0YB1234R", "210102", PartyKind.ISSUER, LocalizedText("测试", "B"))
    )
    _, key = await app.credentials.create(ISSUER, Role.ISSUER, "", "bench", "bench")
    server = await bootstrap.serve(app)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        metadata = [("authorization", f"Bearer {key}")]
        issuance = issuance_pb2_grpc.IssuanceServiceStub(channel)
        await admin_pb2_grpc.AdminServiceStub(channel).CreateIssuerKey(
            admin_pb2.CreateIssuerKeyRequest(parent=f"parties/{ISSUER}", request_id="bench"),
            metadata=metadata,
        )
        name = party_pb2.LocalizedText(zh="测试白酒", en="Baijiu")
        await issuance.CreateProduct(
            issuance_pb2.CreateProductRequest(
                product=issuance_pb2.Product(gtin=GTIN, display_name=name)
            ),
            metadata=metadata,
        )
        batch = issuance_pb2.Batch(lot="GUESS", production_date="2026-09-15", authorized_quantity=2)
        await issuance.CreateBatch(
            issuance_pb2.CreateBatchRequest(parent=f"products/{GTIN}", batch=batch),
            metadata=metadata,
        )
        codes = []
        for profile in (issuance_pb2.CODE_PROFILE_SIGNED, issuance_pb2.CODE_PROFILE_COMPACT):
            order = issuance_pb2.IssueCodesRequest(
                parent=f"products/{GTIN}/batches/GUESS",
                request_id=f"bench-{profile}",
                quantity=1,
                profile=profile,
            )
            async for part in issuance.IssueCodes(order, metadata=metadata):
                codes += [code.uri for code in part.codes]
    await server.stop(0)
    return codes


def _cycle(bodies: list[bytes], count: int) -> list[bytes]:
    return (bodies * (count // len(bodies) + 1))[:count]
