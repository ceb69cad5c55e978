"""A master of Redis is killed under load: no call fails, no answer is wrong, and the next master
is used by itself. Once with a Cluster, once with Sentinels.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
import redis

from tests.support.redis_group import RedisGroup
from tests.support.redis_server import RedisServer
from tests.support.service import Lot, World, outcome, reasons, running_world, second_node
from tracechain.v1 import issuance_pb2

# Facts in a process live so long, and so short that the load asks Redis all the time.
MEMORY_MS = 200
LOTS = 12
PATIENCE = 30.0


@dataclass
class Load:
    """Scans at both nodes without a pause, each compared with what it has to say."""

    nodes: tuple[World, World]
    goods: list[tuple[Lot, issuance_pb2.Code]]
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    over: bool = False

    async def run(self) -> None:
        """Until it is over."""
        await asyncio.gather(*(self._scan(number) for number in range(6)))

    async def _scan(self, number: int) -> None:
        node = self.nodes[number % 2]
        for _, code in itertools.cycle(self.goods):
            if self.over:
                return
            try:
                verdict = await node.verify(code.uri, "device")
            except Exception as error:
                self.wrong.append(repr(error))
                return
            self.answered += 1
            # Leaves the machine to the servers and to those who watch them, too.
            await asyncio.sleep(0.005)
            if (outcome(verdict), verdict.serial) != ("GENUINE", code.serial):
                self.wrong.append(f"{outcome(verdict)} {reasons(verdict)}")


async def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Waits for a condition that is asked of servers, beside the loop that carries the load."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < end, "it never came to hold"
        await asyncio.sleep(0.05)


@pytest.fixture(params=["redis_cluster", "redis_sentinels"])
def group(request: pytest.FixtureRequest) -> RedisGroup:
    """Each kind of group in turn."""
    found: RedisGroup = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture
async def nodes(group: RedisGroup, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    fields = {"redis_url": group.url, "memory_lifetime_ms": MEMORY_MS, "redis_lifetime_ms": 60_000}
    async with running_world(tmp_path, **fields) as one, second_node(one, **fields) as two:
        yield one, two
    await asyncio.to_thread(group.heal)


def holder_of(group: RedisGroup, number: int) -> RedisServer:
    """The master that holds what is remembered of a batch: in a Cluster the others say MOVED."""
    for server in group.masters():
        with suppress(redis.RedisError):
            group.ask(server, "EXISTS", f"tc:f:{{{number}}}:batch")
            return server
    raise AssertionError("nobody holds it")


def remembers(group: RedisGroup, number: int) -> bool:
    """Whether a batch's facts are in a Redis that is a master now."""
    return group.ask(holder_of(group, number), "EXISTS", f"tc:f:{{{number}}}:batch") == 1


async def test_a_master_that_is_killed_under_load_costs_no_answer(
    nodes: tuple[World, World], group: RedisGroup
) -> None:
    one, two = nodes
    lots = [await one.lot() for _ in range(LOTS + 2)]
    codes = [(await lot.issue(1))[0] for lot in lots]
    load = Load(nodes, list(zip(lots[:LOTS], codes[:LOTS], strict=True)))
    running = asyncio.create_task(load.run())
    await until(lambda: all(remembers(group, lot.number) for lot in lots[:LOTS]))

    # Two that are recalled: one in the moment before the master dies, so that what it took may be
    # lost with it, and one while nobody holds what it held.
    early, late = lots[LOTS:]
    for node, code in itertools.product(nodes, codes[LOTS:]):
        assert outcome(await node.verify(code.uri, "device")) == "GENUINE"
    lost = await asyncio.to_thread(holder_of, group, late.number)
    held = [lot for lot in lots[:LOTS] if holder_of(group, lot.number) is lost]
    masters = len(group.masters())
    await early.recall()
    lost.kill()
    before = load.answered
    await late.recall()
    shown_at = time.monotonic()
    for code in codes[LOTS:]:
        assert "RECALLED_BATCH" in reasons(await one.verify(code.uri, "device"))
    for code in codes[LOTS:]:
        while "RECALLED_BATCH" not in reasons(await two.verify(code.uri, "device")):
            # Its own memory is that short; what Redis had would be believed twice as long as this.
            assert time.monotonic() - shown_at < PATIENCE
            await asyncio.sleep(0.01)

    # While nobody holds it, after somebody does, and after the dead one is back.
    await until(lambda: load.answered > before + 20)
    await until(lambda: len(group.masters()) == masters)
    assert load.wrong == []
    for lot in held or lots[:LOTS]:
        group_forgets(group, lot.number)
    await until(lambda: all(remembers(group, lot.number) for lot in held or lots[:LOTS]))
    for node, code in itertools.product(nodes, codes[LOTS:]):
        assert "RECALLED_BATCH" in reasons(await node.verify(code.uri, "device"))
    await asyncio.to_thread(group.heal)
    # And the recalls of afterwards reach the other node.
    await lots[0].recall()
    load.goods = load.goods[1:]
    while "RECALLED_BATCH" not in reasons(await two.verify(codes[0].uri, "device")):
        assert time.monotonic() - shown_at < PATIENCE * 3
        await asyncio.sleep(0.01)
    after = load.answered
    await until(lambda: load.answered > after + 20)
    load.over = True
    await running
    wrong = [said for said in load.wrong if "RECALLED_BATCH" not in said]
    assert wrong == []


def group_forgets(group: RedisGroup, number: int) -> None:
    """Takes from the master of now what it has as a copy of the one before."""
    group.ask(holder_of(group, number), "DEL", f"tc:f:{{{number}}}:batch")
