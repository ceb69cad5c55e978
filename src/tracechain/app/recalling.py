"""Recalls and blocks: decided by the issuer or a regulator, shown at the next scan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.app.changing import Changes
from tracechain.app.ports import Clock, Tenants
from tracechain.app.resolving import Resolver
from tracechain.app.visibility import Visibility
from tracechain.domain.batch_key import WHOLE_BATCH
from tracechain.domain.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from tracechain.domain.party import Principal, Role
from tracechain.domain.recall import Recall, RecallKind
from tracechain.domain.text import LocalizedText, bounded

MAX_SPANS = 1000


@dataclass(frozen=True, slots=True)
class RecallRequest:
    """What is to be recalled. `ranges` are (first index, count); `units` are codes or EPCs.

    Neither means the whole batch.
    """

    gtin: str
    lot: str
    kind: RecallKind
    ranges: Sequence[tuple[int, int]]
    units: Sequence[str]
    notice: LocalizedText
    request_id: str


class Recalling:
    """Use cases on recalls."""

    def __init__(
        self,
        tenants: Tenants,
        resolver: Resolver,
        visibility: Visibility,
        changes: Changes,
        clock: Clock,
    ) -> None:
        self._tenants = tenants
        self._resolver = resolver
        self._visibility = visibility
        self._changes = changes
        self._clock = clock

    async def create(self, principal: Principal, request: RecallRequest) -> Recall:
        """Recalls or blocks. The same request id gives the same recall.

        Raises NotFound, InvalidArgument (INVALID_RANGE, UNIT_NOT_OF_BATCH, LIST_TOO_LONG),
        AlreadyExists REQUEST_ID_USED where the id stands for another recall.
        """
        batch = await self._visibility.batch(principal, request.gtin, request.lot)
        request_id = bounded(request.request_id, "request_id", 64, required=True)
        spans = await self._spans(batch.batch_number, request)
        identity = f"{batch.batch_number}\x00{principal.party_gln}\x00{request_id}"
        wanted = Recall(
            hashlib.sha256(identity.encode()).hexdigest()[:16],
            batch.batch_number,
            request.kind,
            spans,
            request.notice.checked("recall.notice", 500),
            principal.party_gln,
            principal.role is Role.INSPECTOR,
            self._clock(),
        )
        kept = await self._changes.make(
            batch.batch_number, self._tenants.within(principal).put_recall(wanted)
        )
        if (kept.kind, kept.spans, kept.notice) != (wanted.kind, wanted.spans, wanted.notice):
            raise AlreadyExists("REQUEST_ID_USED", "this request id stands for another recall")
        return kept

    async def _spans(
        self, batch_number: int, request: RecallRequest
    ) -> tuple[tuple[int, int], ...]:
        for name, entries in (("ranges", request.ranges), ("units", request.units)):
            if len(entries) > MAX_SPANS:
                raise InvalidArgument.of(
                    f"recall.{name}", "LIST_TOO_LONG", f"at most {MAX_SPANS} are taken"
                )
        spans: set[tuple[int, int]] = set()
        for i, (first, count) in enumerate(request.ranges):
            if first < 0 or count < 1 or first + count > WHOLE_BATCH:
                raise InvalidArgument.of(
                    f"recall.ranges[{i}]", "INVALID_RANGE", "is empty or reaches beyond 2^32"
                )
            spans.add((first, first + count))
        for i, unit in enumerate(request.units):
            _, thing = await self._resolver.named(unit, f"recall.units[{i}]")
            if thing.batch_key != batch_number or thing.is_class:
                raise InvalidArgument.of(
                    f"recall.units[{i}]", "UNIT_NOT_OF_BATCH", "is no unit of this batch"
                )
            spans.add((thing.first, thing.end))
        return tuple(sorted(spans))

    async def get(self, principal: Principal, gtin: str, lot: str, recall_id: str) -> Recall:
        """One recall. Raises NotFound."""
        for recall in await self.list(principal, gtin, lot):
            if recall.recall_id == recall_id:
                return recall
        raise NotFound("RECALL_NOT_FOUND", f"there is no recall {recall_id} of this batch")

    async def list(self, principal: Principal, gtin: str, lot: str) -> Sequence[Recall]:
        """The recalls of a batch, oldest first, lifted ones too. Raises NotFound."""
        batch = await self._visibility.batch(principal, gtin, lot)
        return await self._tenants.within(principal).list_recalls(batch.batch_number)

    async def lift(
        self, principal: Principal, gtin: str, lot: str, recall_id: str, reason: str
    ) -> Recall:
        """Lifts a recall; it stays on record.

        Raises NotFound, InvalidArgument, and PermissionDenied DECIDED_BY_REGULATOR where an
        issuer would lift what a regulator decided.
        """
        recall = await self.get(principal, gtin, lot, recall_id)
        reason = bounded(reason, "reason", 500, required=True)
        if recall.by_regulator and principal.role is not Role.INSPECTOR:
            raise PermissionDenied(
                "DECIDED_BY_REGULATOR", "a regulator decided this; only a regulator lifts it"
            )
        lifted = await self._changes.make(
            recall.batch_number,
            self._tenants.within(principal).lift_recall(
                recall.batch_number, recall_id, self._clock(), reason
            ),
        )
        assert lifted is not None
        return lifted
