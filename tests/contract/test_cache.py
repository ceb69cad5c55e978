"""The Cache protocol, over the memory of a process and over a real Redis.

A cache may forget at any moment. What it must never do is give what an invalidation has
overtaken, what it was not given, or a moment of waiting for something that is away.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clock import HandClock
from tests.support.redis_server import RedisServer
from tests.support.service import gtin_of
from tests.support.stores import batch, fresh_key, product, recall
from tracechain.adapters.fact_codec import FactCodec
from tracechain.adapters.memory_cache import MemoryCache
from tracechain.adapters.redis_cache import RedisCache
from tracechain.adapters.redis_lanes import Lanes
from tracechain.adapters.redis_servers import OneServer
from tracechain.adapters.redis_url import connect, parse
from tracechain.app.ports import Cache
from tracechain.domain.code import Profile
from tracechain.domain.product import IssuedRun
from tracechain.domain.text import LocalizedText
from tracechain.domain.verdict import BatchFacts

LIFETIME = 60_000_000
TIMEOUT = 0.15
# A call that has to wait for a Redis that hangs asks it twice at most; were each of some hundred to
# wait in turn, it would be more than this.
BOUNDED = 20.0
MAC_KEY = bytes(32)
one_cache_for_all = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50
)


def facts(name: object) -> BatchFacts:
    """Facts that a name makes different from all others."""
    return BatchFacts(
        batch(gtin_of(1), f"批 {name}", 100, batch_number=7, issued_quantity=30),
        product(1, "6901234000023"),
        LocalizedText("酒厂", "Distillery"),
        (IssuedRun(0, 20, Profile.SIGNED, 1), IssuedRun(20, 30, Profile.COMPACT, 2)),
        (recall(7, "r1"), recall(7, "r2", spans=())),
    )


@dataclass
class Nodes:
    """Makes caches that share what they remember, as nodes do, and closes them."""

    clock: HandClock
    url: str
    timeout: float = TIMEOUT
    opened: list[Cache] = field(default_factory=list)

    def redis(self, **fields: Any) -> RedisCache:
        """The cache of another node on the same Redis."""
        known = {"in_flight": 64, "timeout": self.timeout, "codec": FactCodec(), "mac_key": MAC_KEY}
        known = {**known, "lifetime": LIFETIME, **fields}
        lanes = Lanes(
            connect(self.url), self.clock, in_flight=known["in_flight"], timeout=known["timeout"]
        )
        made = RedisCache(
            lanes, known["codec"], known["mac_key"], self.clock, lifetime=known["lifetime"]
        )
        self.opened.append(made)
        return made

    def memory(self, capacity: int = 10_000) -> MemoryCache:
        """The memory of a process."""
        made = MemoryCache(self.clock, lifetime=LIFETIME, capacity=capacity)
        self.opened.append(made)
        return made


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["one", "sentinels", "cluster"])
def redis_url(request: pytest.FixtureRequest) -> str:
    """Each kind of Redis in turn."""
    name = {"one": "redis_server"}.get(request.param, f"redis_{request.param}")
    url: str = request.getfixturevalue(name).url
    return url


@pytest_asyncio.fixture
async def nodes(clock: HandClock, redis_url: str) -> AsyncIterator[Nodes]:
    # Patient: this Redis is there, and a busy machine takes its time.
    made = Nodes(clock, redis_url, 5.0)
    yield made
    for cache in made.opened:
        await cache.close()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, nodes: Nodes) -> Cache:
    """Each cache in turn."""
    return nodes.memory() if request.param == "memory" else nodes.redis()


def nothing() -> None:
    """For who does not mind having missed something."""


async def remembered(cache: Cache, key: int, name: str = "batch") -> object | None:
    """What a look-up gives."""
    return (await cache.lookup(key, name)).value


async def kept(cache: Cache, key: int, value: object, name: str = "batch") -> None:
    """Keeps a value as a reader does: a look-up that misses, then the put."""
    hit = await cache.lookup(key, name)
    await cache.put(key, name, value, hit.token)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_was_put_is_given_exactly_and_under_its_own_name_only(cache: Cache) -> None:
    key = fresh_key()
    assert await remembered(cache, key) is None
    await kept(cache, key, facts("a"))
    assert await remembered(cache, key) == facts("a")
    assert await remembered(cache, key, "other") is None
    assert await remembered(cache, fresh_key()) is None
    await kept(cache, key, facts("b"), "other")
    await kept(cache, key, facts("c"))
    assert await remembered(cache, key, "other") == facts("b")
    assert await remembered(cache, key) == facts("c")


async def test_it_is_forgotten_in_time(cache: Cache, clock: HandClock) -> None:
    key = fresh_key()
    await kept(cache, key, facts("a"))
    clock.now += LIFETIME - 1
    assert await remembered(cache, key) == facts("a")
    clock.now += 1
    assert await remembered(cache, key) is None


async def test_an_invalidation_forgets_every_name_under_its_keys_and_nothing_else(
    cache: Cache,
) -> None:
    one, two, other = fresh_key(), fresh_key(), fresh_key()
    for key in (one, two, other):
        await kept(cache, key, facts(key))
        await kept(cache, key, facts(-key), "more")
    await cache.invalidate([one, two])
    for key in (one, two):
        assert await remembered(cache, key) is None
        assert await remembered(cache, key, "more") is None
    assert await remembered(cache, other) == facts(other)
    assert await remembered(cache, other, "more") == facts(-other)
    await cache.invalidate([])
    await kept(cache, one, facts("anew"))
    assert await remembered(cache, one) == facts("anew")


async def test_a_put_that_an_invalidation_overtook_does_not_win(cache: Cache) -> None:
    key = fresh_key()
    early = await cache.lookup(key, "batch")
    await cache.invalidate([key])
    await cache.put(key, "batch", facts("stale"), early.token)
    assert await remembered(cache, key) is None
    await kept(cache, key, facts("new"))
    await cache.put(key, "batch", facts("stale"), early.token)
    assert await remembered(cache, key) in (None, facts("new"))
    # Nor one that began before the invalidation with an entry in place.
    await kept(cache, key, facts("new"))
    late = await cache.lookup(key, "batch")
    await cache.invalidate([key])
    await cache.invalidate([key])
    await cache.put(key, "batch", facts("stale"), late.token)
    assert await remembered(cache, key) is None


@pytest.mark.parametrize("token", [None, b"", b"made up", 17, "text"])
async def test_a_put_with_a_token_that_was_never_given_is_dropped(
    cache: Cache, token: object
) -> None:
    key = fresh_key()
    await cache.lookup(key, "batch")
    await cache.put(key, "batch", facts("a"), token)
    assert await remembered(cache, key) is None


steps = st.lists(
    st.tuples(
        st.sampled_from(["look", "put", "put", "invalidate", "later"]),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=30,
)


@pytest.mark.parametrize("kind", ["memory", "redis"])
@one_cache_for_all
@given(steps=steps)
async def test_nothing_that_was_overtaken_is_ever_given(
    nodes: Nodes, kind: str, steps: list[tuple[str, int, int]]
) -> None:
    # Two nodes on one Redis; of a process's memory there is but one.
    caches: list[Cache] = [nodes.redis(), nodes.redis()]
    if kind == "memory":
        caches = [nodes.memory()] * 2
    clock, base = nodes.clock, [fresh_key() for _ in range(3)]
    # A reader takes a token, reads the truth of that moment, and may put it at any time after.
    truth, reading = [0, 0, 0], {}
    put_at: dict[tuple[int, int], int] = {}
    for what, who, which in steps:
        cache, key = caches[who], base[which]
        if what == "look":
            hit = await cache.lookup(key, "batch")
            if hit.value is not None:
                assert hit.value == facts((key, truth[which])), "an overtaken value was given"
                assert clock.now < put_at[which, truth[which]] + LIFETIME
            reading[who, which] = (hit.token, truth[which])
        elif what == "put" and (who, which) in reading:
            token, read = reading[who, which]
            await cache.put(key, "batch", facts((key, read)), token)
            put_at[which, read] = clock.now
        elif what == "invalidate":
            truth[which] += 1
            await cache.invalidate([key])
        elif what == "later":
            clock.now += LIFETIME // 2
    for one in nodes.opened:
        await one.close()
    nodes.opened.clear()


async def test_a_memory_has_bounds_and_throws_out_the_oldest(nodes: Nodes) -> None:
    memory = nodes.memory(capacity=100)
    for key in range(1000):
        await kept(memory, key, key)
        assert await remembered(memory, key) == key
    found = [key for key in range(1000) if await remembered(memory, key) is not None]
    assert 80 <= len(found) <= 100
    assert found == list(range(1000 - len(found), 1000))


async def test_a_memory_that_forgets_its_counters_revives_nothing(nodes: Nodes) -> None:
    memory = nodes.memory(capacity=10)
    await kept(memory, 1, "old")
    overtaken = await memory.lookup(1, "batch")
    await memory.invalidate([1])
    # So many others change that the counter of the first is thrown away.
    for key in range(2, 50):
        await memory.invalidate([key])
    await memory.put(1, "batch", "old", overtaken.token)
    assert await remembered(memory, 1) is None
    await kept(memory, 1, "new")
    assert await remembered(memory, 1) == "new"


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """A plain client: somebody who can write to Redis and has no key."""
    at = parse(redis_url)
    client: Any
    if at.kind == "cluster":
        client = redis.RedisCluster(*at.hosts[0])
    elif at.kind == "sentinel":
        client = redis.Sentinel(at.hosts).master_for(at.service, socket_timeout=5)
    else:
        client = redis.Redis.from_url(redis_url, socket_timeout=5)
    with client:
        yield client


def names_of(raw: redis.Redis, key: int) -> tuple[bytes, bytes]:
    """What Redis holds under a batch key: its generation and its entry."""
    found = [bytes(name) for name in raw.scan_iter(f"*{{{key}}}*")]
    (entry,) = [name for name in found if name.endswith(b":batch")]
    (generation,) = [name for name in found if name != entry]
    return generation, entry


def put(raw: redis.Redis, values: dict[str, Any]) -> None:
    """Sets keys one by one: in a Cluster they lie apart."""
    for name, value in values.items():
        raw.set(name, value)


async def test_nodes_share_what_they_remember(nodes: Nodes) -> None:
    one, two, key = nodes.redis(), nodes.redis(), fresh_key()
    await kept(one, key, facts("a"))
    assert await remembered(two, key) == facts("a")
    await two.invalidate([key])
    assert await remembered(one, key) is None


async def test_an_entry_with_any_byte_changed_is_a_miss(nodes: Nodes, raw: redis.Redis) -> None:
    cache, key = nodes.redis(), fresh_key()
    await kept(cache, key, facts("a"))
    _, name = names_of(raw, key)
    good = bytes(raw.get(name) or b"")
    spoiled = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 7)]
    spoiled += [good[:at] for at in range(64)] + [good[:-1], good + b" ", b"{}", b"\xff" * 99]
    for value in spoiled:
        raw.set(name, value)
        assert await remembered(cache, key) is None
    raw.set(name, good)
    assert await remembered(cache, key) == facts("a")


async def test_entries_that_changed_places_are_misses(nodes: Nodes, raw: redis.Redis) -> None:
    cache, one, two = nodes.redis(), fresh_key(), fresh_key()
    for key in (one, two):
        await kept(cache, key, facts(key))
        await kept(cache, key, facts(-key), "other")
    pairs = [(f"tc:f:{{{one}}}:batch", f"tc:f:{{{two}}}:batch")]
    pairs.append((f"tc:f:{{{one}}}:other", f"tc:f:{{{one}}}:batch"))
    for left, right in pairs:
        before = [raw.get(left), raw.get(right)]
        assert None not in before
        put(raw, {left: before[1], right: before[0]})
        for key in (one, two):
            for name in ("batch", "other"):
                if f"tc:f:{{{key}}}:{name}" in (left, right):
                    assert await remembered(cache, key, name) is None
        put(raw, {left: before[0], right: before[1]})
    # The whole of one key moved to another, its generation too.
    (g_one, e_one), (g_two, e_two) = ((f"tc:g:{{{k}}}", f"tc:f:{{{k}}}:batch") for k in (one, two))
    put(raw, {g_two: raw.get(g_one), e_two: raw.get(e_one)})
    assert await remembered(cache, two) is None
    assert await remembered(cache, one) == facts(one)


async def test_an_entry_is_good_under_its_generation_and_for_its_time_only(
    nodes: Nodes, raw: redis.Redis, clock: HandClock
) -> None:
    cache, key = nodes.redis(), fresh_key()
    await kept(cache, key, facts("a"))
    generation, entry = names_of(raw, key)
    value = raw.get(entry)
    await cache.invalidate([key])
    raw.set(entry, value or b"")
    assert await remembered(cache, key) is None
    for junk in (b"", b"\x00", b"0" * 16):
        raw.set(generation, junk)
        assert await remembered(cache, key) is None
    # Whoever keeps an entry beyond the time that Redis would: its end is written in it.
    await kept(cache, key, facts("b"))
    raw.persist(entry)
    raw.persist(generation)
    clock.now += LIFETIME
    assert await remembered(cache, key) is None


async def test_values_of_another_type_are_misses_and_harm_nothing(
    nodes: Nodes, raw: redis.Redis
) -> None:
    cache, one, two, other = nodes.redis(), fresh_key(), fresh_key(), fresh_key()
    for key in (one, two, other):
        await kept(cache, key, facts(key))
    raw.delete(names_of(raw, one)[1])
    raw.rpush(f"tc:f:{{{one}}}:batch", "junk")
    raw.delete(f"tc:g:{{{two}}}")
    raw.rpush(f"tc:g:{{{two}}}", "junk")
    for key in (one, two):
        assert await remembered(cache, key) is None
    assert await remembered(cache, other) == facts(other)
    # An invalidation sets it right.
    await cache.invalidate([one, two])
    for key in (one, two):
        await kept(cache, key, facts(key))
        assert await remembered(cache, key) == facts(key)


async def test_an_entry_of_somebody_with_another_key_is_a_miss(nodes: Nodes) -> None:
    mine, theirs, key = nodes.redis(), nodes.redis(mac_key=b"\x01" * 32), fresh_key()
    await kept(theirs, key, facts("forged"))
    assert await remembered(theirs, key) == facts("forged")
    assert await remembered(mine, key) is None


class OtherRelease:
    """Writes what this release cannot read."""

    def encode(self, value: object) -> bytes:
        return b'{"batch":[1,2,3],"shape":"of another release"}'

    def decode(self, name: str, data: bytes) -> object:
        return data


async def test_an_entry_of_another_release_is_a_miss(nodes: Nodes) -> None:
    mine, newer, key = nodes.redis(), nodes.redis(codec=OtherRelease()), fresh_key()
    await kept(newer, key, facts("a"))
    assert await remembered(newer, key) is not None
    assert await remembered(mine, key) is None


async def listening(raw: redis.Redis, count: int) -> None:
    """Waits until so many nodes listen."""

    def listeners(**where: Any) -> int:
        ((_, found),) = raw.pubsub_numsub("tracechain:invalidate", **where)
        return int(found)

    async def all_there() -> bool:
        if isinstance(raw, redis.RedisCluster):
            return sum(listeners(target_nodes=node) for node in raw.get_nodes()) == count
        return listeners() == count

    await until(all_there)


async def test_an_invalidation_reaches_the_memory_of_the_other_nodes(
    nodes: Nodes, raw: redis.Redis
) -> None:
    one, two, memory, key = nodes.redis(), nodes.redis(), nodes.memory(), fresh_key()
    told_itself: list[int] = []
    one.on_invalidate(told_itself.append, nothing)
    two.on_invalidate(memory.forget, nothing)
    await listening(raw, 2)
    other = fresh_key()
    await kept(memory, key, facts("a"))
    await kept(memory, other, facts("b"))
    reading = await memory.lookup(key, "batch")
    await one.invalidate([key])

    async def forgotten() -> bool:
        return await remembered(memory, key) is None

    await until(forgotten)
    # Also what was being read when it came.
    await memory.put(key, "batch", facts("stale"), reading.token)
    assert await remembered(memory, key) is None
    assert await remembered(memory, other) == facts("b")
    assert told_itself == []


async def test_it_can_be_closed_at_any_moment(nodes: Nodes) -> None:
    # At some of them the driver has just written, and forgets that it was cancelled (Python 3.11).
    for turns in range(60):
        cache = nodes.redis()
        cache.on_invalidate(lambda _: None, nothing)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(BOUNDED):
            await cache.close()


async def test_junk_on_the_channel_deafens_nobody(nodes: Nodes, raw: redis.Redis) -> None:
    one, two = nodes.redis(), nodes.redis()
    heard: list[int] = []
    two.on_invalidate(heard.append, nothing)
    await listening(raw, 1)
    for junk in (b"", b"x", b" ", b"x -1", b"x 1.5", b"x " + b"9" * 5000, b"\xff \xff", b"x \xb2"):
        raw.publish("tracechain:invalidate", junk)
    await one.invalidate([41, 42])

    async def all_heard() -> bool:
        return len(heard) >= 2

    await until(all_heard)
    assert sorted(heard) == [41, 42]


async def test_thousands_of_keys_are_invalidated_by_one_call(
    nodes: Nodes, raw: redis.Redis
) -> None:
    # A document of events names so many things.
    one, two = nodes.redis(), nodes.redis()
    heard: set[int] = set()
    two.on_invalidate(heard.add, nothing)
    await listening(raw, 1)
    keys = [fresh_key() for _ in range(20_000)]
    for key in (keys[0], keys[-1]):
        await kept(two, key, facts(key))
    await one.invalidate(keys)
    for node in (one, two):
        for key in (keys[0], keys[-1]):
            assert await remembered(node, key) is None

    async def all_heard() -> bool:
        return heard == set(keys)

    await until(all_heard)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis to stop and to freeze."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def own_nodes(own_redis: RedisServer, clock: HandClock) -> AsyncIterator[Nodes]:
    made = Nodes(clock, own_redis.url)
    yield made
    for cache in made.opened:
        await cache.close()


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """A Redis that takes connections and bytes, and answers nothing."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextmanager
def away(server: RedisServer, how: str) -> Iterator[None]:
    """A Redis that is gone, or that hangs."""
    if how == "frozen":
        with frozen(server):
            yield
    else:
        server.kill()
        yield
        server.start()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_while_redis_is_away_everything_misses_and_nobody_waits(
    own_nodes: Nodes, own_redis: RedisServer, clock: HandClock, how: str
) -> None:
    cache, key = own_nodes.redis(), fresh_key()
    await kept(cache, key, facts("a"))
    with away(own_redis, how):
        started = time.monotonic()
        hits = await asyncio.gather(*(cache.lookup(key, "batch") for _ in range(200)))
        assert {(hit.value, hit.token) for hit in hits} == {(None, None)}
        await cache.put(key, "batch", facts("b"), b"token")
        await cache.invalidate([fresh_key()])
        assert time.monotonic() - started < BOUNDED
        # The breaker is open: it is not even asked.
        started = time.monotonic()
        for _ in range(1000):
            assert await remembered(cache, key) is None
        assert time.monotonic() - started < BOUNDED
    # Back: it is left alone for the pause, and then used again.
    assert await remembered(cache, key) is None
    clock.now += 500_000

    async def used_again() -> bool:
        clock.now += 500_000
        await kept(cache, key, facts("c"))
        return await remembered(cache, key) == facts("c")

    await until(used_again)


async def test_while_redis_hangs_commands_in_flight_are_bounded(
    own_nodes: Nodes, own_redis: RedisServer
) -> None:
    cache, key = own_nodes.redis(in_flight=3, timeout=2.0), fresh_key()
    await kept(cache, key, facts("a"))
    with frozen(own_redis):
        asked = [asyncio.create_task(cache.lookup(key, "batch")) for _ in range(20)]
        # All but three are told at once that there is nothing.
        while len(done := [task for task in asked if task.done()]) < 17:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert len(done) == 17
        assert {task.result().value for task in done} == {None}
        async with asyncio.timeout(BOUNDED):
            await asyncio.wait(asked)


class DeafClient:
    """A client of Redis that does not hear that it is cancelled, once: asyncio.wait_for before
    Python 3.12 loses a cancellation that comes at the wrong moment."""

    def pipeline(self, *, transaction: bool) -> DeafClient:
        return self

    def execute_command(self, *_: object) -> None:
        """Only taken down."""

    async def execute(self, *, raise_on_error: bool) -> list[bytes]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError


async def test_nobody_waits_for_a_client_that_cannot_be_cancelled(clock: HandClock) -> None:
    client: Any = DeafClient()
    lanes = Lanes(OneServer(client), clock, in_flight=2, timeout=0.05)
    cache = RedisCache(lanes, FactCodec(), MAC_KEY, clock, lifetime=LIFETIME)
    async with asyncio.timeout(BOUNDED):
        hits = await asyncio.gather(*(cache.lookup(1, "batch") for _ in range(5)))
        assert {hit.value for hit in hits} == {None}
        # What hangs counts as under way: it cannot pile up.
        clock.now += 500_000
        assert await remembered(cache, 1) is None
    assert lanes.to_server(client).waiting == 2
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


@pytest.mark.parametrize("asked", [0, 1, 5])
async def test_an_invalidation_that_redis_did_not_take_is_not_forgotten(
    own_nodes: Nodes, own_redis: RedisServer, clock: HandClock, asked: int
) -> None:
    # As when the network is cut: Redis is well, holds the old facts, and hears of no change.
    here, there = own_nodes.redis(in_flight=2), own_nodes.redis()
    memory, key = own_nodes.memory(), fresh_key()
    there.on_invalidate(memory.forget, nothing)
    with redis.Redis.from_url(own_redis.url) as raw:
        await listening(raw, 1)
    await kept(here, key, facts("old"))
    await kept(memory, key, facts("old"))
    gate = Gate.before(own_redis, here)
    gate.shut = True
    looking = [asyncio.create_task(here.lookup(key, "batch")) for _ in range(asked)]
    await asyncio.sleep(0)
    await here.invalidate([key])
    await asyncio.gather(*looking)
    assert await remembered(here, key) is None
    gate.shut = False

    # At no moment does this node go back to what it knows to be overtaken.
    async def other_node_knows() -> bool:
        clock.now += 500_000
        assert await remembered(here, key) is None
        return await remembered(memory, key) is None

    await until(other_node_knows)
    assert await remembered(there, key) is None

    async def used_again() -> bool:
        clock.now += 500_000
        await kept(here, key, facts("new"))
        return await remembered(there, key) == facts("new")

    await until(used_again)


@dataclass
class Gate:
    """Stands between a node and Redis: while it is shut, no connection gets through."""

    shut: bool = False

    @classmethod
    def before(cls, server: RedisServer, cache: RedisCache) -> Gate:
        """Puts a gate before a node that is connected already."""
        gate = cls()
        client = cache._servers.everyone()[0]
        take = client.connection_pool.get_connection

        async def guarded(*arguments: Any, **named: Any) -> Any:
            if gate.shut:
                raise redis.ConnectionError("the network is cut")
            return await take(*arguments, **named)

        client.connection_pool.get_connection = guarded  # type: ignore[method-assign]
        return gate


async def test_an_invalidation_gets_through_where_look_ups_fill_the_line(
    own_nodes: Nodes, own_redis: RedisServer
) -> None:
    here, there, key = own_nodes.redis(in_flight=2, timeout=2.0), own_nodes.redis(), fresh_key()
    await kept(there, key, facts("old"))
    with frozen(own_redis):
        looking = [asyncio.create_task(here.lookup(key, "batch")) for _ in range(5)]
        await asyncio.wait(looking, timeout=0.05)
        changing = asyncio.create_task(here.invalidate([key]))
        await asyncio.wait([changing], timeout=0.05)
    await changing
    await asyncio.gather(*looking)
    for node in (here, there):
        assert await remembered(node, key) is None


async def test_after_redis_came_back_the_next_invalidation_is_heard(
    own_nodes: Nodes, own_redis: RedisServer
) -> None:
    one, two = own_nodes.redis(), own_nodes.redis()
    heard: list[int] = []
    two.on_invalidate(heard.append, nothing)
    with redis.Redis.from_url(own_redis.url) as raw:
        await listening(raw, 1)
    # Connections in the pool from before, as a node has that was busy.
    await asyncio.gather(*(kept(one, fresh_key(), facts("a")) for _ in range(8)))
    own_redis.kill()
    own_redis.start()
    with redis.Redis.from_url(own_redis.url) as raw:
        await listening(raw, 1)
    await one.invalidate([77])

    async def all_heard() -> bool:
        return heard == [77]

    await until(all_heard)


async def test_a_debt_ends_when_nothing_that_it_overtook_can_live(
    own_nodes: Nodes, own_redis: RedisServer, clock: HandClock
) -> None:
    cache, keys = own_nodes.redis(), [fresh_key() for _ in range(100)]
    own_redis.kill()
    await cache.invalidate(keys)
    assert len(cache._owed) == 100
    clock.now += 2 * LIFETIME

    async def forgiven() -> bool:
        return not cache._owed and cache._paying is None

    await until(forgiven)
