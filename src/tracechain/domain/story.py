"""Putting a story together: what names a thing, and what names the containers it was in.

Works on touches that were loaded before, level by level; circles and depth are bounded here, so
that no data can make it run for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tracechain.domain.conflict import Conflict
from tracechain.domain.containment import Stay, stays
from tracechain.domain.custody import Happening, Story, erroneous_events, fold, trusted
from tracechain.domain.touch import Thing, Touch, TouchRole

MAX_DEPTH = 8
# How many stays one story has; what would be beyond is left out.
MAX_STAYS = 10_000

# A thing as touches are looked up by: batch key and unit number.
Spot = tuple[int, int]


@dataclass(frozen=True, slots=True)
class NestedStay:
    """A stay in a container, `level` containers up (1 for the one that holds the thing)."""

    stay: Stay
    level: int


@dataclass(frozen=True, slots=True)
class Assembled:
    """A story with the containers that it led through, and conflicts that belong to no step."""

    story: Story
    stays: tuple[NestedStay, ...]
    conflicts: frozenset[Conflict]


def spot(thing: Thing) -> Spot:
    """Where the touches of a thing are found."""
    return (thing.batch_key, thing.first)


def containers(touches: Sequence[Touch]) -> list[Thing]:
    """The containers that any of these touches puts their thing into."""
    found = {
        spot(touch.parent): touch.parent
        for touch in touches
        if touch.role is TouchRole.CHILD and touch.parent is not None
    }
    return list(found.values())


def assemble(at: Spot, uri: str, loaded: Mapping[Spot, Sequence[Touch]], issuer: str) -> Assembled:
    """The story of the thing at `at`.

    `loaded` holds the touches of the thing and of every container that it or its containers were
    ever in; what is missing there is taken as empty. `issuer` as in `custody.fold`.
    """
    walk, story = _told(at, uri, loaded, issuer, None)
    if walk.movers and not walk.movers <= trusted(story, issuer):
        # Somebody who never held the thing moved it: were that believed, a stranger could cut
        # goods off from what befalls their container. So only those move it who come to hold it
        # by moves of those who held it before.
        movers = frozenset[str]()
        while True:
            walk, story = _told(at, uri, loaded, issuer, movers)
            grown = movers | trusted(story, issuer)
            if grown == movers:
                break
            movers = grown
    if walk.event_conflicts:
        steps = tuple(
            replace(step, conflicts=(*step.conflicts, walk.event_conflicts[event_id]))
            if (event_id := step.happening.digest.event_id) in walk.event_conflicts
            and not step.erroneous
            else step
            for step in story.steps
        )
        story = replace(story, steps=steps)
    return Assembled(story, tuple(walk.stays), frozenset(walk.conflicts))


def _told(
    at: Spot,
    uri: str,
    loaded: Mapping[Spot, Sequence[Touch]],
    issuer: str,
    movers: frozenset[str] | None,
) -> tuple[_Climb, Story]:
    """The climb and the story where these parties move things, or, without them, all."""
    walk = _Climb(loaded, movers)
    walk.climb(at, uri, None, None, 0, (), False)
    return walk, fold(tuple(walk.happenings.values()), issuer)


class _Climb:
    """Collects happenings while it climbs from a thing to the containers around it."""

    def __init__(
        self, loaded: Mapping[Spot, Sequence[Touch]], trusted: frozenset[str] | None
    ) -> None:
        self.loaded = loaded
        self.trusted = trusted
        # Who moved anything on the way.
        self.movers: set[str] = set()
        self.happenings: dict[tuple[bytes, bytes], Happening] = {}
        self.stays: list[NestedStay] = []
        self.conflicts: set[Conflict] = set()
        self.event_conflicts: dict[bytes, Conflict] = {}
        # Where it has been: moves at one moment would else multiply from level to level.
        self.seen: set[tuple[Spot, int | None, int | None, int, bool]] = set()

    def climb(
        self,
        at: Spot,
        uri: str,
        start: int | None,
        end: int | None,
        level: int,
        path: tuple[Spot, ...],
        counted: bool,
    ) -> None:
        if at in path:
            self.conflicts.add(Conflict.CONTAINMENT_CYCLE)
            return
        visit = (at, start, end, level, counted)
        if visit in self.seen:
            return
        self.seen.add(visit)
        # Where an event names a thing twice, the one order that all nodes share decides.
        touches = sorted(self.loaded.get(at, ()), key=lambda t: (t.role, t.first, t.end))
        for touch in touches:
            time = touch.digest.event_time
            if (start is None or start <= time) and (end is None or time <= end):
                key = (touch.digest.event_id, touch.digest.declaration)
                is_class = counted or touch.is_class
                # What names the thing itself comes first and stays; a count names nothing.
                known = self.happenings.get(key)
                if known is None or (known.is_class and not is_class):
                    self.happenings[key] = Happening(
                        touch.digest, touch.role, uri, level == 0, is_class
                    )
        children = [t for t in touches if t.role is TouchRole.CHILD]
        if not children or level == MAX_DEPTH:
            return
        void = erroneous_events(t.digest for t in touches)
        children = [t for t in children if self._moves(t, void)]
        clearings: list[Touch] = []
        for container in containers(children):
            around = self.loaded.get(spot(container), ())
            void_there = erroneous_events(t.digest for t in around)
            clearings += [t for t in around if t.clears and self._moves(t, void_there)]
        found, conflicts = stays(children, clearings)
        if level == 0:
            self.event_conflicts.update(conflicts)
        for stay in found:
            inner_start = stay.start if start is None else max(start, stay.start)
            inner_end = _earlier(end, stay.end)
            if inner_end is not None and inner_end < inner_start:
                continue
            if len(self.stays) >= MAX_STAYS:
                return
            self.stays.append(
                NestedStay(replace(stay, start=inner_start, end=inner_end), level + 1)
            )
            self.climb(
                spot(stay.container),
                stay.container.uri,
                inner_start,
                inner_end,
                level + 1,
                (*path, at),
                counted or stay.is_class,
            )

    def _moves(self, touch: Touch, void: frozenset[bytes]) -> bool:
        digest = touch.digest
        if digest.declaration or digest.event_id in void:
            return False
        self.movers.add(digest.recorder)
        return self.trusted is None or digest.recorder in self.trusted


def _earlier(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)
