"""Work that arrives together is done together: one commit, one query, many callers.

The worker task belongs to the group, never to a caller. A caller that is cancelled takes away
its own place in the queue or its own answer, and nothing else; one bad item fails alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from tracechain.domain.errors import ResourceExhausted, Unavailable

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

# Items a second from which on it pays to wait for the next.
_CROWD = 1000.0


class Grouper(Generic[I, O]):
    """Gathers items and hands them to `work` in groups; each caller gets the answer to its own.

    `capacity` bounds the items that wait: beyond it `submit` raises ResourceExhausted at once.
    `width` bounds one group. `linger` is how long, in seconds, a group waits for company where
    items come so fast that some will: the first after a pause never waits, nor does a caller who
    asks one thing after the other.
    """

    def __init__(
        self,
        work: Callable[[list[I]], Awaitable[Sequence[O]]],
        *,
        capacity: int,
        width: int,
        linger: float = 0.0,
    ) -> None:
        self._work = work
        self._capacity = capacity
        self._width = width
        self._linger = linger
        self._pending: list[tuple[I, asyncio.Future[O]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._arrived = 0
        self._since = float("-inf")
        # Whether a group was taken since a full queue was last searched for empty places.
        self._moved = True

    def submit(self, item: I) -> asyncio.Future[O]:
        """A future for the answer to `item`, which is taken at once: awaiting it can come later,
        or never. Raises ResourceExhausted; the future raises what `work` raised for the item."""
        if len(self._pending) >= self._capacity:
            self._drop_left()
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._pending.append((item, future))
        self._arrived += 1
        if self._worker is None:
            self._worker = asyncio.create_task(self._drain())
        return future

    def _drop_left(self) -> None:
        """Gives the places of callers who left to others; once a group, for it reads them all.
        Raises ResourceExhausted where there are none."""
        if self._moved:
            self._moved = False
            self._pending = [entry for entry in self._pending if not entry[1].done()]
        if len(self._pending) >= self._capacity:
            raise ResourceExhausted(
                "QUEUE_FULL", f"{self._capacity} requests are waiting already", retry_after=0.5
            )

    async def _drain(self) -> None:
        try:
            crowded = self._is_crowded()
            while self._pending:
                if self._linger and crowded and len(self._pending) < self._width:
                    await asyncio.sleep(self._linger)
                # Who came while a group was at work came hard on it.
                crowded = True
                group = self._pending[: self._width]
                del self._pending[: self._width]
                self._moved = True
                await self._run([entry for entry in group if not entry[1].done()])
        finally:
            self._worker = None
            # Only a loop that is being torn down leaves anything here.
            _fail(self._pending, Unavailable("SHUTTING_DOWN", "the service is stopping"))
            self._pending.clear()

    def _is_crowded(self) -> bool:
        """Whether items have come fast since this was asked last."""
        now = asyncio.get_running_loop().time()
        arrived, elapsed = self._arrived, now - self._since
        self._arrived, self._since = 0, now
        return arrived > _CROWD * elapsed

    async def _run(self, group: list[tuple[I, asyncio.Future[O]]]) -> None:
        if not group:
            return
        try:
            answers = await self._work([item for item, _ in group])
        except Unavailable as error:
            _fail(group, error)
        except Exception as error:
            if len(group) == 1:
                _fail(group, error)
                return
            # One bad item must not take the others with it.
            for entry in group:
                await self._run([entry])
        else:
            for (_, future), answer in zip(group, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def close(self) -> None:
        """Waits until everything that was taken is done."""
        while self._worker is not None:
            await asyncio.wait([self._worker])


def _fail(group: Sequence[tuple[object, asyncio.Future[O]]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            # Each caller gets its own object: a traceback grows with every raise.
            future.set_exception(_own(error))
            # A caller that has left does not ask; that is no fault of the loop's to report.
            future.exception()


def _own(error: Exception) -> Exception:
    if isinstance(error, Unavailable):
        return Unavailable(error.reason, error.message, retry_after=error.retry_after)
    return error
