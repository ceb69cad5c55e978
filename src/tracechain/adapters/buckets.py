"""Token buckets in the memory of a process: bounded, and a few hundred nanoseconds a question.

They bound, they do not bill: of too many names those that were quiet longest are forgotten.
"""

from __future__ import annotations

from itertools import islice

from tracechain.app.ports import Clock
from tracechain.domain.rate import Rate

_MOST = 50_000


class LocalBuckets:
    """The Buckets port of one process."""

    def __init__(self, rate: Rate, clock: Clock, *, most: int = _MOST) -> None:
        self._interval = rate.interval
        self._last = rate.last
        # No debt is deeper than a full bucket.
        self._deepest = 2 * rate.depth
        self._clock = clock
        self._most = most
        # When each bucket is full again; who was asked for last stands last.
        self._full_at: dict[str, int] = {}

    def take(self, name: str, cost: int = 1) -> float:
        """See Buckets."""
        now = self._clock()
        full_at = self._full_at.pop(name, 0)
        if full_at < now:
            self._forget(now)
            full_at = now
        over = full_at - now - self._last
        if over <= 0:
            full_at = min(full_at + cost * self._interval, now + self._deepest)
        self._full_at[name] = full_at
        return over / 1e6 if over > 0 else 0.0

    def wait(self, name: str) -> float:
        """See Buckets."""
        full_at = self._full_at.pop(name, None)
        if full_at is None:
            return 0.0
        self._full_at[name] = full_at
        over = full_at - self._clock() - self._last
        return over / 1e6 if over > 0 else 0.0

    async def take_exactly(self, name: str) -> float:
        """See Buckets; there are no other processes here."""
        return self.take(name)

    def learn(self, name: str, level: int) -> None:
        """Takes in that a bucket needs so many microseconds to fill, if it is emptier than was
        known here; one that was forgotten here stays so."""
        if name in self._full_at:
            full_at = self._clock() + min(level, self._deepest)
            self._full_at[name] = max(self._full_at[name], full_at)

    def _forget(self, now: int) -> None:
        # Two go for one that comes, so that no call pays for many.
        for name in list(islice(self._full_at, 2)):
            if self._full_at[name] <= now or len(self._full_at) >= self._most:
                del self._full_at[name]
