"""Loading stories: the touches of things, then of their containers, a level at a time.

Many things are loaded together; each level is one question to the store.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracechain.app.ports import EventStore
from tracechain.domain.conflict import Conflict
from tracechain.domain.custody import Step, Story
from tracechain.domain.story import MAX_DEPTH, Assembled, Spot, assemble, containers, spot
from tracechain.domain.touch import Thing, Touch, TouchRole

# More events than this for one thing are not folded; the answer says that it was cut.
MAX_TOUCHES = 10_000
# How many stretches of a lot with a story of their own are followed.
MAX_STRETCHES = 500


@dataclass(frozen=True, slots=True)
class LoadedStory:
    """A story, and whether the limit cut what it was made from."""

    thing: Thing
    assembled: Assembled
    touches: tuple[Touch, ...]
    truncated: bool


class Stories:
    """Stories of things, through all the containers that they were in."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def load(self, things: Sequence[tuple[Thing, str]]) -> list[LoadedStory]:
        """The story of each thing; the second of each pair is its issuer's GLN, or empty."""
        own = await self._events.touches([thing for thing, _ in things], MAX_TOUCHES)
        loaded: dict[Spot, Sequence[Touch]] = {}
        for (thing, _), touches in zip(things, own, strict=True):
            # A lot and its first unit lie at one spot; what names the lot includes what names
            # the unit, so the longer list leads to all containers.
            if len(touches) >= len(loaded.get(spot(thing), ())):
                loaded[spot(thing)] = touches
        truncated = await self.climb(loaded)
        return [
            LoadedStory(
                thing,
                assemble(spot(thing), thing.uri, ChainMap({spot(thing): touches}, loaded), issuer),
                tuple(touches),
                truncated or len(touches) >= MAX_TOUCHES,
            )
            for (thing, issuer), touches in zip(things, own, strict=True)
        ]

    async def lot(self, lot: Thing, issuer: str, issued: int) -> LoadedStory:
        """The story of a registered lot: every step of its units, judged for each of them apart.

        Units of one lot part; were their steps folded as those of one thing, the shop's sale of
        one would be a conflict with the factory's storing of another.
        """
        (whole,) = await self.load([(lot, issuer)])
        units, cut = stretches(lot, whole.touches, issued)
        parts = [part.assembled for part in await self.load([(unit, issuer) for unit in units])]
        marked: dict[tuple[bytes, bytes], list[Step]] = {}
        for part in parts:
            for step in part.story.steps:
                digest = step.happening.digest
                marked.setdefault((digest.event_id, digest.declaration), []).append(step)
        steps = tuple(
            _together(step, marked.get((digest.event_id, digest.declaration), []))
            for step in whole.assembled.story.steps
            for digest in (step.happening.digest,)
        )
        story = whole.assembled.story
        stories = [part.story for part in parts]
        assembled = replace(
            whole.assembled,
            story=replace(
                story,
                steps=steps,
                holder=_common(stories, "holder"),
                addressee=_common(stories, "addressee"),
                location=_common(stories, "location"),
            ),
            conflicts=frozenset().union(*(part.conflicts for part in parts)),
        )
        return replace(whole, assembled=assembled, truncated=whole.truncated or cut)

    async def climb(self, loaded: dict[Spot, Sequence[Touch]]) -> bool:
        """Adds the touches of all containers around what is loaded; True where a limit cut."""
        truncated = False
        fresh = list(loaded.values())
        for _ in range(MAX_DEPTH):
            wanted = {
                spot(container): container
                for touches in fresh
                for container in containers(touches)
                if spot(container) not in loaded
            }
            if not wanted:
                break
            answers = await self._events.touches(list(wanted.values()), MAX_TOUCHES)
            loaded.update(zip(wanted, answers, strict=True))
            truncated |= any(len(touches) >= MAX_TOUCHES for touches in answers)
            fresh = list(answers)
        else:
            # Whatever is around the last level was not looked at.
            truncated |= any(
                spot(container) not in loaded
                for touches in fresh
                for container in containers(touches)
            )
        return truncated


def stretches(lot: Thing, touches: Sequence[Touch], issued: int) -> tuple[list[Thing], bool]:
    """The first unit of each stretch of a lot whose units share a story, and whether some were
    left out. `touches` are those of the lot; `issued` is 0 for one that is not registered."""
    starts = {lot.first}
    for touch in touches:
        if touch.role is not TouchRole.PARENT:
            starts.update(n for n in (touch.first, touch.end) if lot.first <= n < lot.end)
    if issued:
        starts = {n for n in starts if n < issued}
    ordered = sorted(starts)
    units = [Thing(lot.batch_key, n, n + 1, lot.uri, lot.is_class) for n in ordered[:MAX_STRETCHES]]
    return units, len(ordered) > MAX_STRETCHES


def _together(step: Step, apart: Sequence[Step]) -> Step:
    """A step of a lot as its units take it."""
    if not apart:
        return step
    found = [frozenset(part.conflicts) for part in apart]
    # An event that names the lot means some of its units, and fits where it fits one.
    conflicts: frozenset[Conflict] = (
        frozenset.intersection(*found) if step.happening.is_class else frozenset.union(*found)
    )
    holders = {part.holder for part in apart}
    return replace(
        step,
        holder=holders.pop() if len(holders) == 1 else "",
        conflicts=tuple(sorted(conflicts)),
    )


def _common(stories: Sequence[Story], name: str) -> str:
    """What all stories agree on; empty where they do not."""
    found = {getattr(story, name) for story in stories}
    return str(found.pop()) if len(found) == 1 else ""
