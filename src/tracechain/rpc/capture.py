"""EventService: supply-chain events in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tracechain.app.capturing import CaptureResult, CaptureStatus, Capturing, identity_text
from tracechain.app.reading import CapturedEvent, Reading
from tracechain.domain.epcis.model import Event
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Principal
from tracechain.rpc import convert, convert_event, names, paging
from tracechain.v1 import capture_pb2 as pb
from tracechain.v1 import event_pb2


class EventServicer:
    """See protos/tracechain/v1/capture.proto."""

    service = pb.DESCRIPTOR.services_by_name["EventService"]

    def __init__(self, capturing: Capturing, reading: Reading) -> None:
        self._capturing = capturing
        self._reading = reading

    async def CaptureEvents(
        self, request: pb.CaptureEventsRequest, principal: Principal
    ) -> pb.CaptureEventsResponse:
        events = [_read(message) for message in request.events]
        header, whole = request.document.json, []
        if request.HasField("document"):
            whole = self._capturing.check_document(header, events)
        results = await self._capturing.capture(principal, events)
        answer = pb.CaptureEventsResponse(results=[_result(result) for result in results])
        if request.HasField("document"):
            answer.document = names.document(
                await self._capturing.keep_document(principal, header, whole, results)
            )
        return answer

    async def StreamCaptureEvents(
        self, requests: AsyncIterator[pb.StreamCaptureEventsRequest], principal: Principal
    ) -> AsyncIterator[pb.StreamCaptureEventsResponse]:
        async for request in requests:
            events = [_read(message) for message in request.events]
            results = await self._capturing.capture(principal, events)
            yield pb.StreamCaptureEventsResponse(results=[_result(result) for result in results])

    async def GetEvent(self, request: pb.GetEventRequest, principal: Principal) -> pb.CapturedEvent:
        return _captured(await self._reading.event(principal, request.event_id))

    async def ListEvents(
        self, request: pb.ListEventsRequest, principal: Principal
    ) -> pb.ListEventsResponse:
        found, following, cut = await self._reading.list(
            principal,
            request.epc,
            _after(paging.after("events", request.page_token)),
            paging.size(request.page_size),
        )
        more = paging.token("events", f"{following[0]}/{following[1]}") if following else ""
        return pb.ListEventsResponse(
            events=[_captured(event) for event in found], next_page_token=more, truncated=cut
        )

    async def GetDocument(
        self, request: pb.GetDocumentRequest, principal: Principal
    ) -> pb.GetDocumentResponse:
        header, events = await self._reading.document(
            principal, names.read_document(request.name, "name")
        )
        return pb.GetDocumentResponse(
            document=event_pb2.DocumentHeader(json=header),
            events=[convert_event.event(event) for event in events],
        )


def _read(message: event_pb2.Event) -> Event | InvalidArgument:
    try:
        return convert_event.read_event(message)
    except InvalidArgument as error:
        # One event that cannot be read is one refusal, not the end of the call.
        return error


def _result(result: CaptureResult) -> pb.CaptureResult:
    answer = pb.CaptureResult(
        status=convert.number(pb.CaptureStatus, result.status),  # type: ignore[arg-type]
        event_id=result.identity,
        conflicts=convert.conflicts(result.conflicts),
    )
    if result.status is CaptureStatus.REFUSED and result.violation is not None:
        answer.reason = result.violation.reason
        answer.field = result.violation.field
        answer.description = result.violation.description
    return answer


def _captured(event: CapturedEvent) -> pb.CapturedEvent:
    stored = event.stored
    return pb.CapturedEvent(
        event=convert_event.event(event.event),
        event_id=identity_text(stored.event_id, stored.declaration),
        recorder_gln=stored.recorder,
        record_time=convert.timestamp(stored.record_time),
    )


def _after(text: str) -> tuple[int, str]:
    if not text:
        return (-(1 << 63), "")
    time, _, identity = text.partition("/")
    try:
        return int(time), identity
    except ValueError:
        raise InvalidArgument.of(
            "page_token", "INVALID_PAGE_TOKEN", "is none of this list's"
        ) from None
