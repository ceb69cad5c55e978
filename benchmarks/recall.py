"""Seconds from the return of a recall until the last of four processes shows it."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

from tests.support.node import nursery
from tests.support.recalls import fleet
from tests.support.redis_server import RedisServer

ROUNDS = 20


def measure(rounds: int = ROUNDS) -> dict[str, object]:
    """Medians and worst of recalls through each process in turn, each process asked directly."""
    with tempfile.TemporaryDirectory(prefix="tracechain-bench-") as folder:
        told, alone = asyncio.run(_measure(Path(folder), rounds))
    return {
        "processes": 4,
        "with_redis_s": _summary(told),
        "channel_cut_s": _summary(alone),
        "promise_s": {"with_redis": 1.0},
        "memory_lifetime_s": 1.0,
    }


async def _measure(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    with nursery() as nodes, RedisServer() as redis:
        async with fleet(nodes, folder, redis_url=redis.url) as four:
            # The first is for the listeners to be there.
            await four.recall(0)
            told = [await four.recall(number) for number in range(rounds)]
            redis.kill()
            alone = [await four.recall(number) for number in range(rounds)]
    return told, alone


def _summary(found: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(found), 4), "worst": round(max(found), 4)}
