"""The public part of a unit's story, for whoever holds the unit: see tracechain.domain.journey."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.app.visibility import Visibility
from tracechain.domain.custody import Step
from tracechain.domain.journey import Hop, glns, journey


class Journeys:
    """Makes journeys. Parties are remembered, so that one seldom costs a look-up."""

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility

    async def of(self, steps: Sequence[Step]) -> tuple[Hop, ...]:
        """The hops of a story. Raises Unavailable."""
        parties = {gln: await self._visibility.name_of(gln) for gln in glns(steps)}
        return journey(steps, parties.get)
