"""Token buckets that all processes share through Redis.

A question is answered at once from this process's own bucket. What was taken here is told to Redis
an eighth of a burst at a time, and what comes back is what all took together: so a caller that
keeps to its limit costs no round trip, and one that goes to many processes gets an eighth of a
burst more from each. Redis can only make a bucket emptier than it is here, and no emptier than
empty: junk in it costs a caller one filling, its loss nothing. Names are keyed hashes there.
"""

from __future__ import annotations

import asyncio
import hmac

from tracechain.adapters.buckets import LocalBuckets
from tracechain.adapters.redis_lanes import Lanes
from tracechain.app.ports import Clock
from tracechain.domain.errors import Unavailable
from tracechain.domain.rate import Rate

_NAME_BYTES = 16
_MOST = 50_000
# The part of a burst that is taken before the others hear of it.
_SHARE = 8
# Takes ARGV[2] microseconds worth of tokens where the bucket needs at most ARGV[3] to fill, and
# gives what it needed before. ARGV[1] bounds what anybody wrote there. The clock is Redis's own:
# those of the processes may differ.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local found = redis.pcall('GET', KEYS[1])
local full = type(found) == 'string' and tonumber(found) or now
if full ~= full or full < now then full = now end
local most = tonumber(ARGV[1])
local level = math.min(full - now, most)
local after = level
if level <= tonumber(ARGV[3]) then after = math.min(level + tonumber(ARGV[2]), most) end
if now + after ~= full then
  redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX',
    string.format('%.0f', after / 1000 + 1000))
end
return string.format('%.0f', level)
"""


class SharedBuckets:
    """The Buckets port over the servers of one Redis."""

    def __init__(self, rule: str, rate: Rate, lanes: Lanes, key: bytes, clock: Clock) -> None:
        self._rule = rule
        self._rate = rate
        self._lanes = lanes
        self._key = key
        self._local = LocalBuckets(rate, clock, most=_MOST)
        self._step = max(1, rate.burst // _SHARE)
        # What each name took that Redis has not been told of.
        self._untold: dict[str, int] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def take(self, name: str, cost: int = 1) -> float:
        """See Buckets."""
        wait = self._local.take(name, cost)
        if not wait and cost:
            untold = self._untold.pop(name, 0) + cost
            if untold >= self._step:
                task = asyncio.get_running_loop().create_task(self._tell(name, untold))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)
            else:
                if len(self._untold) >= _MOST:
                    # Each had taken less than an eighth.
                    self._untold.clear()
                self._untold[name] = untold
        return wait

    def wait(self, name: str) -> float:
        """See Buckets."""
        return self._local.wait(name)

    async def take_exactly(self, name: str) -> float:
        """See Buckets."""
        level = await self._ask(name, 1, self._rate.last)
        if level is None:
            raise Unavailable(
                "LIMITS_UNAVAILABLE", "how often this was tried cannot be counted now"
            )
        return max(0, level - self._rate.last) / 1e6

    async def _tell(self, name: str, count: int) -> None:
        level = await self._ask(name, count, 2 * self._rate.depth)
        if level is not None:
            self._local.learn(name, level + count * self._rate.interval)

    async def _ask(self, name: str, count: int, limit: int) -> int | None:
        """What the bucket needed to fill, in microseconds, before `count` were taken from it, which
        they were where that is at most `limit`. None where Redis does not say."""
        digest = hmac.digest(self._key, f"{self._rule} {name}".encode(), "sha256")[:_NAME_BYTES]
        key = f"tc:l:{{{digest.hex()}}}"
        lane = self._lanes.to(key) or await self._lanes.learned(key)
        if lane is None:
            return None
        taken = count * self._rate.interval
        answers = await lane.ask(("EVAL", _SCRIPT, 1, key, 2 * self._rate.depth, taken, limit))
        if answers is None or not isinstance(answers[0], bytes):
            return None
        return int(answers[0])

    async def close(self) -> None:
        """Waits for nothing: what was not told is lost, and costs nothing but exactness."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
