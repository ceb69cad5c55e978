"""Whoever continues the log dies at any step: another one goes on, and the tree never forks."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import postgres_server
from tests.support import stores as s
from tests.support.sequencer import STEPS, open_at, run, signed
from tracechain.app.log.sequencing import Sequencing
from tracechain.app.ports import Store
from tracechain.domain.log.checkpoint import Head
from tracechain.domain.log.leaf import Leaf
from tracechain.domain.log.merkle import leaf_hash
from tracechain.domain.log.tiles import Edge

PER_ROUND = 40
# Each is forked from one that has imported everything: starting Python anew takes seconds.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([run.__module__])
KEY = 1 << 40


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where a store of each backend is."""
    if request.param == "sqlite":
        yield str(tmp_path / "store.sqlite3")
        return
    yield await s.postgres_url(tmp_path)
    await postgres_server.shared().drop(tmp_path)


async def test_it_dies_at_every_step_and_the_tree_goes_on(place: str) -> None:
    store = await open_at(place)
    heads: list[Head] = []
    try:
        for number, step in enumerate(STEPS):
            said = [s.digest(f"{step} {n}", n) for n in range(PER_ROUND)]
            await store.append_events([s.event(d, [s.touch(KEY, 0, 5, d)]) for d in said])
            await killed_at(place, step)
            heads.append(await store.log_head())
            await taken_over(store, number)
            heads.append(await store.log_head())
            await agree(store, heads, PER_ROUND * (number + 1))
    finally:
        await store.close()


async def killed_at(place: str, step: str) -> None:
    """Runs another process until it is there, and kills it."""
    reader, writer = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=run, args=(place, step, writer))
    process.start()
    writer.close()
    with reader:
        assert await asyncio.to_thread(os.read, reader.fileno(), 1) == b"r"
        process.kill()
    await asyncio.to_thread(process.join)


async def taken_over(store: Store, number: int) -> None:
    """Another node goes on once the lease of the dead one has ended, and not before."""
    published: list[Head] = []

    async def publish(fence: int, head: Head) -> None:
        published.append(head)
        assert await store.put_checkpoint(fence, head.size, signed(head))

    # Each round lies a minute after the one before, for whoever takes over.
    late = time.time_ns() // 1000 + (number + 1) * 60_000_000
    sequencing = Sequencing(store, publish, lambda: late, f"next {number}", group=25)
    await sequencing.turn()
    await sequencing.close()
    assert (await store.pending_facts())[0] == 0
    # The lease is given back to the clock of the processes that die.
    assert await store.take_log_lease(f"next {number}", late, 0)


async def agree(store: Store, heads: list[Head], facts: int) -> None:
    """Every fact has one leaf, and every tree that was ever seen is the beginning of this one."""
    head = await store.log_head()
    leaves = await store.read_leaves(0, head.size + 1)
    assert head.size == facts == len(leaves)
    told = [json.loads(leaf.text)["event_id"] for leaf in leaves]
    assert len(set(told)) == facts
    edge, at = Edge(), 0
    for seen in sorted(heads, key=lambda seen: seen.size):
        edge, _ = edge.append([leaf_hash(leaf.entry) for leaf in leaves[at : seen.size]])
        at = seen.size
        assert edge.root() == seen.root
    assert edge.root() == head.root
    assert await store.read_links(KEY, 0, facts + 1) == list(range(facts))
    numbers = [Leaf.parse(leaf.entry).links[1].sequence for leaf in leaves]
    assert numbers == list(range(facts))
