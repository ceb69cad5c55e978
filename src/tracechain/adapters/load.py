"""How busy an event loop is, and how long it pays to wait for company then.

Doing things in groups saves work, and waiting for a group to fill costs its callers time. A loop
with time to spare has no use for what is saved; one without it has its callers waiting anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds over which the load is told: long enough for dozens of calls, short enough for a burst.
_MOMENT = 0.05
# Below the first share of its time nobody is asked to wait, from the second on all as long as may
# be, and in between in proportion. A loop is at its end before it works all the time: others want
# the cores too.
_SPARE, _BUSY = 0.3, 0.7
# The loop's timers count milliseconds.
_LEAST = 0.0005


class Load:
    """The load of the thread that asks: one object for each event loop."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._now = now
        self._worked = worked
        self._looked = now(), worked()
        self._share = 0.0

    def share(self) -> float:
        """The share of the last moments that the thread spent working, 0 to 1."""
        now = self._now()
        elapsed = now - self._looked[0]
        if elapsed >= _MOMENT:
            worked = self._worked()
            self._share = (worked - self._looked[1]) / elapsed
            self._looked = now, worked
        return self._share

    def linger(self, longest: float) -> float:
        """How long to wait for company now, in seconds: nothing up to `longest`."""
        pause = longest * (self.share() - _SPARE) / (_BUSY - _SPARE)
        return min(pause, longest) if pause >= _LEAST else 0.0
