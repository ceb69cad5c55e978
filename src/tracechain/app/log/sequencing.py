"""Who continues the log, and when: one node at a time, in short turns, behind everybody's back.

Promises that facts get their places soon after they were written, whichever node is alive, and that
nobody who writes waits for it. A node that dies at any moment leaves the tree as the store has it;
another one takes its lease over and goes on. That the tree never forks is the store's promise (the
fencing number), not this loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tracechain.app.ports import Clock, LogStore
from tracechain.domain.log.checkpoint import Checkpoint, Head
from tracechain.domain.log.note import Note

# How long a lease runs, and how much of it must be left to be used once more, in microseconds.
_LEASE = 10_000_000
_LEFT = 5_000_000
# Facts in one transaction, and the least time between two checkpoints, in microseconds.
_GROUP = 200
_PAUSE = 600_000

Publish = Callable[[int, Head], Coroutine[Any, Any, None]]


class Sequencing:
    """Continues the log as `holder`, a name that no other process has. `publish` gets the fencing
    number and a tree that is larger than the published one, may take its time, and raises nothing:
    a later turn tries again."""

    def __init__(
        self, store: LogStore, publish: Publish, clock: Clock, holder: str, *, group: int = _GROUP
    ) -> None:
        self._store = store
        self._publish = publish
        self._clock = clock
        self._holder = holder
        self._group = group
        # The fencing number and until when it is good.
        self._lease: tuple[int, int] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._next_checkpoint = 0

    async def turn(self) -> None:
        """Gives places to all facts that wait, and has a checkpoint made where one is due; nothing
        where another node does so. Raises Unavailable; the next turn goes on."""
        waiting, _ = await self._store.pending_facts()
        if not waiting and not self._is_due():
            return
        head = await self._store.log_head()
        if not waiting and head.size <= await self._published():
            self._next_checkpoint = self._clock() + _PAUSE
            return
        fence = await self._hold()
        if fence is None:
            return
        while waiting > 0:
            grown = await self._store.sequence(fence, self._group)
            if grown is None:
                self._lease = None
                return
            head = grown
            waiting -= self._group
            if self._is_due():
                self._begin_publishing(fence, head)
            # Other nodes write meanwhile: what they brought is for the next turn.
            if await self._hold() != fence:
                return
        if self._is_due():
            self._begin_publishing(fence, head)

    async def _hold(self) -> int | None:
        now = self._clock()
        if self._lease is None or self._lease[1] - now < _LEFT:
            fence = await self._store.take_log_lease(self._holder, now, now + _LEASE)
            self._lease = None if fence is None else (fence, now + _LEASE)
        return self._lease[0] if self._lease else None

    async def _published(self) -> int:
        note = await self._store.get_checkpoint()
        return Checkpoint.parse(Note.parse(note).text).size if note else 0

    def _is_due(self) -> bool:
        idle = self._publishing is None or self._publishing.done()
        return idle and self._clock() >= self._next_checkpoint

    def _begin_publishing(self, fence: int, head: Head) -> None:
        self._next_checkpoint = self._clock() + _PAUSE
        self._publishing = asyncio.create_task(self._publish(fence, head))

    async def close(self) -> None:
        """Waits for the checkpoint that is being made."""
        if self._publishing is not None:
            await asyncio.wait([self._publishing])
