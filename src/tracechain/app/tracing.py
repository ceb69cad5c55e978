"""Provenance: the story of a unit, a batch or a container, what it was made of, and what of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tracechain.app.naming import Named, named_things
from tracechain.app.ports import BatchStore, Directory, EventStore
from tracechain.app.resolving import Resolver
from tracechain.app.stories import (
    MAX_STRETCHES,
    MAX_TOUCHES,
    LoadedStory,
    Stories,
    stretches,
)
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import WHOLE_BATCH, derived, is_registered
from tracechain.domain.conflict import Conflict
from tracechain.domain.containment import Stay, stays
from tracechain.domain.custody import UnitState, erroneous_events, involved
from tracechain.domain.epcis.jsonld import event_from_json
from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.domain.identifiers import EpcKind, parse_epc, sscc
from tracechain.domain.party import Party, Principal
from tracechain.domain.product import Batch, Product
from tracechain.domain.story import MAX_DEPTH, NestedStay
from tracechain.domain.touch import Thing, Touch, TouchRole
from tracechain.domain.verdict import UnitFacts, unit_state

MAX_LINEAGE_DEPTH = 8
MAX_LINEAGE = 1000
MAX_CONTENTS = 10_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """A thing that another was made of, or was made into, `depth` transformations away."""

    thing: Thing
    event_id: bytes
    event_time: int
    depth: int
    quantity: float
    uom: str


@dataclass(frozen=True, slots=True)
class Content:
    """Something that was in a container from `start` until `end` (None while it lasts)."""

    thing: Thing
    quantity: float | None
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Trace:
    """A story with all that belongs to it."""

    thing: Thing
    batch: Batch | None
    product: Product | None
    state: UnitState | None
    loaded: LoadedStory
    stays: tuple[NestedStay, ...]
    contents: tuple[Content, ...]
    upstream: tuple[Lineage, ...]
    downstream: tuple[Lineage, ...]
    parties: dict[str, Party]
    conflicts: frozenset[Conflict]
    truncated: bool


class Tracing:
    """Traces for those who may see them: see Visibility.sees_goods."""

    def __init__(
        self,
        directory: Directory,
        batches: BatchStore,
        events: EventStore,
        resolver: Resolver,
        stories: Stories,
        visibility: Visibility,
    ) -> None:
        self._directory = directory
        self._batches = batches
        self._events = events
        self._resolver = resolver
        self._stories = stories
        self._visibility = visibility

    async def unit(self, principal: Principal, text: str) -> Trace:
        """The story of one unit, named by its code or any EPC.

        Raises InvalidArgument INVALID_EPC or NOT_A_UNIT, NotFound NOTHING_KNOWN.
        """
        _, thing = await self._resolver.named(text, "epc")
        if thing.is_class:
            raise InvalidArgument.of("epc", "NOT_A_UNIT", "names a class; trace it as a batch")
        return await self._trace(principal, thing)

    async def batch(self, principal: Principal, text: str) -> Trace:
        """The story of a batch as a whole, named by LGTIN. Raises as `unit`, NOT_A_BATCH."""
        return await self._trace(principal, await self.batch_thing(text))

    async def container(self, principal: Principal, text: str) -> Trace:
        """The story of a container with its contents, named by EPC or 18 digits of SSCC."""
        if text.isdigit() and text.isascii():
            text = f"https://id.gs1.org/00/{sscc(text, 'container')}"
        _, thing = await self._resolver.named(text, "container")
        return await self._trace(principal, thing)

    async def batch_thing(self, text: str) -> Thing:
        """The thing that a batch is. Raises InvalidArgument INVALID_EPC, NOT_A_BATCH."""
        epc = parse_epc(text, "batch")
        if epc.kind not in (EpcKind.LGTIN, EpcKind.GTIN):
            raise InvalidArgument.of("batch", "NOT_A_BATCH", "names no lot and no class")
        return await self._resolver.thing(epc)

    async def _trace(self, principal: Principal, thing: Thing) -> Trace:
        issuer = await self._resolver.issuer_of_key(thing.batch_key)
        batch = product = None
        if is_registered(thing.batch_key):
            batch = await self._batches.get_batch(thing.batch_key)
            product = await self._directory.get_product(batch.gtin) if batch else None
        if thing.is_class and batch is not None:
            loaded = await self._stories.lot(thing, issuer, batch.issued_quantity)
        else:
            (loaded,) = await self._stories.load([(thing, issuer)])
        story = loaded.assembled.story
        entitled = involved(story, issuer)
        known = story.steps or is_registered(thing.batch_key)
        if not known or not await self._visibility.sees_goods(principal, thing.batch_key, entitled):
            raise NotFound("NOTHING_KNOWN", "nothing is known of it here")
        up, up_cut, up_circle = await self.lineage([thing], upstream=True)
        down, down_cut, down_circle = await self.lineage([thing], upstream=False)
        contents, contents_cut = await self._contents(thing, loaded.touches)
        conflicts = set(loaded.assembled.conflicts)
        for step in story.steps:
            conflicts.update(step.conflicts)
        if up_circle or down_circle:
            conflicts.add(Conflict.TRANSFORMATION_CYCLE)
        if batch is not None and not thing.is_class and thing.end > batch.issued_quantity:
            conflicts.add(Conflict.BEYOND_ISSUED)
        named = {story.holder, story.addressee} | {
            gln for step in story.steps for gln in (step.happening.digest.recorder, step.holder)
        }
        parties = {}
        for gln in sorted(named - {""}):
            party = await self._visibility.name_of(gln)
            if party is not None:
                parties[gln] = party
        state: UnitState | None = None if thing.is_class else story.state
        if state is not None and batch is not None:
            state = unit_state(batch, UnitFacts(state, story.commissioned, None))
        return Trace(
            thing,
            batch,
            product,
            state,
            loaded,
            loaded.assembled.stays,
            contents,
            up,
            down,
            parties,
            frozenset(conflicts),
            loaded.truncated or up_cut or down_cut or contents_cut,
        )

    async def lineage(
        self, things: Sequence[Thing], *, upstream: bool
    ) -> tuple[tuple[Lineage, ...], bool, bool]:
        """What these things were made of (upstream) or made into, nearest first.

        Also whether a limit cut it, and whether a thing comes back to itself. Each thing is
        followed once, so a circle ends.
        """
        here, there = TouchRole.OUTPUT, TouchRole.INPUT
        if not upstream:
            here, there = there, here
        seen = {_spot(thing) for thing in things}
        roots = set(seen)
        found: list[Lineage] = []
        circle = truncated = False
        frontier = list(things)
        for depth in range(1, MAX_LINEAGE_DEPTH + 1):
            events, cut = await self._transformations(frontier, here)
            truncated |= cut
            frontier = []
            for event_id, event_time, named in events:
                ends = [item for item in named if item.role is there]
                if upstream:
                    ends += await self._inside(ends, event_time)
                for item in ends:
                    circle |= _spot(item.thing) in roots
                    if _spot(item.thing) in seen:
                        continue
                    if len(found) >= MAX_LINEAGE:
                        return tuple(found), True, circle
                    seen.add(_spot(item.thing))
                    frontier.append(item.thing)
                    found.append(
                        Lineage(
                            item.thing, event_id, event_time, depth, item.quantity or 0.0, item.uom
                        )
                    )
            if not frontier:
                return tuple(found), truncated, circle
        return tuple(found), True, circle

    async def _transformations(
        self, things: Sequence[Thing], role: TouchRole
    ) -> tuple[list[tuple[bytes, int, tuple[Named, ...]]], bool]:
        """Transformations in which one of these things plays this part, oldest first, and whether
        a limit cut them. What is in a container that goes into one goes into it as well."""
        if not things:
            return [], False
        times: dict[bytes, int] = {}
        things = await self._with_lots(things)
        answers = await self._events.touches(things, MAX_TOUCHES)
        cut = any(len(answer) >= MAX_TOUCHES for answer in answers)
        for answer in answers:
            void = erroneous_events(t.digest for t in answer)
            for touch in answer:
                if touch.role is role and touch.digest.event_id not in void:
                    times[touch.digest.event_id] = touch.digest.event_time
        if role is TouchRole.INPUT:
            through, more = await self._through_containers(things, answers)
            times |= through
            cut |= more
        ordered = sorted(times.items(), key=lambda item: (item[1], item[0]))
        bodies = await self._events.get_events([(event_id, b"") for event_id, _ in ordered])
        return [
            (event_id, time, await named_things(self._resolver, event_from_json(stored.body)))
            for (event_id, time), stored in zip(ordered, bodies, strict=True)
            if stored is not None
        ], cut

    async def _through_containers(
        self, things: Sequence[Thing], answers: Sequence[Sequence[Touch]]
    ) -> tuple[dict[bytes, int], bool]:
        """Times of the transformations that a container went into while one of these things was
        in it, by event id, and whether a limit cut them."""
        parts: list[tuple[Thing, str]] = []
        cut = False
        for thing, touches in zip(things, answers, strict=True):
            if any(touch.role is TouchRole.CHILD for touch in touches):
                issuer = await self._resolver.issuer_of_key(thing.batch_key)
                units, more = stretches(thing, touches, 0)
                parts += [(unit, issuer) for unit in units]
                cut |= more
        found: dict[bytes, int] = {}
        for loaded in await self._stories.load(parts[:MAX_STRETCHES]):
            cut |= loaded.truncated
            for step in loaded.assembled.story.steps:
                happening = step.happening
                if happening.role is TouchRole.INPUT and not (happening.direct or step.erroneous):
                    found[happening.digest.event_id] = happening.digest.event_time
        return found, cut or len(parts) > MAX_STRETCHES

    async def _inside(self, items: Sequence[Named], time: int) -> list[Named]:
        """What was in these things at a time, and in what was in them."""
        found: list[Named] = []
        frontier = [item.thing for item in items]
        seen = {_spot(thing) for thing in frontier}
        for _ in range(MAX_DEPTH):
            answers = await self._events.touches(frontier, MAX_TOUCHES) if frontier else []
            inner: list[Content] = []
            for thing, touches in zip(frontier, answers, strict=True):
                contents, _ = await self._contents(thing, touches)
                inner += [c for c in contents if c.start <= time and (c.end or time) >= time]
            fresh = {_spot(c.thing): c for c in inner if _spot(c.thing) not in seen}
            seen |= fresh.keys()
            found += [Named(c.thing, TouchRole.INPUT, c.quantity, "") for c in fresh.values()]
            frontier = [c.thing for c in fresh.values()]
        return found

    async def _with_lots(self, things: Sequence[Thing]) -> list[Thing]:
        """The things, and for registered ones the identity that their lot had before it was
        registered: events from then lie under the derived key."""
        found = list(things)
        for thing in things:
            if is_registered(thing.batch_key):
                batch = await self._batches.get_batch(thing.batch_key)
                if batch is not None:
                    uri = lot_uri(batch.gtin, batch.lot)
                    found.append(Thing(derived(uri), 0, 1, uri, is_class=True))
        return found

    async def _contents(
        self, container: Thing, touches: Sequence[Touch]
    ) -> tuple[tuple[Content, ...], bool]:
        """What was in a container, from the bodies of its aggregation events."""
        void = erroneous_events(t.digest for t in touches)
        own = [
            touch
            for touch in touches
            if touch.role is TouchRole.PARENT
            and not touch.digest.declaration
            and touch.digest.event_id not in void
            and touch.digest.action in ("ADD", "DELETE")
        ]
        bodies = await self._events.get_events([(t.digest.event_id, b"") for t in own])
        moves: dict[tuple[int, int, int], list[Touch]] = {}
        things: dict[tuple[int, int, int], Named] = {}
        for touch, stored in zip(own, bodies, strict=True):
            if stored is None:
                continue
            for item in await named_things(self._resolver, event_from_json(stored.body)):
                if item.role is not TouchRole.CHILD:
                    continue
                if len(things) >= MAX_CONTENTS:
                    return (), True
                key = (item.thing.batch_key, item.thing.first, item.thing.end)
                things.setdefault(key, item)
                moves.setdefault(key, []).append(
                    Touch(*key, TouchRole.CHILD, item.thing.is_class, touch.digest, container)
                )
        clearings = [touch for touch in own if touch.clears]
        contents: list[Content] = []
        for key, moved in moves.items():
            found, _ = stays(moved, clearings)
            item = things[key]
            contents += [_content(item, stay) for stay in found]
        contents.sort(key=lambda c: (c.start, c.thing.uri, c.thing.first))
        return tuple(contents), False


def lot_uri(gtin: str, lot: str) -> str:
    """The canonical URI of a lot. Raises InvalidArgument where it is none."""
    return parse_epc(f"https://id.gs1.org/01/{gtin}/10/{quote(lot, safe='')}").uri


def _content(item: Named, stay: Stay) -> Content:
    return Content(item.thing, item.quantity, stay.start, stay.end)


def _spot(thing: Thing) -> tuple[int, int, int]:
    end = thing.end if thing.end < WHOLE_BATCH else 0
    return (thing.batch_key, thing.first, end)
