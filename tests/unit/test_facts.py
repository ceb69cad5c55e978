"""Facts that many ask for at once are loaded once, and never across an invalidation."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.service import TIMEOUT
from tracechain.adapters.memory_cache import MemoryCache
from tracechain.app.facts import CachedFacts
from tracechain.app.ports import CacheHit
from tracechain.domain.errors import Unavailable
from tracechain.domain.verdict import BatchFacts


class Source:
    """Facts that are new at each load; a load waits until `gate` is open."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.loads = 0
        self.gate = asyncio.Event()
        self.failure = failure

    async def batch(self, batch_number: int) -> BatchFacts | None:
        self.loads += 1
        made = object.__new__(BatchFacts)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return made


def memory() -> MemoryCache:
    return MemoryCache(lambda: 0, lifetime=1, capacity=100)


async def asked(facts: CachedFacts, count: int) -> list[asyncio.Task[BatchFacts | None]]:
    """So many callers, all of whom have missed."""
    tasks = [asyncio.create_task(facts.batch(1)) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_who_misses_together_loads_once() -> None:
    source = Source()
    facts = CachedFacts(source, memory())
    tasks = await asked(facts, 50)
    source.gate.set()
    found = await asyncio.gather(*tasks)
    assert source.loads == 1
    assert all(each is found[0] for each in found)
    assert await facts.batch(1) is found[0]
    assert source.loads == 1


async def test_no_load_is_shared_across_an_invalidation() -> None:
    source, cache = Source(), memory()
    facts = CachedFacts(source, cache)
    (before,) = await asked(facts, 1)
    await cache.invalidate([1])
    (after,) = await asked(facts, 1)
    source.gate.set()
    assert await before is not await after
    assert source.loads == 2
    # What was loaded before is not kept after.
    assert await facts.batch(1) is await after


async def test_a_caller_who_leaves_ends_nobody_elses_load() -> None:
    source = Source()
    facts = CachedFacts(source, memory())
    first, second = await asked(facts, 2)
    first.cancel()
    source.gate.set()
    assert isinstance(await asyncio.wait_for(second, TIMEOUT), BatchFacts)
    assert source.loads == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_load_that_fails_fails_those_who_wait_for_it_and_is_tried_anew() -> None:
    source = Source(Unavailable("STORE_UNAVAILABLE", "the store cannot serve now"))
    facts = CachedFacts(source, memory())
    tasks = await asked(facts, 3)
    source.gate.set()
    for task in tasks:
        with pytest.raises(Unavailable):
            await task
    source.failure = None
    assert isinstance(await facts.batch(1), BatchFacts)
    assert source.loads == 2


class Tokenless(MemoryCache):
    """A cache that can keep nothing now."""

    async def lookup(self, batch_key: int, field: str) -> CacheHit:
        return CacheHit(None, None)


async def test_where_nothing_can_be_kept_each_loads_for_itself() -> None:
    source = Source()
    facts = CachedFacts(source, Tokenless(lambda: 0, lifetime=1, capacity=100))
    tasks = await asked(facts, 3)
    source.gate.set()
    await asyncio.gather(*tasks)
    assert source.loads == 3
