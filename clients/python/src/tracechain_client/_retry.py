"""What is tried again, when, and for how long.

Only what says of itself that another try may help: UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED. All
else is the caller's at once; were it repeated, a mistake would become a load. Requests carry an
id that is made once for each call, so that a repetition whose first try had been done is harmless.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tracechain_client.errors import Aborted, ResourceExhausted, TracechainError, Unavailable

RETRYABLE = (Unavailable, ResourceExhausted, Aborted)


def full_jitter(ceiling: float) -> float:
    """Anything from 0 to `ceiling`, so that those who failed together do not return together."""
    return random.uniform(0.0, ceiling)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with full jitter.

    The n-th wait is `jitter(min(cap, base * 2**(n-1)))` seconds. Where the service names a time
    (google.rpc.RetryInfo), that is waited first, and where it names more than `longest_hint`, or
    more than is left of the timeout, the error is raised at once: its `retry_after` says when.
    `attempts` counts the first try too; 1 means never again.
    """

    attempts: int = 6
    base: float = 0.2
    cap: float = 5.0
    longest_hint: float = 60.0
    jitter: Callable[[float], float] = full_jitter

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.base < 0 or self.cap < 0 or self.longest_hint < 0:
            raise ValueError("attempts is at least 1, and no time is negative")

    def delay(self, failures: int, hint: float | None) -> float:
        """Seconds to wait after so many failures in a row."""
        return (hint or 0.0) + self.jitter(min(self.cap, self.base * 2.0 ** min(failures - 1, 64)))


class Patience:
    """The patience that one logical call has left: tries in a row, and time altogether."""

    def __init__(
        self, policy: RetryPolicy, timeout: float | None, clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._deadline = None if timeout is None else clock() + timeout
        self._failures = 0

    def remaining(self) -> float | None:
        """Seconds until the deadline; None where there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - self._clock())

    def progressed(self) -> None:
        """Something came through: failures before it do not count any longer."""
        self._failures = 0

    def wait_after(self, error: TracechainError) -> float:
        """Seconds to wait after a RETRYABLE error; raises it where no try is left."""
        self._failures += 1
        hint = error.retry_after
        if self._failures >= self._policy.attempts or (hint or 0) > self._policy.longest_hint:
            raise error
        delay = self._policy.delay(self._failures, hint)
        remaining = self.remaining()
        if remaining is not None and delay >= remaining:
            raise error
        return delay
