"""AuditService: audit records, for auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tracechain.app.auditing import Auditing
from tracechain.app.ports import Clock
from tracechain.domain.audit import RECORD_ID_BYTES, AuditQuery, AuditRecord
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Principal, Role
from tracechain.rpc import convert, names, paging
from tracechain.v1 import annotations_pb2
from tracechain.v1 import audit_pb2 as pb

_LIST = "audit"
# Before the first: no record has a time below it.
_FIRST = (-1, b"")


class AuditServicer:
    """See protos/tracechain/v1/audit.proto."""

    service = pb.DESCRIPTOR.services_by_name["AuditService"]

    def __init__(self, auditing: Auditing, clock: Clock) -> None:
        self._auditing = auditing
        self._clock = clock

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, principal: Principal
    ) -> pb.ListAuditRecordsResponse:
        size = paging.size(request.page_size)
        query = self._query(request, _after(request.page_token))
        found = await self._auditing.search(principal, query, size)
        more = paging.token(_LIST, _place(found[-1])) if len(found) == size else ""
        return pb.ListAuditRecordsResponse(records=_records(found), next_page_token=more)

    async def ExportAuditRecords(
        self, request: pb.ExportAuditRecordsRequest, principal: Principal
    ) -> AsyncIterator[pb.ExportAuditRecordsResponse]:
        async for page in self._auditing.export(principal, self._query(request, _FIRST)):
            yield pb.ExportAuditRecordsResponse(records=_records(page))

    def _query(
        self,
        request: pb.ListAuditRecordsRequest | pb.ExportAuditRecordsRequest,
        after: tuple[int, bytes],
    ) -> AuditQuery:
        start, end = 0, self._clock() + 1
        if request.HasField("start_time"):
            start = convert.read_timestamp(request.start_time, "start_time")
        if request.HasField("end_time"):
            end = convert.read_timestamp(request.end_time, "end_time")
        if end < start:
            raise InvalidArgument.of("end_time", "INVALID_TIME", "is before start_time")
        party = names.read_party(request.party, "party") if request.party else ""
        for field in ("method", "outcome"):
            if "\x00" in getattr(request, field):
                raise InvalidArgument.of(field, "INVALID_TEXT", "holds U+0000")
        return AuditQuery(start, end, party, request.method, request.outcome, after)


def _place(record: AuditRecord) -> str:
    return f"{record.time}.{record.record_id.hex()}"


def _after(token: str) -> tuple[int, bytes]:
    text = paging.after(_LIST, token)
    if not text:
        return _FIRST
    time, _, record_id = text.partition(".")
    try:
        place = int(time), bytes.fromhex(record_id)
    except ValueError:
        place = _FIRST
    if not 0 <= place[0] < 1 << 63 or len(place[1]) != RECORD_ID_BYTES:
        raise InvalidArgument.of("page_token", "INVALID_PAGE_TOKEN", "is none of this list's")
    return place


def _records(found: Sequence[AuditRecord]) -> list[pb.AuditRecord]:
    return [
        pb.AuditRecord(
            time=convert.timestamp(record.time),
            record_id=record.record_id.hex(),
            party=names.party(record.party_gln) if record.party_gln else "",
            role=convert.number(  # type: ignore[arg-type]
                annotations_pb2.Role, Role(record.role) if record.role else None
            ),
            credential_id=record.credential_id,
            method=record.method,
            objects=record.objects,
            request_id=record.request_id,
            origin=record.origin.hex(),
            outcome=record.outcome,
            old_values=record.old_values,
            new_values=record.new_values,
            calls=record.calls,
        )
        for record in found
    ]
