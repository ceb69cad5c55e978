"""Facts for a verdict: of the batch as a whole, and of the unit alone.

`StoredFacts` asks the store; `CachedFacts` remembers its answers in a Cache and stands in front
of it, once for each layer of cache. Neither knows what a verdict is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, cast

from tracechain.app.ports import BatchStore, Cache, Directory, UnitRecord
from tracechain.app.stories import Stories
from tracechain.app.visibility import Visibility
from tracechain.domain.product import merge_runs
from tracechain.domain.story import Spot, assemble
from tracechain.domain.text import LocalizedText
from tracechain.domain.touch import Touch
from tracechain.domain.verdict import BatchFacts, UnitFacts

_BATCH = "batch"


class FactSource(Protocol):
    """Where facts come from."""

    async def batch(self, batch_number: int) -> BatchFacts | None:
        """What is known of a batch; None where there is none."""

    async def unit(self, batch_number: int, index: int, issuer: str) -> UnitFacts:
        """What is known of one unit of a batch whose issuer's GLN is `issuer`."""


class StoredFacts:
    """Facts from the store. `unit_record` gives one unit's record; the adapter behind it asks
    for many units at once."""

    def __init__(
        self,
        directory: Directory,
        batches: BatchStore,
        stories: Stories,
        visibility: Visibility,
        unit_record: Callable[[Spot], Awaitable[UnitRecord]],
    ) -> None:
        self._directory = directory
        self._batches = batches
        self._stories = stories
        self._visibility = visibility
        self._unit_record = unit_record

    async def batch(self, batch_number: int) -> BatchFacts | None:
        batch = await self._batches.get_batch(batch_number)
        if batch is None:
            return None
        product = await self._directory.get_product(batch.gtin)
        if product is None:
            return None
        issuer = await self._visibility.name_of(product.issuer_gln)
        allocations = await self._batches.list_allocations(batch_number)
        recalls = await self._batches.list_recalls(batch_number)
        return BatchFacts(
            batch,
            product,
            issuer.display_name if issuer else LocalizedText(),
            merge_runs(allocations),
            tuple(recall for recall in recalls if recall.lift_time is None),
        )

    async def unit(self, batch_number: int, index: int, issuer: str) -> UnitFacts:
        at = (batch_number, index)
        record = await self._unit_record(at)
        loaded: dict[Spot, Sequence[Touch]] = {at: record.touches}
        await self._stories.climb(loaded)
        story = assemble(at, "", loaded, issuer).story
        return UnitFacts(story.state, story.commissioned, record.claim_time)


class CachedFacts:
    """A FactSource that remembers. It never answers with what an invalidation has overtaken."""

    def __init__(self, source: FactSource, cache: Cache) -> None:
        self._source = source
        self._cache = cache

    async def batch(self, batch_number: int) -> BatchFacts | None:
        hit = await self._cache.lookup(batch_number, _BATCH)
        if hit.value is not None:
            return cast("BatchFacts", hit.value)
        facts = await self._source.batch(batch_number)
        if facts is not None:
            await self._cache.put(batch_number, _BATCH, facts, hit.token)
        return facts

    async def unit(self, batch_number: int, index: int, issuer: str) -> UnitFacts:
        field = str(index)
        hit = await self._cache.lookup(batch_number, field)
        if hit.value is not None:
            return cast("UnitFacts", hit.value)
        facts = await self._source.unit(batch_number, index, issuer)
        await self._cache.put(batch_number, field, facts, hit.token)
        return facts
