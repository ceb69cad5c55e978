"""Scans, events and audit records in groups: the store's own ports, fewer and wider calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracechain.adapters.grouping import Grouper, joined
from tracechain.app.ports import AuditStore, EventStore, NewEvent, ScanAnswer, ScanStore
from tracechain.domain.audit import AuditRecord
from tracechain.domain.scan import Scan

# The next commit is with the store when it ends one, where that is a full one; else those that come
# meanwhile share it.
_FULL_ABREAST = 2


class GroupedScans:
    """The ScanRecorder: scans that arrive together share a commit."""

    def __init__(
        self, store: ScanStore, *, capacity: int, width: int, linger: Callable[[], float]
    ) -> None:
        self._group: Grouper[Sequence[Scan], list[ScanAnswer]] = Grouper(
            joined(store.record_scans),
            capacity=capacity,
            width=width,
            linger=linger,
            full=_FULL_ABREAST,
            weigh=len,
        )
        self.record = self._group.submit
        self.close = self._group.close


class GroupedEvents:
    """Requests to capture that arrive together share a commit; each is kept whole or not."""

    def __init__(self, store: EventStore, *, capacity: int, width: int) -> None:
        self._group: Grouper[Sequence[NewEvent], list[bool]] = Grouper(
            joined(store.append_events), capacity=capacity, width=width
        )
        self.append = self._group.submit
        self.close = self._group.close


class GroupedAudit:
    """Audit records that are taken together share a commit."""

    def __init__(self, store: AuditStore, *, capacity: int, width: int) -> None:
        self._store = store
        self._group: Grouper[AuditRecord, None] = Grouper(
            self._append, capacity=capacity, width=width
        )
        self.append = self._group.submit
        self.close = self._group.close

    async def _append(self, records: list[AuditRecord]) -> list[None]:
        await self._store.append_audit(records)
        return [None] * len(records)
