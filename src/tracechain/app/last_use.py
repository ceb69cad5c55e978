"""When credentials were last used: noted on the way, written apart, to the minute.

A call must not wait for this and must not write for it. So a use is a name in a set; the set is
written in one go, once a minute and at the end, and each credential costs at most one change of
its row in that time. Where a process is killed the uses of its last minute are lost.
"""

from __future__ import annotations

import structlog

from tracechain.app.ports import Clock, Directory
from tracechain.domain.errors import TracechainError

_LOG = structlog.get_logger(__name__)
# How often to write, in seconds.
NOTE_SECONDS = 60.0


class LastUses:
    """Collects the credentials that were used until they are written."""

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._used: set[str] = set()

    def note(self, credential_id: str) -> None:
        """The credential was used just now."""
        self._used.add(credential_id)

    async def write(self) -> None:
        """Writes what was noted. Never raises for a store that cannot: the next time tries again,
        and says a later time."""
        if not self._used:
            return
        used, self._used = self._used, set()
        try:
            # In order, so that nodes that write at once do not wait for each other in a ring.
            await self._directory.note_uses(sorted(used), self._clock())
        except TracechainError as error:
            self._used |= used
            _LOG.warning("last_uses_not_written", reason=error.reason, credentials=len(used))
