"""What processes share by Redis: facts with their invalidation, and what limits have counted.

Imported only where a Redis is named, as are bearer tokens, PostgreSQL and what speaks HTTP to
others: together they are a third of the time in which a service starts.
"""

from __future__ import annotations

from collections.abc import Callable

from tracechain.adapters.fact_codec import FactCodec
from tracechain.adapters.keys import ServiceSecret
from tracechain.adapters.redis_buckets import SharedBuckets
from tracechain.adapters.redis_cache import RedisCache
from tracechain.adapters.redis_lanes import Lanes
from tracechain.adapters.redis_url import connect
from tracechain.domain.rate import Rate
from tracechain.settings import Settings


class Shared:
    """The Redis that the settings name, and what lies in it once `open` was called."""

    cache: RedisCache

    def __init__(self, settings: Settings) -> None:
        """Asks nobody yet. Raises InvalidArgument REDIS_URL_INVALID."""
        self._settings = settings
        self._servers = connect(settings.redis_url)
        self._buckets: list[SharedBuckets] = []

    def open(self, secret: ServiceSecret, clock: Callable[[], int]) -> None:
        """Makes the cache and what buckets need; the cache is closed by who uses it."""
        settings = self._settings
        self._lanes = Lanes(
            self._servers,
            clock,
            in_flight=settings.redis_in_flight,
            timeout=settings.redis_timeout_ms / 1000,
        )
        self.cache = RedisCache(
            self._lanes,
            FactCodec(),
            secret.derive("cache-mac/v1"),
            clock,
            lifetime=settings.redis_lifetime_ms * 1000,
        )
        self._names, self._clock = secret.derive("limit-names/v1"), clock

    def make_buckets(self, rule: str, rate: Rate) -> SharedBuckets:
        """The buckets of a rule; see tracechain.app.limits.MakeBuckets."""
        self._buckets.append(SharedBuckets(rule, rate, self._lanes, self._names, self._clock))
        return self._buckets[-1]

    async def close(self) -> None:
        """Tells Redis what the buckets have counted; before the cache is closed."""
        for buckets in self._buckets:
            await buckets.close()
