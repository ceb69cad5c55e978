"""Buckets that processes share, over each kind of a real Redis, and without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import redis

from tests.support.redis_server import RedisServer
from tracechain.adapters.redis_buckets import SharedBuckets
from tracechain.adapters.redis_lanes import Lanes
from tracechain.adapters.redis_url import connect
from tracechain.domain.errors import Unavailable
from tracechain.domain.rate import Rate

KEY = bytes(32)
# Slow enough that nothing comes back while a test runs.
SLOW = Rate(0.001, 80)

Process = Callable[..., SharedBuckets]


def now() -> int:
    return time.time_ns() // 1000


@pytest.fixture(params=["server", "sentinels", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Each kind of Redis in turn."""
    found: str = request.getfixturevalue(f"redis_{request.param}").url
    return found


@pytest_asyncio.fixture
async def process() -> AsyncIterator[Process]:
    """Makes the buckets of one process each."""
    async with AsyncExitStack() as opened:

        def make(
            url: str, rate: Rate = SLOW, rule: str = "", timeout: float = 5.0
        ) -> SharedBuckets:
            lanes = Lanes(connect(url), now, in_flight=64, timeout=timeout)
            buckets = SharedBuckets(rule or f"rule {now()}", rate, lanes, KEY, now)
            opened.push_async_callback(lanes.close)
            opened.push_async_callback(buckets.close)
            return buckets

        yield make


async def told(*processes: SharedBuckets) -> None:
    """Waits until what was taken is known to Redis."""
    for buckets in processes:
        await asyncio.gather(*buckets._telling)


async def test_processes_count_together(url: str, process: Process) -> None:
    nodes = [process(url, rule="together") for _ in range(4)]
    taken = 0
    for _ in range(200):
        for buckets in nodes:
            if not buckets.take(url):
                taken += 1
        await told(*nodes)
    # Four apart would have let through 320. An eighth of a burst each may be missed.
    assert SLOW.burst <= taken <= SLOW.burst + len(nodes) * SLOW.burst // 8


async def test_who_keeps_to_the_limit_costs_no_round_trip(url: str, process: Process) -> None:
    buckets = process(url)
    for number in range(200):
        assert buckets.take(f"client {number}") == 0.0
        assert not buckets._telling


async def test_an_exact_count_is_exact(url: str, process: Process) -> None:
    rate = Rate(0.001, 5)
    nodes = [process(url, rate, rule="exact") for _ in range(3)]
    waits = await asyncio.gather(*(node.take_exactly(url) for node in nodes for _ in range(6)))
    assert sorted(wait > 0 for wait in waits) == [False] * 5 + [True] * 13
    assert 900 < max(waits) <= 1000
    # What was refused was not charged.
    assert max(waits) - min(w for w in waits if w) < 60


async def test_tokens_come_back(redis_server: RedisServer, process: Process) -> None:
    buckets = process(redis_server.url, Rate(20, 1))
    assert await buckets.take_exactly("a") == 0.0
    tries = 0
    # Redis has its own clock: on a busy machine one comes back between two calls.
    while not (wait := await buckets.take_exactly("a")):
        assert (tries := tries + 1) < 100, "nobody is refused"
    assert wait <= 0.05
    await asyncio.sleep(wait + 0.005)
    assert await buckets.take_exactly("a") == 0.0


JUNK = [b"", b"junk", b"nan", b"inf", b"-inf", b"1e308", b"-5", b"0x7fffffffffffff", b"\xff\x00"]


@pytest.mark.parametrize("junk", [*JUNK, "list"])
async def test_junk_in_redis_costs_one_filling_at_most(
    redis_server: RedisServer, process: Process, junk: bytes | str
) -> None:
    rate = Rate(40, 2)
    buckets = process(redis_server.url, rate)
    assert await buckets.take_exactly("a") == 0.0
    with redis.Redis.from_url(redis_server.url) as raw:
        for key in raw.keys("tc:l:*"):
            raw.delete(key)
            if junk == "list":
                raw.rpush(key, "x")
            else:
                raw.set(key, junk)
        wait = await buckets.take_exactly("a")
        assert wait <= 2 * rate.burst / rate.per_second
        await asyncio.sleep(wait + 0.01)
        assert await buckets.take_exactly("a") == 0.0
        for key in raw.keys("tc:l:*"):
            raw.delete(key)


async def test_no_name_and_no_key_without_an_end_is_in_redis(
    redis_server: RedisServer, process: Process
) -> None:
    buckets = process(redis_server.url, Rate(1, 8))
    for _ in range(8):
        buckets.take("192.0.2.77")
    await told(buckets)
    with redis.Redis.from_url(redis_server.url) as raw:
        keys = raw.keys("tc:l:*")
        assert keys
        for key in keys:
            assert b"192.0.2.77" not in key
            assert 0 < raw.pttl(key) < 60_000
            raw.delete(key)


async def test_without_redis_calls_are_open_and_pins_shut(process: Process) -> None:
    server = RedisServer()
    with server:
        buckets = process(server.url)
        assert await buckets.take_exactly("a") == 0.0
        server.kill()
        for _ in range(SLOW.burst):
            assert buckets.take("a") == 0.0
        # Open, and by the count of this process: not without end.
        assert buckets.take("a") > 0
        await told(buckets)
        with pytest.raises(Unavailable) as error:
            await buckets.take_exactly("a")
        assert error.value.reason == "LIMITS_UNAVAILABLE"
        assert error.value.retry_after > 0
        server.restart()
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await buckets.take_exactly("a") == 0.0
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
