"""Work that arrives together is done together: one commit, one query, many callers.

The worker tasks belong to the group, never to a caller. A caller that is cancelled takes away
its own place in the queue or its own answer, and nothing else; one bad item fails alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from tracechain.domain.errors import ResourceExhausted, Unavailable

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


def _at_once() -> float:
    return 0.0


def _one(_: object) -> int:
    return 1


def joined(
    work: Callable[[list[I]], Awaitable[Sequence[O]]],
) -> Callable[[list[Sequence[I]]], Awaitable[list[list[O]]]]:
    """`work` for items that are sequences themselves: all are done at once, each gets its own."""

    async def all_of(items: list[Sequence[I]]) -> list[list[O]]:
        answers = iter(await work([one for item in items for one in item]))
        return [[next(answers) for _ in item] for item in items]

    return all_of


class Grouper(Generic[I, O]):
    """Gathers items and hands them to `work` in groups; each caller gets the answer to its own.

    `capacity` bounds what waits: beyond it `submit` raises ResourceExhausted at once. `width`
    bounds one group. Both count what `weigh` says of each item; one that exceeds them is taken
    where nothing waits, and is a group alone. `abreast` groups are at work at once, and up to
    `full` where a full group waits: waiting longer would bring it no company. `linger` is asked
    before each group that is not full how long, in seconds, it shall wait for company.
    """

    def __init__(
        self,
        work: Callable[[list[I]], Awaitable[Sequence[O]]],
        *,
        capacity: int,
        width: int,
        linger: Callable[[], float] = _at_once,
        abreast: int = 1,
        full: int = 0,
        weigh: Callable[[I], int] = _one,
    ) -> None:
        self._work = work
        self._capacity = capacity
        self._width = width
        self._linger = linger
        self._weigh = weigh
        self._pending: list[tuple[I, asyncio.Future[O]]] = []
        self._waiting = 0
        self._abreast = abreast
        self._full = max(full, abreast)
        self._workers: set[asyncio.Task[None]] = set()
        # Whether a group was taken since a full queue was last searched for empty places.
        self._moved = True

    def submit(self, item: I) -> asyncio.Future[O]:
        """A future for the answer to `item`, which is taken at once: awaiting it can come later,
        or never. Raises ResourceExhausted; the future raises what `work` raised for the item."""
        weight = self._weigh(item)
        if self._waiting + weight > self._capacity:
            self._make_room(weight)
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._pending.append((item, future))
        self._waiting += weight
        if len(self._workers) < self._wanted():
            self._workers.add(asyncio.create_task(self._drain()))
        return future

    def _wanted(self) -> int:
        return self._full if self._waiting >= self._width else self._abreast

    def _make_room(self, weight: int) -> None:
        """Gives the places of callers who left to others; once a group, for it reads them all.
        Raises ResourceExhausted where there are none."""
        if self._moved:
            self._moved = False
            self._pending = [entry for entry in self._pending if not entry[1].done()]
            self._waiting = sum(self._weigh(item) for item, _ in self._pending)
        if self._pending and self._waiting + weight > self._capacity:
            raise ResourceExhausted(
                "QUEUE_FULL", f"{self._waiting} requests are waiting already", retry_after=0.5
            )

    def _take(self) -> list[tuple[I, asyncio.Future[O]]]:
        """The next group: the first that wait, as many as fit."""
        weight = count = 0
        for item, _ in self._pending:
            weight += self._weigh(item)
            if count and weight > self._width:
                weight -= self._weigh(item)
                break
            count += 1
        group, self._pending = self._pending[:count], self._pending[count:]
        self._waiting -= weight
        self._moved = True
        return [entry for entry in group if not entry[1].done()]

    async def _drain(self) -> None:
        try:
            while self._pending and len(self._workers) <= self._wanted():
                if self._waiting < self._width and (pause := self._linger()):
                    await asyncio.sleep(pause)
                await self._run(self._take())
        finally:
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not self._workers:
                # Only a loop that is being torn down leaves anything here.
                _fail(self._pending, Unavailable("SHUTTING_DOWN", "the service is stopping"))
                self._pending.clear()
                self._waiting = 0

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
        while self._workers:
            await asyncio.wait(list(self._workers))


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
