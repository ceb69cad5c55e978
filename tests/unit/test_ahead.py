"""Work begun ahead of its reader: in order, bounded, and given up when the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from tracechain.app.ahead import in_order


class Jobs:
    """Jobs that note when they begin, and end when they are told to."""

    def __init__(self, count: int) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.gates = [asyncio.Event() for _ in range(count)]

    def __getitem__(self, number: int) -> Callable[[], Coroutine[Any, Any, int]]:
        async def job() -> int:
            self.begun.append(number)
            try:
                await self.gates[number].wait()
            except asyncio.CancelledError:
                self.cancelled.append(number)
                raise
            return number

        return job

    def all(self) -> list[Callable[[], Coroutine[Any, Any, int]]]:
        return [self[number] for number in range(len(self.gates))]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_results_come_in_order_whatever_ends_first() -> None:
    jobs = Jobs(4)
    for number in (3, 1, 2, 0):
        jobs.gates[number].set()
    assert [result async for result in in_order(jobs.all(), 3)] == [0, 1, 2, 3]
    assert [result async for result in in_order([], 3)] == []


async def test_no_more_is_begun_than_the_reader_is_ahead_of() -> None:
    jobs = Jobs(10)
    async with aclosing(in_order(jobs.all(), 3)) as results:
        first = asyncio.ensure_future(anext(results))
        await settled()
        assert jobs.begun == [0, 1, 2]
        for gate in jobs.gates:
            gate.set()
        assert await first == 0
        await settled()
        # The one that was taken made place for one.
        assert jobs.begun == [0, 1, 2, 3]


async def test_a_reader_that_leaves_ends_what_was_begun() -> None:
    jobs = Jobs(10)
    jobs.gates[0].set()
    async with aclosing(in_order(jobs.all(), 3)) as results:
        assert await anext(results) == 0
        await settled()
    await settled()
    assert jobs.cancelled == [1, 2, 3]
    assert jobs.begun == [0, 1, 2, 3]


async def test_a_job_that_fails_fails_the_reader_and_ends_the_others() -> None:
    jobs = Jobs(4)

    async def failing() -> int:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        async for _ in in_order([failing, *jobs.all()], 3):
            pass
    await settled()
    assert jobs.cancelled == [0, 1]
