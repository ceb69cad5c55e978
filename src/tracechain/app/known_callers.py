"""Whom a credential made a moment ago: found by what was shown, with nothing asked again.

A caller shows the same with each call, and to find out anew who that is costs more than a tenth of
the cheapest call. Whoever found it out says until when that holds; a credential that is changed
here is unknown from then on. What was shown is a secret: its keyed hash alone is kept (BLAKE2b,
RFC 7693), under a key of this process, so that nobody can compare it with anything elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tracechain.app.ports import Clock
from tracechain.domain.party import Principal

_MAX_KNOWN = 10_000


class KnownCallers:
    """Principals by what they showed, in this process alone."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._key = random_bytes(32)
        self._known: dict[bytes, tuple[int, Principal]] = {}

    def get(self, shown: str) -> Principal | None:
        """Whom it makes; None where that is to be found out."""
        known = self._known.get(self._mark(shown))
        return known[1] if known is not None and self._clock() < known[0] else None

    def keep(self, shown: str, principal: Principal, until: int) -> None:
        """It made this principal, and will before the moment `until` (microseconds)."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[self._mark(shown)] = (until, principal)

    def forget(self, credential_id: str) -> None:
        """The credential has changed; rarely, so all are looked through."""
        changed = [m for m, (_, who) in self._known.items() if who.credential_id == credential_id]
        for mark in changed:
            del self._known[mark]

    def _mark(self, shown: str) -> bytes:
        # "surrogatepass": no two texts have the same bytes.
        shown_bytes = shown.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(shown_bytes, digest_size=32, key=self._key).digest()
