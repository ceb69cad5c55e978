"""Work that is begun ahead of its reader, and given in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_order(
    jobs: Iterable[Callable[[], Coroutine[Any, Any, T]]], ahead: int
) -> AsyncGenerator[T, None]:
    """What the jobs give, in their order, with at most `ahead` of them begun and not yet taken.

    A reader that leaves cancels what was begun. Raises what a job raises.
    """
    waiting = iter(jobs)
    begun: deque[asyncio.Task[T]] = deque()

    def begin() -> None:
        job = next(waiting, None)
        if job is not None:
            begun.append(asyncio.create_task(job()))

    try:
        for _ in range(ahead):
            begin()
        while begun:
            result = await begun.popleft()
            begin()
            yield result
    finally:
        for task in begun:
            task.cancel()
