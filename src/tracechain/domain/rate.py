"""How much a token bucket gives: so many a second in the long run, and so many at once.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm,
ITU-T I.371). Two that counted apart are brought together by the later of their times.
"""

from __future__ import annotations

from dataclasses import dataclass

_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` tokens come, up to `burst` that are kept."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("a rate is above nothing, and a burst is at least one")

    @property
    def interval(self) -> int:
        """Microseconds in which a token comes."""
        return max(1, round(_SECOND / self.per_second))

    @property
    def depth(self) -> int:
        """Microseconds in which an empty bucket fills."""
        return self.burst * self.interval

    @property
    def last(self) -> int:
        """How long, in microseconds, a bucket that has just one token left takes to fill."""
        return self.depth - self.interval
