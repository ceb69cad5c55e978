"""A clock that a test moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClock:
    """Microseconds that stand still until they are moved: a busy machine changes nothing."""

    now: int = 1_000_000_000

    def __call__(self) -> int:
        return self.now
