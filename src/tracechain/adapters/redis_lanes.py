"""The ways to all servers of one Redis: which lane leads to a key, and who finds it out anew."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tracechain.adapters.redis_lane import PAUSE, Lane
from tracechain.adapters.redis_servers import Servers
from tracechain.app.ending import end
from tracechain.app.ports import Clock


class Lanes:
    """A lane for each server. `in_flight` bounds who waits for one, `timeout` (seconds) how long;
    everybody who uses this Redis shares them, so its being away is found out once."""

    def __init__(self, servers: Servers, clock: Clock, *, in_flight: int, timeout: float) -> None:
        self.servers = servers
        self._clock = clock
        self._in_flight = in_flight
        self._timeout = timeout
        self._lanes: WeakKeyDictionary[Redis, Lane] = WeakKeyDictionary()
        self._learning: asyncio.Task[None] | None = None
        self._learn_after = 0

    def to(self, name: str) -> Lane | None:
        """The way to the server that holds a key; None where that is not known."""
        client = self.servers.holder(name)
        return self.to_server(client) if client is not None else None

    def to_server(self, client: Redis) -> Lane:
        """The way to a server."""
        lane = self._lanes.get(client)
        if lane is None:
            lane = self._lanes[client] = Lane(
                client,
                self._clock,
                self.learn,
                in_flight=self._in_flight,
                timeout=self._timeout,
            )
        return lane

    async def learned(self, name: str) -> Lane | None:
        """The same, after who holds what was asked for; not waited for longer than for a key."""
        self.learn()
        if self._learning is not None:
            await asyncio.wait([self._learning], timeout=self._timeout)
        return self.to(name)

    def learn(self) -> None:
        """Begins to find out who holds what, unless that was done a moment ago."""
        if self._learning is None and self._clock() >= self._learn_after:
            self._learn_after = self._clock() + PAUSE
            self._learning = asyncio.create_task(self._find_out())

    async def _find_out(self) -> None:
        try:
            with suppress(RedisError, OSError, TimeoutError):
                await self.servers.learn()
        finally:
            self._learning = None

    async def close(self) -> None:
        """Closes the connections to all servers."""
        if (task := self._learning) is not None:
            await end(task)
        with suppress(RedisError, OSError):
            await self.servers.aclose()
