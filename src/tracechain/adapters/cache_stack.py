"""Several caches in front of each other, changed as one."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.app.ports import Cache


class CacheStack:
    """The Invalidation port over layers, the nearest to the caller first."""

    def __init__(self, layers: Sequence[Cache]) -> None:
        self._layers = layers

    async def invalidate(self, batch_keys: Sequence[int]) -> None:
        # The farthest first: a nearer layer that forgot would ask it again.
        for layer in reversed(self._layers):
            await layer.invalidate(batch_keys)

    async def close(self) -> None:
        """Closes each layer."""
        for layer in self._layers:
            await layer.close()
