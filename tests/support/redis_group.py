"""Redis servers that stand in for each other: a Cluster, and a master under Sentinels.

Small and quick to notice a death: about two seconds from a killed master to the next. `heal`
brings back whoever was killed, so that the next test finds the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.ports import HOST
from tests.support.redis_server import RedisServer

SLOTS = 16384
NOTICED_MS = 700
GROUP_SECONDS = 40.0


class RedisGroup:
    """Servers, and what is common to groups of them."""

    servers: list[RedisServer]
    url: str

    def ask(self, server: RedisServer, *words: object) -> object:
        """What one server answers."""
        with redis.Redis(
            HOST, server.port, socket_timeout=5, decode_responses=True, retry=Retry(NoBackoff(), 0)
        ) as client:
            return client.execute_command(*words)

    def info(self, server: RedisServer, section: str) -> dict[str, object]:
        """A section of what a server tells of itself; nothing where it is away."""
        with suppress(redis.RedisError):
            found = self.ask(server, "INFO", section)
            return found if isinstance(found, dict) else {}
        return {}

    def masters(self) -> list[RedisServer]:
        """Who holds data now and is not a copy."""
        return [s for s in self.servers if self.info(s, "replication").get("role") == "master"]

    def is_whole(self) -> bool:
        """Whether everybody is there and each copy is one."""
        raise NotImplementedError

    def heal(self) -> None:
        """Starts who is away, and waits until the group is whole."""
        for server in self.servers:
            server.start()
        wait_until(self.is_whole)

    def stop(self) -> None:
        """Ends them all."""
        for server in self.servers:
            server.stop()

    def _copies(self) -> Iterator[bool]:
        for server in self.servers:
            told = self.info(server, "replication")
            if told.get("role") == "slave":
                yield told.get("master_link_status") == "up"


class RedisCluster(RedisGroup):
    """A Cluster of three masters with a copy of each."""

    def __init__(self) -> None:
        self.servers = [
            RedisServer(
                *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                *("--cluster-node-timeout", str(NOTICED_MS), "--cluster-announce-ip", HOST),
                *("--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"),
                *("--cluster-replica-validity-factor", "0"),
            ).start()
            for _ in range(6)
        ]
        self.url = "redis+cluster://" + ",".join(f"{HOST}:{s.port}" for s in self.servers[:3])
        for number, server in enumerate(self.servers):
            self.ask(server, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                first, end = SLOTS * number // 3, SLOTS * (number + 1) // 3
                self.ask(server, "CLUSTER ADDSLOTS", *range(first, end))
            self.ask(server, "CLUSTER MEET", HOST, self.servers[0].port)
        wait_until(lambda: all(self._knows(server) == 6 for server in self.servers))
        for server, master in zip(self.servers[3:], self.servers[:3], strict=True):
            self.ask(server, "CLUSTER REPLICATE", self.ask(master, "CLUSTER MYID"))
        wait_until(self.is_whole)

    def is_whole(self) -> bool:
        copies = list(self._copies())
        return (
            len(copies) == 3
            and all(copies)
            and all(self._knows(server) == 6 and self._is_fine(server) for server in self.servers)
        )

    def _knows(self, server: RedisServer) -> int:
        found = self.ask(server, "CLUSTER NODES")
        assert isinstance(found, dict)
        return sum("fail" not in str(node["flags"]) for node in found.values())

    def _is_fine(self, server: RedisServer) -> bool:
        found = self.ask(server, "CLUSTER INFO")
        assert isinstance(found, dict)
        return found["cluster_state"] == "ok" and found["cluster_slots_ok"] == str(SLOTS)


class RedisSentinels(RedisGroup):
    """A master, its copy, and three who watch."""

    SERVICE = "tracechain"

    def __init__(self) -> None:
        first = RedisServer("--repl-diskless-sync-delay", "0").start()
        copy = RedisServer(
            *("--repl-diskless-sync-delay", "0", "--replicaof", HOST, str(first.port))
        ).start()
        self.servers = [first, copy]
        self.watchers = [self._watcher(first) for _ in range(3)]
        hosts = ",".join(f"{HOST}:{watcher.port}" for watcher in self.watchers)
        self.url = f"redis+sentinel://{hosts}/{self.SERVICE}"
        wait_until(self.is_whole)

    def _watcher(self, master: RedisServer) -> RedisServer:
        server = RedisServer(first=("sentinel.conf", "--sentinel"))
        server.write(
            "sentinel.conf",
            f"sentinel monitor {self.SERVICE} {HOST} {master.port} 2\n"
            f"sentinel down-after-milliseconds {self.SERVICE} {NOTICED_MS}\n"
            f"sentinel failover-timeout {self.SERVICE} 4000\n",
        )
        return server.start()

    def is_whole(self) -> bool:
        return (
            len(self.masters()) == 1
            and list(self._copies()) == [True]
            and all(self._sees(watcher) for watcher in self.watchers)
        )

    def _sees(self, watcher: RedisServer) -> bool:
        """Whether a watcher knows the others, the master as it is, and a copy to promote."""
        with redis.Redis(HOST, watcher.port, socket_timeout=5) as client:
            state = client.sentinel_masters()[self.SERVICE]
        return (
            state["num-other-sentinels"] == 2
            and state["num-slaves"] == 1
            and state["flags"] == "master"
            and [state["port"]] == [server.port for server in self.masters()]
        )

    def stop(self) -> None:
        super().stop()
        for watcher in self.watchers:
            watcher.stop()


def wait_until(holds: Callable[[], bool], seconds: float = GROUP_SECONDS) -> None:
    """Waits for a condition; who is away meanwhile does not fulfil it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(redis.RedisError, OSError):
            if holds():
                return
        time.sleep(0.05)
    raise AssertionError("did not come about in time")
