"""How busy an event loop is, and how long it pays to wait for company then.

Doing things in groups saves work, and waiting for a group to fill costs its callers time. A loop
with time to spare has no use for what is saved; one without it has its callers waiting anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# Seconds over which the load is told: long enough for dozens of calls, short enough for a burst.
_MOMENT = 0.05
# Below the first share of its time nobody is asked to wait, from the second on all as long as may
# be, and in between in proportion. Less waiting costs more work, so a loop settles in between.
_SPARE, _BUSY = 0.7, 0.95
# The loop's timers count milliseconds.
_LEAST = 0.0005
# Nanoseconds on a core, and waiting for one (Linux, proc(5)).
_SCHEDULED = Path("/proc/thread-self/schedstat")


class Load:
    """The load of the thread that asks: one object for each event loop."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        wanted: Callable[[], float] | None = None,
    ) -> None:
        self._now = now
        self._wanted = wanted or _wanted_core
        self._looked = now(), self._wanted()
        self._share = 0.0

    def share(self) -> float:
        """The share of the last moments in which the thread wanted a core, 0 to 1."""
        now = self._now()
        elapsed = now - self._looked[0]
        if elapsed >= _MOMENT:
            wanted = self._wanted()
            self._share = (wanted - self._looked[1]) / elapsed
            self._looked = now, wanted
        return self._share

    def linger(self, longest: float) -> float:
        """How long to wait for company now, in seconds: nothing up to `longest`."""
        pause = longest * (self.share() - _SPARE) / (_BUSY - _SPARE)
        return min(pause, longest) if pause >= _LEAST else 0.0


def _wanted_core() -> float:
    """Seconds for which this thread had a core or waited for one: who shares cores is at his end
    long before he has one all the time. How long it waited only Linux tells."""
    try:
        waited = int(_SCHEDULED.read_bytes().split()[1]) / 1e9
    except OSError:
        waited = 0.0
    return time.thread_time() + waited
