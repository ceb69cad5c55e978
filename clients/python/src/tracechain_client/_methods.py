"""The API of the service as plans: each method once, for both clients.

Promises that a request which may change something carries a request_id, made once for each call
and kept through all its tries, and that an answer is handed on only where it has the shape that
the API promises: as many verdicts as codes, codes without a gap or a repetition.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar
from zlib import crc32

from google.protobuf.message import Message
from grpc import StatusCode
from grpc.aio import UnaryUnaryMultiCallable

from tracechain_client._batching import MAX_BATCH, Chunks, fresh_codes, numbered, one_each, turn
from tracechain_client._log.checkpoint import Checkpoint
from tracechain_client._log.errors import InvalidArgument as DomainInvalid
from tracechain_client._log.merkle import verify_consistency
from tracechain_client._log.note import Note
from tracechain_client._plan import (
    END,
    Emit,
    Flow,
    Open,
    Plan,
    Read,
    Sleep,
    Unary,
    Write,
    streaming,
    unary,
)
from tracechain_client._retry import RETRYABLE, Patience, RetryPolicy
from tracechain_client._stubs import Stubs
from tracechain_client.errors import (
    FalseProof,
    LogForked,
    LogRolledBack,
    NotFound,
    ProtocolError,
    TracechainError,
    Unavailable,
)
from tracechain_client.offline import KeySet
from tracechain_client.trust import LogTrust, Pin, ProvedVerdict
from tracechain_client.v1 import (
    admin_pb2,
    capture_pb2,
    issuance_pb2,
    log_pb2,
    provenance_pb2,
    supervision_pb2,
    verification_pb2,
)
from tracechain_client.v1.event_pb2 import Event
from tracechain_client.v1.party_pb2 import IssuerKey, Party

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)
# As the service says it where a call fails by it: a checkpoint comes every second.
_BEHIND = Unavailable(StatusCode.UNAVAILABLE, "LEAF_NOT_PUBLISHED", retry_after=1.0)


class Methods:
    """What `Client` and `AsyncClient` have in common: the methods of the service."""

    _stubs: Stubs
    _retry: RetryPolicy
    _timeout: float | None
    _stream_timeout: float | None
    _clock: Callable[[], float]
    _now: Callable[[], datetime.datetime]
    _new_request_id: Callable[[], str]

    # ---- verification

    @unary
    def verify(
        self,
        code: str,
        device_id: str | None = None,
        region: str | None = None,
        *,
        request_id: str | None = None,
    ) -> Plan[verification_pb2.Verdict]:
        """The verdict on one scan, which the service has recorded durably.

        `code` is the text of the QR code as it was read. `device_id` is anything that stays the
        same on one device, `region` six digits (GB/T 2260). A suspect product is a verdict, not
        an error.
        """
        request = verification_pb2.VerifyCodeRequest(
            code=code, context=_context(device_id, region), request_id=request_id or ""
        )
        return self._call(self._stubs.verification.VerifyCode, request)

    @unary
    def verify_with_proof(
        self,
        code: str,
        trust: LogTrust,
        device_id: str | None = None,
        region: str | None = None,
        *,
        request_id: str | None = None,
    ) -> Plan[ProvedVerdict]:
        """The verdict on one scan, with the proof by the log of its batch and its issuer's key.

        The proof is checked here, by the policy of `trust`, and its checkpoint against the one
        that is pinned there; a later one is pinned. Raises FalseProof where nothing is proved,
        LogForked or LogRolledBack where the log is not the one that was seen before. Where the
        log is a moment behind the scan, it is waited for; the scan counts once.
        """
        request = verification_pb2.VerifyCodeRequest(
            code=code,
            context=_context(device_id, region),
            request_id=request_id or self._new_request_id(),
            include_proof=True,
        )
        patience = Patience(self._retry, self._timeout, self._clock)
        verdict = yield from self._call(self._stubs.verification.VerifyCode, request)
        while verdict.proof.absent_reason == "LEAF_NOT_PUBLISHED":
            try:
                yield Sleep(patience.wait_after(_BEHIND))
            except Unavailable:
                break
            again = yield from self._call(self._stubs.verification.VerifyCode, request)
            verdict.proof.CopyFrom(again.proof)
        if verdict.proof.absent_reason:
            return ProvedVerdict(verdict, None)
        issue, note, seen = trust.check(code, verdict)
        yield from self._follow(trust.pin, note, seen)
        return ProvedVerdict(verdict, issue)

    def _follow(self, pin: Pin, note: Note, seen: Checkpoint) -> Plan[None]:
        """Holds a checkpoint against the pinned one, and pins it where it is later."""
        kept = pin.load()
        if kept is None:
            pin.save(note.encode())
            return
        try:
            pinned = Checkpoint.parse(Note.parse(kept).text)
        except DomainInvalid as error:
            raise FalseProof(
                reason=error.reason, message=f"the pin is no checkpoint: {error.message}"
            ) from error
        if pinned.origin != seen.origin:
            raise FalseProof(message=f"the pin is of the log {pinned.origin}, not of {seen.origin}")
        smaller, larger = sorted((pinned, seen), key=lambda one: one.size)
        try:
            if smaller.size == larger.size:
                hashes: Sequence[bytes] = ()
            else:
                request = log_pb2.GetConsistencyProofRequest(
                    first_size=smaller.size, second_size=larger.size
                )
                answer = yield from self._call(self._stubs.log.GetConsistencyProof, request)
                hashes = answer.hashes
            verify_consistency(smaller.size, larger.size, hashes, smaller.root, larger.root)
        except (NotFound, DomainInvalid) as error:
            pin.keep_conflict(kept, note.encode())
            kind = LogRolledBack if seen.size < pinned.size else LogForked
            raise kind(
                f"the tree of {seen.size} leaves is not shown to be of one history with the pinned "
                f"one of {pinned.size}",
                kept,
                note.encode(),
            ) from error
        if seen.size > pinned.size:
            pin.save(note.encode())

    @streaming
    def verify_many(
        self,
        codes: Iterable[str] | AsyncIterable[str],
        device_id: str | None = None,
        region: str | None = None,
    ) -> Flow[verification_pb2.Verdict]:
        """The verdicts on many scans, in their order; up to 1000 codes go in one request.

        Codes are taken from `codes` as verdicts are taken from here, so both may be endless.
        """
        context = _context(device_id, region)
        chunks = Chunks(codes)
        while chunk := (yield from chunks.next()):
            scans = [
                verification_pb2.VerifyCodeRequest(
                    code=code, context=context, request_id=self._new_request_id()
                )
                for code in chunk
            ]
            answer = yield from self._call(
                self._stubs.verification.BatchVerifyCodes,
                verification_pb2.BatchVerifyCodesRequest(requests=scans),
            )
            yield Emit(one_each(scans, answer.verdicts))

    @unary
    def claim(
        self, code: str, pin: str, device_id: str, region: str | None = None
    ) -> Plan[verification_pb2.ClaimUnitResponse]:
        """Claims a unit by the PIN under its scratch layer; the first correct PIN wins.

        Read `status`: a wrong PIN is an answer, not an error. A call that was tried twice after
        a lost answer says CLAIMED_BY_YOU instead of CLAIMED.
        """
        request = verification_pb2.ClaimUnitRequest(
            code=code, pin=pin, context=_context(device_id, region)
        )
        return self._call(self._stubs.verification.ClaimUnit, request)

    @unary
    def verification_keys(self) -> Plan[KeySet]:
        """The public keys of all issuers, for `verify_offline`; save them with `KeySet.save`."""
        keys: list[IssuerKey] = []
        request = verification_pb2.ListVerificationKeysRequest()
        while True:
            page = yield from self._call(self._stubs.verification.ListVerificationKeys, request)
            keys += page.keys
            if not turn(request, page.next_page_token):
                return KeySet.from_messages(keys, self._now())

    # ---- parties, products, batches, codes

    @unary
    def create_party(self, party: Party, *, request_id: str | None = None) -> Plan[Party]:
        """Registers a party (role operator)."""
        request = admin_pb2.CreatePartyRequest(party=party, request_id=request_id or "")
        return self._call(self._stubs.admin.CreateParty, request)

    @unary
    def create_product(
        self, product: issuance_pb2.Product, *, request_id: str | None = None
    ) -> Plan[issuance_pb2.Product]:
        """Registers a product of the calling issuer."""
        request = issuance_pb2.CreateProductRequest(product=product, request_id=request_id or "")
        return self._call(self._stubs.issuance.CreateProduct, request)

    @unary
    def create_batch(
        self, parent: str, batch: issuance_pb2.Batch, *, request_id: str | None = None
    ) -> Plan[issuance_pb2.Batch]:
        """Registers a batch of the product `parent` (`products/{gtin}`)."""
        request = issuance_pb2.CreateBatchRequest(
            parent=parent, batch=batch, request_id=request_id or ""
        )
        return self._call(self._stubs.issuance.CreateBatch, request)

    @unary
    def raise_batch_quantity(
        self, name: str, authorized_quantity: int, reason: str, *, request_id: str | None = None
    ) -> Plan[issuance_pb2.Batch]:
        """Raises how many codes may be issued for a batch; `reason` goes on record."""
        request = issuance_pb2.RaiseBatchQuantityRequest(
            name=name,
            authorized_quantity=authorized_quantity,
            reason=reason,
            request_id=request_id or "",
        )
        return self._call(self._stubs.issuance.RaiseBatchQuantity, request)

    @streaming
    def issue_codes(
        self,
        parent: str,
        quantity: int,
        *,
        request_id: str | None = None,
        profile: issuance_pb2.CodeProfile.ValueType = issuance_pb2.CODE_PROFILE_SIGNED,
        include_pins: bool = False,
        offset: int = 0,
    ) -> Flow[issuance_pb2.Code]:
        """Issues `quantity` codes for the batch `parent` and gives them in order.

        A stream that breaks goes on by itself where it stopped; no code comes twice, none is
        left out. To go on in another process, give a `request_id` of your own and keep it: the
        same order gives the same codes, from `offset` on.
        """
        order = issuance_pb2.IssueCodesRequest(
            parent=parent,
            request_id=request_id or self._new_request_id(),
            quantity=quantity,
            profile=profile,
            offset=offset,
            include_pins=include_pins,
        )
        patience = Patience(self._retry, self._stream_timeout, self._clock)
        while True:
            stream = self._stubs.issuance.IssueCodes(order, timeout=patience.remaining())
            try:
                while (part := (yield Read(stream))) is not END:
                    if codes := fresh_codes(order.offset, quantity, part):
                        order.offset += len(codes)
                        patience.progressed()
                        yield Emit(codes)
                if order.offset != quantity:
                    raise ProtocolError(
                        message=f"the codes end at {order.offset}, {quantity} were ordered"
                    )
                return
            except RETRYABLE as error:
                if offset < order.offset == quantity:
                    return  # all are here; what was lost is the farewell
                delay = patience.wait_after(error)
            finally:
                stream.cancel()
            yield Sleep(delay)

    @streaming
    def render_labels(
        self,
        parent: str,
        order: str,
        format: issuance_pb2.LabelFormat.ValueType = issuance_pb2.LABEL_FORMAT_PDF,
        *,
        layout: str = "",
        offset: int = 0,
        count: int = 0,
        error_correction: issuance_pb2.ErrorCorrection.ValueType = (
            issuance_pb2.ERROR_CORRECTION_UNSPECIFIED
        ),
        module_mm: float = 0.0,
        dpi: int = 0,
        omit_text: bool = False,
        include_pins: bool = False,
        printer_font: str = "",
    ) -> Flow[issuance_pb2.RenderLabelsResponse]:
        """Draws labels for the codes that were issued for `parent` under the request id `order`.

        Gives the plan first, then parts of files, each to be put at the end of the file that it
        names. What each option does, and its default, is in `RenderLabelsRequest`. A stream that
        breaks is asked for again, and goes on where it stopped: labels of an order are the same
        each time. Raises ProtocolError where they are not.
        """
        request = issuance_pb2.RenderLabelsRequest(
            parent=parent,
            order=order,
            offset=offset,
            count=count,
            format=format,
            layout=layout,
            error_correction=error_correction,
            module_mm=module_mm,
            dpi=dpi,
            omit_text=omit_text,
            include_pins=include_pins,
            printer_font=printer_font,
        )
        patience = Patience(self._retry, self._stream_timeout, self._clock)
        given: list[int] = []
        while True:
            stream = self._stubs.issuance.RenderLabels(request, timeout=patience.remaining())
            try:
                number = mark = 0
                while (answer := (yield Read(stream))) is not END:
                    mark = crc32(answer.SerializeToString(deterministic=True), mark)
                    if number == len(given):
                        given.append(mark)
                        patience.progressed()
                        yield Emit([answer])
                    elif given[number] != mark:
                        raise ProtocolError(message="these are not the labels that came before")
                    number += 1
                if number < len(given):
                    raise ProtocolError(message="the labels end before those that came before")
                return
            except RETRYABLE as error:
                delay = patience.wait_after(error)
            finally:
                stream.cancel()
            yield Sleep(delay)

    # ---- events

    @unary
    def capture(
        self, events: Iterable[Event] | AsyncIterable[Event], request_id: str | None = None
    ) -> Plan[list[capture_pb2.CaptureResult]]:
        """Captures events and gives what became of each, in their order, once all are durable.

        Read the results: a refused event is an answer, not an error. More than 1000 events go
        in several requests; where a later one fails, the earlier are captured, and calling
        again with everything is harmless.
        """
        results: list[capture_pb2.CaptureResult] = []
        first = request_id or self._new_request_id()
        chunks = Chunks(events)
        for number in count():
            chunk = yield from chunks.next()
            if not chunk:
                break
            request = capture_pb2.CaptureEventsRequest(
                events=chunk, request_id=numbered(first, number)
            )
            answer = yield from self._call(self._stubs.events.CaptureEvents, request)
            results += one_each(chunk, answer.results)
        return results

    @streaming
    def capture_stream(
        self,
        events: Iterable[Event] | AsyncIterable[Event],
        *,
        chunk_size: int = MAX_BATCH,
        window: int = 4,
    ) -> Flow[capture_pb2.CaptureResult]:
        """Captures a long stream of events and gives what became of each, in their order.

        For a backlog, not for a trickle: events are sent in chunks of `chunk_size`, and results
        come once `window` chunks are under way or `events` ends. A stream that breaks is opened
        again and what was not answered is sent again; such events may then be DUPLICATE where
        their first answer was lost. `events` may be asynchronous for the asynchronous client.
        """
        if not 1 <= chunk_size <= MAX_BATCH or window < 1:
            raise ValueError(f"chunk_size is 1 to {MAX_BATCH}, and window at least 1")
        chunks = Chunks(events, chunk_size)
        unanswered: deque[capture_pb2.StreamCaptureEventsRequest] = deque()
        patience = Patience(self._retry, self._stream_timeout, self._clock)
        while True:
            stream = yield Open(self._stubs.events.StreamCaptureEvents, patience.remaining())
            try:
                for request in unanswered:
                    yield Write(stream, request)
                while True:
                    while len(unanswered) < window and (chunk := (yield from chunks.next())):
                        unanswered.append(capture_pb2.StreamCaptureEventsRequest(events=chunk))
                        yield Write(stream, unanswered[-1])
                    if not unanswered:
                        break
                    answer = yield Read(stream)
                    if answer is END:
                        raise ProtocolError(message="the stream ended before its last answer")
                    results = one_each(unanswered[0].events, answer.results)
                    unanswered.popleft()
                    patience.progressed()
                    yield Emit(results)
                with suppress(TracechainError):  # all is answered; this is only a farewell
                    yield Write(stream, None)
                    yield Read(stream)
                return
            except RETRYABLE as error:
                delay = patience.wait_after(error)
            finally:
                stream.cancel()
            yield Sleep(delay)

    @unary
    def get_event(self, event_id: str) -> Plan[capture_pb2.CapturedEvent]:
        """One event by its identity, the CBV 2.0 hash (`ni:///sha-256;...`)."""
        return self._call(
            self._stubs.events.GetEvent, capture_pb2.GetEventRequest(event_id=event_id)
        )

    @streaming
    def list_events(self, epc: str = "", *, page_size: int = 0) -> Flow[capture_pb2.CapturedEvent]:
        """Events that name `epc`, or without one those that the caller captured; oldest first.

        Pages are fetched as events are taken.
        """
        request = capture_pb2.ListEventsRequest(epc=epc, page_size=page_size)
        more = True
        while more:
            page = yield from self._call(self._stubs.events.ListEvents, request)
            yield Emit(page.events)
            more = turn(request, page.next_page_token)

    # ---- provenance

    @unary
    def trace_unit(self, epc: str) -> Plan[provenance_pb2.Trace]:
        """The story of one unit: a code as scanned, an EPC URN or a GS1 Digital Link."""
        return self._call(
            self._stubs.provenance.TraceUnit, provenance_pb2.TraceUnitRequest(epc=epc)
        )

    @unary
    def trace_batch(self, batch: str) -> Plan[provenance_pb2.Trace]:
        """The story of a batch: `products/{gtin}/batches/{lot}`, LGTIN URN or Digital Link."""
        return self._call(
            self._stubs.provenance.TraceBatch, provenance_pb2.TraceBatchRequest(batch=batch)
        )

    @unary
    def trace_container(self, container: str) -> Plan[provenance_pb2.Trace]:
        """The story of a case or pallet and of what was in it: an SSCC or any container's EPC."""
        return self._call(
            self._stubs.provenance.TraceContainer,
            provenance_pb2.TraceContainerRequest(container=container),
        )

    @unary
    def assess_recall(self, batch: str) -> Plan[provenance_pb2.AssessRecallResponse]:
        """Which units, batches and places a recall of this batch would reach."""
        return self._call(
            self._stubs.provenance.AssessRecall, provenance_pb2.AssessRecallRequest(batch=batch)
        )

    # ---- supervision

    @unary
    def create_recall(
        self, parent: str, recall: supervision_pb2.Recall, *, request_id: str | None = None
    ) -> Plan[supervision_pb2.Recall]:
        """Recalls or blocks the batch `parent`, ranges of it, or units."""
        request = supervision_pb2.CreateRecallRequest(
            parent=parent, recall=recall, request_id=request_id or ""
        )
        return self._call(self._stubs.supervision.CreateRecall, request)

    @unary
    def lift_recall(
        self, name: str, reason: str, *, request_id: str | None = None
    ) -> Plan[supervision_pb2.Recall]:
        """Lifts a recall or block; it stays on record with `reason`."""
        request = supervision_pb2.LiftRecallRequest(
            name=name, reason=reason, request_id=request_id or ""
        )
        return self._call(self._stubs.supervision.LiftRecall, request)

    @streaming
    def list_recalls(self, parent: str) -> Flow[supervision_pb2.Recall]:
        """The recalls of the batch `parent`, oldest first, lifted ones too."""
        request = supervision_pb2.ListRecallsRequest(parent=parent)
        answer = yield from self._call(self._stubs.supervision.ListRecalls, request)
        yield Emit(answer.recalls)

    # ---- what all of them share

    def _call(
        self, method: UnaryUnaryMultiCallable[Request, Answer], request: Request
    ) -> Plan[Answer]:
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            message: Any = request
            message.request_id = message.request_id or self._new_request_id()
        patience = Patience(self._retry, self._timeout, self._clock)
        while True:
            try:
                answer: Answer = yield Unary(method, request, patience.remaining())
                return answer
            except RETRYABLE as error:
                delay = patience.wait_after(error)
            yield Sleep(delay)


def _context(device_id: str | None, region: str | None) -> verification_pb2.ScanContext | None:
    if device_id is None and region is None:
        return None
    return verification_pb2.ScanContext(device_id=device_id or "", region=region or "")
