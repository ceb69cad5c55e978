"""Which server holds a key: the same question to one Redis, one behind Sentinel, and a Cluster.

Each server has a client of its own, so that one that is away fails alone: a pipeline of redis-py
over a whole Cluster fails with any of its nodes, closes the connections of all, and waits. What
is told here of who holds what can be out of date; then the server that is asked says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import RedisClusterException, RedisError

# The driver's own for Clusters is no RedisError.
_FAILURES = (RedisError, RedisClusterException, OSError)


class Servers(Protocol):
    """The servers that hold a cache. Clients are the same objects while a server is the same."""

    def holder(self, name: str) -> Redis | None:
        """The server that holds a key; None where that is not known (yet)."""

    def everyone(self) -> Sequence[Redis]:
        """The servers that are known, in no order. A message to one reaches who listens at any."""

    async def learn(self) -> None:
        """Finds out anew who holds what. Raises RedisError or OSError where nobody says."""

    async def aclose(self) -> None: ...


class OneServer:
    """One server that holds everything."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def holder(self, name: str) -> Redis | None:
        return self._client

    def everyone(self) -> Sequence[Redis]:
        return [self._client]

    async def learn(self) -> None:
        """There is nothing to learn."""

    async def aclose(self) -> None:
        await self._client.aclose()


class Watched(OneServer):
    """One server at a time: the one that Sentinel calls master."""

    def __init__(self, client: Redis, sentinel: Sentinel) -> None:
        super().__init__(client)
        self._sentinel = sentinel

    async def learn(self) -> None:
        # Also drops the connections that wait in the pool to the master of before, and puts a
        # watcher that answers first: one that hangs must not use up the time of a look-up.
        pool: Any = self._client.connection_pool
        await pool.get_master_address()

    async def aclose(self) -> None:
        await super().aclose()
        await self._sentinel.aclose()


class Cluster:
    """The masters of a Cluster. `make_map` begins with the addresses that were configured."""

    def __init__(
        self, make_map: Callable[[], RedisCluster], client: Callable[[str, int], Redis]
    ) -> None:
        self._make_map = make_map
        self._make_client = client
        self._map = make_map()
        self._clients: dict[tuple[str, int], Redis] = {}

    def holder(self, name: str) -> Redis | None:
        try:
            node = self._map.get_node_from_key(name)
        except RedisClusterException:
            return None
        return self._clients.get((node.host, int(node.port))) if node is not None else None

    def everyone(self) -> Sequence[Redis]:
        # A replica passes messages on as a master does; one that is new may not be known to all.
        return random.sample(list(self._clients.values()), len(self._clients))

    async def learn(self) -> None:
        try:
            await self._map.nodes_manager.initialize()
        except _FAILURES as error:
            # Everybody whom it knew may have moved: begin again with who was configured.
            old, self._map = self._map, self._make_map()
            await _close(old)
            raise Unreachable("no node of the Cluster says who holds what") from error
        nodes = {(node.host, int(node.port)) for node in self._map.get_nodes()}
        for address in nodes - self._clients.keys():
            self._clients[address] = self._make_client(*address)
        for address in self._clients.keys() - nodes:
            with suppress(*_FAILURES):
                await self._clients.pop(address).aclose()

    async def aclose(self) -> None:
        for client in self._clients.values():
            with suppress(*_FAILURES):
                await client.aclose()
        await _close(self._map)


async def _close(known: RedisCluster) -> None:
    # Its own `aclose` does nothing where only the map was asked for.
    for nodes in (known.nodes_manager.nodes_cache, known.nodes_manager.startup_nodes):
        for node in nodes.values():
            with suppress(*_FAILURES):
                await node.disconnect()
