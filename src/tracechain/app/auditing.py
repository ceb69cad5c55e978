"""The audit log: what every privileged call leaves behind, and who may read it.

Promise: a record is durable when its future is done, so a call that waits for it before it answers
is on record whatever happens to the process afterwards. Calls that no credential stands behind,
and those beyond a limit, can be made without end; alike ones are told as one record a second, in
bounded memory, and a second of those is what a crash can lose. Order is by time; a record appears
a moment after its time, so whoever follows the log asks again for the last seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import structlog

from tracechain.app.ports import Clock, Digester, Tenants
from tracechain.domain.address import network_of
from tracechain.domain.audit import RECORD_ID_BYTES, AuditQuery, AuditRecord
from tracechain.domain.errors import TracechainError
from tracechain.domain.party import Principal

_LOG = structlog.get_logger(__name__)
EXPORT_PAGE = 500
# Refusals that are told apart within a second; beyond it, without their origin.
_MAX_FOLDED = 1000
_FOLD_SECONDS = 1.0
# Method, who, from where, outcome.
_Alike = tuple[str, Principal | None, bytes, str]


@dataclass(frozen=True, slots=True)
class Call:
    """A privileged call, as its record tells it. `peer` is an address and stays in memory."""

    method: str
    peer: str
    principal: Principal | None = None
    objects: Mapping[str, str] | None = None
    request_id: str = ""


class Auditing:
    """Writes and reads audit records."""

    def __init__(
        self,
        append: Callable[[AuditRecord], asyncio.Future[None]],
        tenants: Tenants,
        digester: Digester,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`append` takes a record at once and is done when it is durable."""
        self._append = append
        self._tenants = tenants
        self._digester = digester
        self._clock = clock
        self._random = random_bytes
        self._folded: dict[_Alike, int] = {}
        self._telling: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def record(
        self,
        call: Call,
        outcome: str,
        old_values: Mapping[str, str] | None = None,
        new_values: Mapping[str, str] | None = None,
    ) -> asyncio.Future[None]:
        """Takes the record of a call; the future is done when it is durable. Where nobody awaits
        it, it is written all the same.

        Raises ResourceExhausted where too many wait; the future raises Unavailable where it could
        not be written.
        """
        who = call.principal
        # Whoever is cancelled while he waits must not take his record away with him.
        return asyncio.shield(
            self._append(
                AuditRecord(
                    time=self._clock(),
                    record_id=self._random(RECORD_ID_BYTES),
                    party_gln=who.party_gln if who else "",
                    role=who.role.value if who else "",
                    credential_id=who.credential_id if who else "",
                    method=call.method,
                    objects=call.objects or {},
                    request_id=call.request_id,
                    origin=self._origin(call.peer),
                    outcome=outcome,
                    old_values=old_values or {},
                    new_values=new_values or {},
                )
            )
        )

    async def refused(self, call: Call, outcome: str, asked: Mapping[str, str]) -> None:
        """Keeps the record of a call that was refused; the log says where that cannot be."""
        try:
            await self.record(call, outcome, None, asked)
        except TracechainError as error:
            _say_lost(call.method, outcome, 1, error)

    def left(self, call: Call, outcome: str, asked: Mapping[str, str]) -> None:
        """The same where nobody is there to wait for it."""
        try:
            kept = self.record(call, outcome, None, asked)
        except TracechainError as error:
            _say_lost(call.method, outcome, 1, error)
        else:
            kept.add_done_callback(partial(_look_back, call.method, outcome))

    def turned_away(self, call: Call, outcome: str) -> None:
        """Takes note of a call that no good credential came with, or that was one too many; it is
        told within a second, and alike ones as one."""
        key = (call.method, call.principal, self._origin(call.peer), outcome)
        if key not in self._folded and len(self._folded) >= _MAX_FOLDED:
            key = (call.method, None, b"", outcome)
        self._folded[key] = self._folded.get(key, 0) + 1
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_later())

    def _origin(self, peer: str) -> bytes:
        return self._digester.origin_mark(network_of(peer), self._clock())

    async def _tell_later(self) -> None:
        while self._folded:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _FOLD_SECONDS)
            told, self._folded = self._folded, {}
            await asyncio.gather(*(self._tell(*alike) for alike in told.items()))

    async def _tell(self, alike: _Alike, calls: int) -> None:
        method, who, origin, outcome = alike
        record = AuditRecord(
            self._clock(), self._random(RECORD_ID_BYTES), who.party_gln if who else "",
            who.role.value if who else "", who.credential_id if who else "", method, {}, "",
            origin, outcome, {}, {}, calls,
        )  # fmt: skip
        try:
            await self._append(record)
        except TracechainError as error:
            _say_lost(method, outcome, calls, error)

    async def search(
        self, principal: Principal, query: AuditQuery, limit: int
    ) -> Sequence[AuditRecord]:
        """At most `limit` records, oldest first."""
        return await self._tenants.within(principal).list_audit(query, limit)

    async def export(
        self, principal: Principal, query: AuditQuery
    ) -> AsyncIterator[Sequence[AuditRecord]]:
        """All records up to now, oldest first, some at a time."""
        query = replace(query, end=min(query.end, self._clock()))
        while page := await self._tenants.within(principal).list_audit(query, EXPORT_PAGE):
            yield page
            query = replace(query, after=page[-1].place)

    async def close(self) -> None:
        """Tells what was noted."""
        self._closing.set()
        if self._telling is not None:
            await self._telling


def _look_back(method: str, outcome: str, kept: asyncio.Future[None]) -> None:
    error = kept.exception()
    if isinstance(error, TracechainError):
        _say_lost(method, outcome, 1, error)


def _say_lost(method: str, outcome: str, calls: int, error: TracechainError) -> None:
    # What is full may be the disk that the log is on; the caller is answered all the same.
    with suppress(OSError):
        _LOG.error("audit_lost", method=method, outcome=outcome, calls=calls, reason=error.reason)
