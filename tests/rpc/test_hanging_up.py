"""Callers who hang up between a commit and what follows it: nobody keeps the old facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tests.support.service import TIMEOUT, World, gathered, outcome, reasons
from tracechain.v1 import party_pb2, supervision_pb2

MakeWorld = Callable[..., AbstractAsyncContextManager[World]]


def recall(world: World, parent: str) -> Any:
    return world.issuer.supervision.CreateRecall(
        supervision_pb2.CreateRecallRequest(
            parent=parent,
            recall=supervision_pb2.Recall(
                kind=supervision_pb2.RECALL_KIND_RECALL,
                notice=party_pb2.LocalizedText(zh="请停止食用", en="Do not use"),
            ),
            request_id="r",
        )
    )


@pytest.mark.parametrize("ending", ["waits", "stops"])
async def test_who_hangs_up_after_the_commit_leaves_no_old_facts(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    # Facts live so long that only the invalidation helps.
    async with make_world(memory_lifetime_ms=600_000) as world:
        lot = await world.lot(quantity=100)
        (code,) = await lot.issue(1)
        assert outcome(await world.verify(code.uri)) == "GENUINE"
        commit = world.app.store.put_recall
        committed, gone_on = asyncio.Event(), asyncio.Event()

        async def slow(*arguments: Any) -> Any:
            answer = await commit(*arguments)
            committed.set()
            await gone_on.wait()
            return answer

        monkeypatch.setattr(world.app.store, "put_recall", slow)
        called = recall(world, lot.name)
        reading = asyncio.ensure_future(called)
        await asyncio.wait_for(committed.wait(), TIMEOUT)
        called.cancel()
        await gathered([reading])
        # The service has heard of it: a further call passes.
        await world.verify(code.uri)
        if ending == "stops":
            stopping = asyncio.create_task(world.stop(0))
            await asyncio.wait([stopping], timeout=0.2)
            assert not stopping.done()
            gone_on.set()
            await stopping
            return
        gone_on.set()
        async with asyncio.timeout(TIMEOUT):
            while "RECALLED_BATCH" not in reasons(await world.verify(code.uri)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
