"""The way to one Redis server: who asks in the same turn of the loop goes together.

Bounded thrice: what waits, what is under way, and how long. A server that fails is left alone for
a while, and everybody who waits for it is told so at once; nothing is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from tracechain.app.ports import Clock

Command = tuple[Any, ...]
# Answers in the order of the commands, a refusal in its place; None where there was no answer.
Answers = Sequence[Any] | None
# How long a failing Redis is left alone before it is tried again, in microseconds.
PAUSE = 500_000
# Round trips under way at once, each on a connection of its own: who comes later goes with the
# next. And who goes on one: what fits into the time that one has.
_ABREAST = 8
_WIDTH = 500
_LOG = structlog.get_logger(__name__)


class Lane:
    """Commands to one server. `in_flight` bounds who waits, `timeout` (seconds) how long.

    `trouble` is called where the server failed or refused.
    """

    def __init__(
        self,
        client: Redis,
        clock: Clock,
        trouble: Callable[[], None],
        *,
        in_flight: int,
        timeout: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._trouble = trouble
        self._in_flight = in_flight
        self._timeout = timeout
        self._pending: list[tuple[Sequence[Command], asyncio.Future[Answers]]] = []
        self._due = False
        self._running: set[asyncio.Task[None]] = set()
        self._closed_until = 0
        # Who waits, and who was given up on by us and not yet by the driver.
        self.waiting = 0

    async def ask(self, *commands: Command) -> Answers:
        """What the server answers; nothing, at once, where it is away or too many wait."""
        if self._clock() < self._closed_until or self.waiting >= self._in_flight:
            return None
        loop = asyncio.get_running_loop()
        place: asyncio.Future[Answers] = loop.create_future()
        self.waiting += 1
        self._pending.append((commands, place))
        if not self._due:
            self._due = True
            loop.call_soon(self._start)
        return await place

    async def tell(self, commands: Sequence[Command]) -> Answers:
        """The same at once, whatever else waits, and also where the server was away just now."""
        self.waiting += 1
        return await self._exchange(commands, 1)

    def _start(self) -> None:
        self._due = False
        while self._pending and len(self._running) < _ABREAST:
            group = self._pending[:_WIDTH]
            del self._pending[:_WIDTH]
            task = asyncio.create_task(self._run(group))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self._due:
            self._start()

    async def _run(self, group: list[tuple[Sequence[Command], asyncio.Future[Answers]]]) -> None:
        commands = [command for asked, _ in group for command in asked]
        answers: Answers = None
        try:
            answers = await self._exchange(commands, len(group))
        finally:
            if answers is None:
                # Who waits behind would wait in vain.
                group, behind = group + self._pending, len(self._pending)
                self._pending = []
                self.waiting -= behind
            first = 0
            for asked, place in group:
                if not place.done():
                    own = None if answers is None else answers[first : first + len(asked)]
                    place.set_result(own)
                first += len(asked)

    async def _exchange(self, commands: Sequence[Command], askers: int) -> Answers:
        # A task of its own: a client that misses its cancellation (asyncio.wait_for does, before
        # Python 3.12) holds up itself and not the caller.
        task = asyncio.ensure_future(self._send(commands))

        def arrived(_: object) -> None:
            self.waiting -= askers
            if not task.cancelled():
                task.exception()

        task.add_done_callback(arrived)
        try:
            await asyncio.wait([task], timeout=self._timeout)
            if not task.done():
                raise TimeoutError
            answers = task.result()
        except (RedisError, OSError, TimeoutError) as error:
            if self._clock() >= self._closed_until:
                _LOG.warning("redis_away", error=type(error).__name__)
            self._closed_until = self._clock() + PAUSE
            self._trouble()
            return None
        finally:
            task.cancel()
        if any(isinstance(answer, ResponseError) for answer in answers):
            self._trouble()
        return answers

    async def _send(self, commands: Sequence[Command]) -> Sequence[Any]:
        client: Any = self._client
        if len(commands) == 1:
            try:
                return [await client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipe = client.pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers
