"""Facts for a verdict: of the batch as a whole, and of the unit alone.

A batch's facts are the same for millions of scans and are remembered: `StoredFacts` asks the
store, `CachedFacts` stands in front of it, once for each layer of cache. A unit's facts come with
the record of its scan, from the same commit: remembering them would save nothing, since a scan is
written anyway, and this way a unit that was sold a moment ago is sold on every node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from tracechain.app.ports import BatchStore, Cache, Directory, ScanAnswer
from tracechain.app.stories import Stories
from tracechain.app.visibility import Visibility
from tracechain.domain.custody import Story, UnitState
from tracechain.domain.product import merge_runs
from tracechain.domain.story import Spot, assemble
from tracechain.domain.text import LocalizedText
from tracechain.domain.touch import Touch
from tracechain.domain.verdict import BatchFacts, UnitFacts

_BATCH = "batch"
_REMEMBERED = 1024


class FactSource(Protocol):
    """Where facts come from."""

    async def batch(self, batch_number: int) -> BatchFacts | None:
        """What is known of a batch; None where there is none."""


class StoredFacts:
    """Facts from the store."""

    def __init__(self, directory: Directory, batches: BatchStore, visibility: Visibility) -> None:
        self._directory = directory
        self._batches = batches
        self._visibility = visibility

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


class UnitFactSource:
    """Facts of units from what their scans found."""

    def __init__(self, stories: Stories) -> None:
        self._stories = stories
        # Units with the same touches, and in no container, have the same story.
        self._known: dict[tuple[int, str], tuple[tuple[Touch, ...], Story]] = {}

    async def unit(self, at: Spot, found: ScanAnswer, issuer: str) -> UnitFacts:
        """The facts of the unit at (batch number, index) of this issuer (GLN)."""
        touches = found.touches
        if not touches:
            return UnitFacts(UnitState.ACTIVE, False, found.claim_time)
        key = (id(touches), issuer)
        known = self._known.get(key)
        if known is not None:
            return _facts(known[1], found)
        loaded: dict[Spot, Sequence[Touch]] = {at: touches}
        await self._stories.climb(loaded)
        story = assemble(at, "", loaded, issuer).story
        if len(loaded) == 1:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            # The touches are kept, so that their identity cannot be given to another tuple.
            self._known[key] = (touches, story)
        return _facts(story, found)


def _facts(story: Story, found: ScanAnswer) -> UnitFacts:
    return UnitFacts(story.state, story.commissioned, found.claim_time, story.steps)


class CachedFacts:
    """A FactSource that remembers. It never answers with what an invalidation has overtaken.

    Those who miss together load once: when the facts of a batch in demand grow old, a hundred
    scans ask in the same moment. A load is shared only under one token, so never across an
    invalidation; it belongs to nobody, so a caller who leaves does not end it.
    """

    def __init__(self, source: FactSource, cache: Cache) -> None:
        self._source = source
        self._cache = cache
        self._loads: dict[tuple[int, object], asyncio.Task[BatchFacts | None]] = {}

    async def batch(self, batch_number: int) -> BatchFacts | None:
        value, token = await self._cache.lookup(batch_number, _BATCH)
        if value is not None:
            return cast("BatchFacts", value)
        if token is None:
            return await self._source.batch(batch_number)
        place = (batch_number, token)
        load = self._loads.get(place)
        if load is None:
            load = self._loads[place] = asyncio.create_task(self._load(batch_number, token))
            load.add_done_callback(lambda done: self._end(place, done))
        return await asyncio.shield(load)

    async def _load(self, batch_number: int, token: object) -> BatchFacts | None:
        facts = await self._source.batch(batch_number)
        if facts is not None:
            await self._cache.put(batch_number, _BATCH, facts, token)
        return facts

    def _end(self, place: tuple[int, object], load: asyncio.Task[BatchFacts | None]) -> None:
        del self._loads[place]
        if not load.cancelled():
            # Where all callers have left, its failure is nobody's.
            load.exception()
