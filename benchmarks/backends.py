"""The deployments that are measured: what each needs beside the service, and its settings.

A backend is one entry in BACKENDS; the measures run on every one of them and take nothing from it
but its name, its settings and what its servers cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer

# What a server of this use is given at least. The tests' own few would have it write a checkpoint
# every few seconds, which is no property of the service.
_POSTGRES = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


@dataclass(frozen=True)
class Running:
    """`settings` lead the service to the servers that were started; `beside` are their processes,
    by name, each with all that it starts (PostgreSQL's backends are the postmaster's)."""

    settings: dict[str, str] = field(default_factory=dict)
    beside: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Backend:
    """`start` is entered with the folder of a run: it starts the servers that the deployment
    needs, each empty and of that run alone, and stops them."""

    name: str
    start: Callable[[Path], AbstractContextManager[Running]]


@contextmanager
def _embedded(folder: Path) -> Iterator[Running]:
    yield Running()


@contextmanager
def _postgresql_redis(folder: Path) -> Iterator[Running]:
    # Not in `folder`: as root the server runs as somebody else, who could not get in there.
    with PostgresServer(durable=True, **_POSTGRES) as postgres, RedisServer() as redis:
        assert redis.pid is not None
        yield Running(
            {"store_url": postgres.url(), "redis_url": redis.url},
            {"postgresql": postgres.pid, "redis": redis.pid},
        )


SQLITE = Backend("sqlite", _embedded)
POSTGRESQL_REDIS = Backend("postgresql_redis", _postgresql_redis)
BACKENDS: tuple[Backend, ...] = (SQLITE, POSTGRESQL_REDIS)
