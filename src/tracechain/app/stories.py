"""Loading stories: the touches of things, then of their containers, a level at a time.

Many things are loaded together; each level is one question to the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.app.ports import EventStore
from tracechain.domain.story import MAX_DEPTH, Assembled, Spot, assemble, containers, spot
from tracechain.domain.touch import Thing, Touch

# More events than this for one thing are not folded; the answer says that it was cut.
MAX_TOUCHES = 10_000


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
        loaded: dict[Spot, Sequence[Touch]] = {
            spot(thing): touches for (thing, _), touches in zip(things, own, strict=True)
        }
        truncated = await self.climb(loaded)
        return [
            LoadedStory(
                thing,
                assemble(spot(thing), thing.uri, loaded, issuer),
                tuple(loaded[spot(thing)]),
                truncated or len(loaded[spot(thing)]) >= MAX_TOUCHES,
            )
            for thing, issuer in things
        ]

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
        return truncated
