"""What a recall of a batch would reach: units, what was made of it, containers, places."""

from __future__ import annotations

from dataclasses import dataclass

from tracechain.app.ports import BatchStore, EventStore, PlaceSummary
from tracechain.app.resolving import Resolver
from tracechain.app.stories import MAX_TOUCHES, Stories, stretches
from tracechain.app.tracing import Lineage, Tracing
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import is_registered
from tracechain.domain.conflict import Conflict
from tracechain.domain.custody import UnitState
from tracechain.domain.errors import NotFound
from tracechain.domain.party import Party, Principal, Role
from tracechain.domain.product import Batch
from tracechain.domain.touch import Thing

MAX_PLACES = 1000
MAX_CONTAINERS = 1000
_NO_LONGER_IN_USE = frozenset(
    {UnitState.SOLD, UnitState.CONSUMED, UnitState.EXPORTED, UnitState.DESTROYED}
)


@dataclass(frozen=True, slots=True)
class AffectedPlace:
    """A place that holds goods now (`current`), or held them."""

    summary: PlaceSummary
    party: Party | None
    current: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a recall would reach."""

    thing: Thing
    batch: Batch | None
    issued: int
    ended: int
    downstream: tuple[Lineage, ...]
    containers: tuple[str, ...]
    places: tuple[AffectedPlace, ...]
    conflicts: frozenset[Conflict]
    truncated: bool


class Assessing:
    """Assessments for those who may see the batch."""

    def __init__(
        self,
        batches: BatchStore,
        events: EventStore,
        resolver: Resolver,
        tracing: Tracing,
        stories: Stories,
        visibility: Visibility,
    ) -> None:
        self._batches = batches
        self._events = events
        self._resolver = resolver
        self._tracing = tracing
        self._stories = stories
        self._visibility = visibility

    async def assess(self, principal: Principal, text: str) -> Assessment:
        """What a recall of this batch (an LGTIN) would reach.

        Raises InvalidArgument INVALID_EPC or NOT_A_BATCH, NotFound NOTHING_KNOWN.
        """
        thing = await self._tracing.batch_thing(text)
        places = await self._events.places(thing.batch_key, MAX_PLACES)
        registered = is_registered(thing.batch_key)
        # Of registered goods the issuer alone, and regulators: anybody can record anything.
        recorders = {place.recorder for place in places}
        if registered and principal.role is not Role.INSPECTOR:
            recorders = set()
        if not (places or registered) or not await self._visibility.sees_goods(
            principal, thing.batch_key, recorders
        ):
            raise NotFound("NOTHING_KNOWN", "nothing is known of it here")
        batch = None
        if is_registered(thing.batch_key):
            batch = await self._batches.get_batch(thing.batch_key)
        downstream, cut, circle = await self._tracing.lineage([thing], upstream=False)
        issuer = await self._resolver.issuer_of_key(thing.batch_key)
        now, places_in_transit, conflicts, stretches_cut = await self._where(thing, batch, issuer)
        # Where not all stretches were judged, what events claim has to do.
        ended = now.ended
        if stretches_cut:
            ended = await self._events.count_ended(thing.batch_key)
        known_places = {(place.place, place.recorder): place for place in places}
        for place in places_in_transit:
            known_places.setdefault((place.place, place.recorder), place)
        affected = [
            AffectedPlace(
                place,
                await self._visibility.name_of(place.recorder),
                (place.place, place.recorder) in now.places,
            )
            for place in known_places.values()
        ]
        affected.sort(key=lambda a: (not a.current, -a.summary.last_time, a.summary.place))
        if circle:
            conflicts.add(Conflict.TRANSFORMATION_CYCLE)
        return Assessment(
            thing,
            batch,
            batch.issued_quantity if batch else 0,
            ended,
            downstream,
            tuple(sorted(now.containers)[:MAX_CONTAINERS]),
            tuple(affected),
            frozenset(conflicts),
            cut or stretches_cut or len(places) >= MAX_PLACES,
        )

    async def _where(
        self, thing: Thing, batch: Batch | None, issuer: str
    ) -> tuple[_Now, list[PlaceSummary], set[Conflict], bool]:
        """Where the stretches of the batch are now, through the containers that they are in."""
        (touches,) = await self._events.touches([thing], MAX_TOUCHES)
        units, cut = stretches(thing, touches, max(1, batch.issued_quantity) if batch else 0)
        cut |= len(touches) >= MAX_TOUCHES
        now = _Now(set(), set(), 0)
        issued = batch.issued_quantity if batch else 0
        ends = [*(unit.first for unit in units[1:]), issued]
        passed: list[PlaceSummary] = []
        conflicts: set[Conflict] = set()
        stories = await self._stories.load([(unit, issuer) for unit in units])
        for loaded, end in zip(stories, ends, strict=True):
            story = loaded.assembled.story
            if story.state in _NO_LONGER_IN_USE:
                now.ended += max(0, end - loaded.thing.first)
            conflicts |= loaded.assembled.conflicts
            for nested in loaded.assembled.stays:
                if nested.stay.end is None:
                    now.containers.add(nested.stay.container.uri)
            last = None
            for step in story.steps:
                digest = step.happening.digest
                place = digest.biz_location or digest.read_point
                if step.erroneous:
                    continue
                passed.append(PlaceSummary(place, digest.recorder, digest.event_time))
                # Who only looks on does not move goods; who takes them without naming a place
                # has them all the same.
                moves = step.happening.is_class or step.holder in ("", digest.recorder)
                if step.conflicts or not moves:
                    continue
                if place or last is None or last[1] != digest.recorder:
                    last = (place, digest.recorder)
            if last is not None and story.state is UnitState.ACTIVE:
                now.places.add(last)
        latest: dict[tuple[str, str], PlaceSummary] = {}
        for summary in passed:
            known = latest.get((summary.place, summary.recorder))
            if known is None or known.last_time < summary.last_time:
                latest[summary.place, summary.recorder] = summary
        return now, list(latest.values()), conflicts, cut


@dataclass(slots=True)
class _Now:
    """Places, as (place, recorder), and containers that hold goods now; how many units are no
    longer in use."""

    places: set[tuple[str, str]]
    containers: set[str]
    ended: int
