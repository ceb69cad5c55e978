"""Proofs, scans and events in groups: the same ports, fewer and wider calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tracechain.adapters.grouping import Grouper
from tracechain.app.ports import EventStore, NewEvent, ScanAnswer, ScanStore
from tracechain.app.proving import Finding
from tracechain.domain.scan import Scan


class GroupedProofs:
    """The Prove port: codes that arrive together are proved together, on a thread of their own.

    Checking a signature gives Python's lock away, so the event loop goes on meanwhile. A code that
    comes alone is proved where it is: the way to a thread and back would cost as much again.
    """

    def __init__(self, all_of: Callable[[Sequence[str]], list[Finding]], *, capacity: int) -> None:
        self._all_of = all_of
        self._thread = ThreadPoolExecutor(1, "prove")
        # Narrow: while one group is being proved, the one before it is being recorded.
        self._group: Grouper[str, Finding] = Grouper(self._work, capacity=capacity, width=32)
        self.prove = self._group.submit

    async def _work(self, texts: list[str]) -> list[Finding]:
        if len(texts) == 1:
            return self._all_of(texts)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._all_of, texts)

    async def close(self) -> None:
        """Waits until everything that was taken is done."""
        await self._group.close()
        self._thread.shutdown()


class GroupedScans:
    """The ScanRecorder: scans that arrive together share a commit."""

    def __init__(self, store: ScanStore, *, capacity: int, width: int, linger: float) -> None:
        self._group: Grouper[Scan, ScanAnswer] = Grouper(
            store.record_scans, capacity=capacity, width=width, linger=linger
        )
        self.record = self._group.submit
        self.close = self._group.close


class GroupedEvents:
    """Requests to capture that arrive together share a commit; each is kept whole or not."""

    def __init__(self, store: EventStore, *, capacity: int, width: int) -> None:
        self._store = store
        self._group: Grouper[Sequence[NewEvent], list[bool]] = Grouper(
            self._append, capacity=capacity, width=width
        )
        self.append = self._group.submit
        self.close = self._group.close

    async def _append(self, requests: list[Sequence[NewEvent]]) -> list[list[bool]]:
        flat = [event for request in requests for event in request]
        added = iter(await self._store.append_events(flat))
        return [[next(added) for _ in request] for request in requests]
