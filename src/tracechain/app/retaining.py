"""Retention: what is old enough is dropped, by one process at a time, a little at a time.

Promise: of all processes that share a store one does it; if it dies, another goes on within
minutes. Nobody who scans waits for it longer than for a small write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from tracechain.app.ports import Clock, RetentionStore
from tracechain.domain.retention import Kept, Retention

_LOG = structlog.get_logger(__name__)
_SECOND = 1_000_000
# A turn lasts so long unless it is renewed; a finished one keeps everybody away so long.
_TURN = 300 * _SECOND
_REST = 6 * 3600 * _SECOND
# Between two steps: others have the store to themselves for most of the time.
_BREATH = 0.02


class Retaining:
    """Drops what is old."""

    def __init__(self, store: RetentionStore, retention: Retention, clock: Clock) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock

    async def run(self) -> Mapping[Kept, int] | None:
        """Takes a turn where nobody has it or had it of late, and drops all that is old; how many
        rows of each, or None where it was not our turn, or another took it over. Raises
        Unavailable."""
        now = self._clock()
        turn = now + _TURN
        if not await self._store.take_turn(now, turn):
            return None
        dropped = dict.fromkeys(Kept, 0)
        for what in Kept:
            before = self._retention.before(what, now)
            after: tuple[object, ...] | None = ()
            while after is not None:
                step = await self._store.drop_old(what, before, after)
                dropped[what] += step.dropped
                after = step.after
                if self._clock() > turn - _TURN // 2:
                    held, turn = turn, self._clock() + _TURN
                    if not await self._store.pass_turn(held, turn):
                        return None
                await asyncio.sleep(_BREATH)
        await self._store.pass_turn(turn, self._clock() + _REST)
        _LOG.info("retention", **{what.value: count for what, count in dropped.items()})
        return dropped
