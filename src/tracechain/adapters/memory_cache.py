"""Facts in the process: bounded, seconds old at most, and gone when their batch changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracechain.app.ports import CacheHit, Clock


class MemoryCache:
    """A Cache in a dict, the oldest thrown out first.

    `lifetime` in microseconds is what a node may lag behind where no invalidation reaches it.
    """

    def __init__(self, clock: Clock, *, lifetime: int, capacity: int) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._capacity = capacity
        self._entries: dict[tuple[int, str], tuple[int, int, object]] = {}
        self._generations: dict[int, int] = {}
        self._floor = 0

    async def lookup(self, batch_key: int, field: str) -> CacheHit:
        generation = self._generation(batch_key)
        entry = self._entries.get((batch_key, field))
        if entry is not None:
            expires, made_in, value = entry
            if made_in == generation and self._clock() < expires:
                return CacheHit(value, generation)
        return CacheHit(None, generation)

    async def put(self, batch_key: int, field: str, value: object, token: object) -> None:
        if token != self._generation(batch_key):
            return
        if len(self._entries) >= self._capacity:
            # Dicts keep their order: the first keys are the oldest.
            for key in list(self._entries)[: max(1, self._capacity // 10)]:
                del self._entries[key]
        self._entries[batch_key, field] = (
            self._clock() + self._lifetime,
            self._generation(batch_key),
            value,
        )

    async def invalidate(self, batch_keys: Sequence[int]) -> None:
        for batch_key in batch_keys:
            self.forget(batch_key)

    def forget(self, batch_key: int) -> None:
        """Forgets what is under a batch key, and what is being loaded for it now."""
        if len(self._generations) >= self._capacity:
            # Forgetting the counters must not revive what they had overtaken.
            self._floor = max(self._generations.values())
            self._generations.clear()
            self._entries.clear()
        self._generations[batch_key] = self._generation(batch_key) + 1

    def forget_all(self) -> None:
        """Forgets everything, and what is being loaded now: anything may have changed."""
        self._floor = max(self._generations.values(), default=self._floor) + 1
        self._generations.clear()
        self._entries.clear()

    def _generation(self, batch_key: int) -> int:
        return self._generations.get(batch_key, self._floor)

    def on_invalidate(self, listener: Callable[[int], None], on_gap: Callable[[], None]) -> None:
        """Nobody else can invalidate what is in this process: neither is ever called."""

    async def close(self) -> None:
        self._entries.clear()
