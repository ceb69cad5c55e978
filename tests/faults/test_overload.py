"""More calls than a process takes, on a real one: who is refused is told, who is taken is served.

The process takes few calls at once, so that a handful of connections is ten times too many.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.processes import resident_bytes
from tests.faults.test_kill import prepared
from tests.support.node import Node, Nursery
from tests.support.service import TIMEOUT, Refusal, channel_to, gathered, outcome
from tracechain.v1 import verification_pb2, verification_pb2_grpc

LIMIT = 4
CONNECTIONS = 20
CODES = 5
ROUNDS = 15
# Far above what a process needs for some hundred calls, far below what a leak would show.
GROWTH = 64 * 1024 * 1024


@dataclass
class Crowd:
    """A node that takes few calls at once, and connections of its own for each of many clients."""

    node: Node
    codes: list[str]
    channels: list[grpc.aio.Channel]

    def stubs(self) -> list[Any]:
        return [verification_pb2_grpc.VerificationServiceStub(c) for c in self.channels]


@pytest.fixture
async def crowd(nodes: Nursery, tmp_path: Path) -> AsyncIterator[Crowd]:
    async with nodes.serving(tmp_path, max_calls=LIMIT, max_calls_per_connection=8) as node:
        _, codes = await prepared(node)
        said = json.loads((tmp_path / f"node-{node.pid}.json").read_text())
        channels = [channel_to(f"127.0.0.1:{said['port']}") for _ in range(CONNECTIONS)]
        yield Crowd(node, codes[:CODES], channels)
        await asyncio.gather(*(channel.close() for channel in channels))


async def test_who_is_refused_is_told_and_who_is_taken_is_on_record(crowd: Crowd) -> None:
    answered: list[tuple[str, verification_pb2.Verdict]] = []
    errors: list[Refusal] = []
    stubs = crowd.stubs()
    health: Any = health_pb2_grpc.HealthStub(crowd.node.channel)
    before = 0
    for number in range(ROUNDS):
        asked = [code for code in crowd.codes for _ in stubs]
        calls = [
            stub.VerifyCode(
                verification_pb2.VerifyCodeRequest(code=code, request_id=f"{number}-{i}-{j}"),
                timeout=TIMEOUT,
            )
            for i, code in enumerate(crowd.codes)
            for j, stub in enumerate(stubs)
        ]
        beat = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        assert beat.status == health_pb2.HealthCheckResponse.SERVING
        for code, found in zip(asked, await gathered(calls), strict=True):
            if isinstance(found, grpc.aio.AioRpcError):
                errors.append(Refusal.of(found))
            else:
                answered.append((code, found))
        if number == ROUNDS // 3:
            before = resident_bytes([crowd.node.pid])
    assert resident_bytes([crowd.node.pid]) - before < GROWTH
    assert len(answered) >= ROUNDS * LIMIT
    assert errors
    for error in errors:
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert error.retry_after is not None
        assert 0 < error.retry_after < 10
    assert {outcome(verdict) for _, verdict in answered} <= {"GENUINE", "CAUTION"}
    # The load is over: everything is answered. Each scan that was taken is on record, and each
    # that was refused is not.
    for code in crowd.codes:
        verdict = await answered_in_time(stubs[0], code)
        assert verdict.previous_scans == sum(asked == code for asked, _ in answered)


async def answered_in_time(stub: Any, code: str) -> verification_pb2.Verdict:
    """The verdict, within a few seconds of the last refusal."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            verdict: verification_pb2.Verdict = await stub.VerifyCode(
                verification_pb2.VerifyCodeRequest(code=code)
            )
        except grpc.aio.AioRpcError:
            assert time.monotonic() < deadline, "it never came back"
            await asyncio.sleep(0.05)
        else:
            return verdict
