"""A task of ours ends when it is told to, also where it does not hear it at first."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tracechain.app import ending
from tracechain.app.ending import end


async def test_who_forgets_that_he_was_cancelled_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "_PATIENCE", 0.01)
    heard = 0

    async def forgets() -> None:
        nonlocal heard
        while heard < 3:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            heard += 1

    task = asyncio.create_task(forgets())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(task)
    assert heard == 3
    assert task.done()


async def test_what_it_failed_with_is_told() -> None:
    async def fails() -> None:
        raise ValueError("of the task")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="of the task"):
        await end(task)


async def test_who_ends_it_can_be_cancelled_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            if leave.is_set():
                return

    leave = asyncio.Event()
    monkeypatch.setattr(ending, "_PATIENCE", 0.01)
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await end(task)
    leave.set()
    async with asyncio.timeout(20):
        await end(task)
