"""Changes of remembered facts: the commit and the invalidation after it, to the end.

A caller who hangs up between the two would leave every node with the old facts for as long as
those live; a recall that was decided would not be shown. So both belong to this object, and the
caller only waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tracechain.app.ports import Invalidation

T = TypeVar("T")


class Changes:
    """Makes changes of what is remembered under batch keys."""

    def __init__(self, caches: Invalidation) -> None:
        self._caches = caches
        self._under_way: set[asyncio.Task[Any]] = set()

    async def make(self, batch_key: int, commit: Coroutine[Any, Any, T]) -> T:
        """What `commit` gives, or its error, once it is forgotten what it changed.

        It goes on where the caller is cancelled.
        """
        task = asyncio.create_task(self._make(batch_key, commit))
        self._under_way.add(task)
        task.add_done_callback(self._made)
        return await asyncio.shield(task)

    async def _make(self, batch_key: int, commit: Coroutine[Any, Any, T]) -> T:
        try:
            return await commit
        finally:
            # After the commit, so that nobody can remember the state before it; and where it
            # failed, since a commit whose answer is lost may stand.
            await self._caches.invalidate([batch_key])

    def _made(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            # A caller that has left does not ask; that is no fault of the loop's to report.
            task.exception()

    async def close(self) -> None:
        """Waits until everything that was begun is done."""
        while self._under_way:
            await asyncio.wait(self._under_way)
