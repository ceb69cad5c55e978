"""ProvenanceService: stories of goods, and what a recall would reach."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tracechain.app.assessing import Assessing
from tracechain.app.capturing import identity_text
from tracechain.app.evidence.exporting import Exporting
from tracechain.app.evidence.gathering import Gathering, Goods
from tracechain.app.tracing import Lineage, Trace, Tracing, lot_uri
from tracechain.domain.batch_key import WHOLE_BATCH
from tracechain.domain.custody import Step
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Party, Principal
from tracechain.domain.product import Batch
from tracechain.rpc import convert, names
from tracechain.v1 import provenance_pb2 as pb
from tracechain.v1 import verification_pb2


class ProvenanceServicer:
    """See protos/tracechain/v1/provenance.proto."""

    service = pb.DESCRIPTOR.services_by_name["ProvenanceService"]

    def __init__(
        self, tracing: Tracing, assessing: Assessing, gathering: Gathering, exporting: Exporting
    ) -> None:
        self._tracing = tracing
        self._assessing = assessing
        self._gathering = gathering
        self._exporting = exporting

    async def TraceUnit(self, request: pb.TraceUnitRequest, principal: Principal) -> pb.Trace:
        return _trace(await self._tracing.unit(principal, request.epc))

    async def TraceBatch(self, request: pb.TraceBatchRequest, principal: Principal) -> pb.Trace:
        return _trace(await self._tracing.batch(principal, _batch_uri(request.batch)))

    async def TraceContainer(
        self, request: pb.TraceContainerRequest, principal: Principal
    ) -> pb.Trace:
        return _trace(await self._tracing.container(principal, request.container))

    async def AssessRecall(
        self, request: pb.AssessRecallRequest, principal: Principal
    ) -> pb.AssessRecallResponse:
        found = await self._assessing.assess(principal, _batch_uri(request.batch))
        return pb.AssessRecallResponse(
            batch=_batch_name(found.batch) or found.thing.uri,
            issued_units=found.issued,
            ended_units=found.ended,
            downstream=[_lineage(item) for item in found.downstream],
            containers=found.containers,
            places=[
                pb.AffectedPlace(
                    place=place.summary.place or f"https://id.gs1.org/417/{place.summary.recorder}",
                    party_gln=place.summary.recorder,
                    party=convert.text(place.party.display_name) if place.party else None,
                    region=place.party.region if place.party else "",
                    last_time=convert.timestamp(place.summary.last_time),
                    current=place.current,
                )
                for place in found.places
            ],
            truncated=found.truncated,
            conflicts=convert.conflicts(sorted(found.conflicts)),
        )

    async def ExportEvidence(
        self, request: pb.ExportEvidenceRequest, principal: Principal
    ) -> AsyncIterator[pb.ExportEvidenceResponse]:
        bundle = await self._exporting.export(principal, await self._goods(principal, request))
        yield pb.ExportEvidenceResponse(evidence_id=bundle.evidence_id, size_bytes=len(bundle.data))
        async for part in bundle.parts():
            yield pb.ExportEvidenceResponse(data=part)

    async def _goods(self, principal: Principal, request: pb.ExportEvidenceRequest) -> Goods:
        match request.WhichOneof("subject"):
            case "unit":
                return await self._gathering.unit(principal, request.unit)
            case "batch":
                return await self._gathering.batch(principal, _batch_uri(request.batch))
            case "container":
                return await self._gathering.container(principal, request.container)
            case "case" if request.case.startswith("divisions/"):
                province, report_id = names.read_report(request.case, "case")
                return await self._gathering.report(principal, request.case, province, report_id)
            case "case":
                recall = names.read_recall(request.case, "case")
                return await self._gathering.recall(principal, request.case, *recall)
            case _:
                raise InvalidArgument.of(
                    "subject", "MISSING_FIELD", "name a unit, a batch, a container or a case"
                )


def _batch_uri(text: str) -> str:
    if text.startswith("products/"):
        gtin, lot = names.read_batch(text, "batch")
        return lot_uri(gtin, lot)
    return text


def _batch_name(batch: Batch | None) -> str:
    return names.batch(batch.gtin, batch.lot) if batch else ""


def _trace(trace: Trace) -> pb.Trace:
    story = trace.loaded.assembled.story
    return pb.Trace(
        epc=trace.thing.uri,
        product=convert.text(trace.product.display_name) if trace.product else None,
        batch=_batch_name(trace.batch),
        state=convert.number(verification_pb2.UnitState, trace.state),  # type: ignore[arg-type]
        steps=[_step(step, trace.parties) for step in story.steps],
        containers=[
            pb.Containment(
                container=nested.stay.container.uri,
                start_time=convert.timestamp(nested.stay.start),
                end_time=convert.timestamp(nested.stay.end),
                level=nested.level,
            )
            for nested in trace.stays
        ],
        contents=[
            pb.Content(
                epc=content.thing.uri,
                first_index=content.thing.first if content.thing.end < WHOLE_BATCH else 0,
                count=int(content.quantity or 0),
                start_time=convert.timestamp(content.start),
                end_time=convert.timestamp(content.end),
            )
            for content in trace.contents
        ],
        upstream=[_lineage(item) for item in trace.upstream],
        downstream=[_lineage(item) for item in trace.downstream],
        location=story.location,
        holder_gln=story.holder,
        addressee_gln=story.addressee,
        conflicts=convert.conflicts(sorted(trace.conflicts)),
        truncated=trace.truncated,
    )


def _step(step: Step, parties: dict[str, Party]) -> pb.TraceStep:
    happening, digest = step.happening, step.happening.digest
    recorder = parties.get(digest.recorder)
    return pb.TraceStep(
        event_time=convert.timestamp(digest.event_time),
        record_time=convert.timestamp(digest.record_time),
        event_id=identity_text(digest.event_id, digest.declaration),
        event_type=digest.type,
        action=digest.action,
        biz_step=digest.step,
        disposition=digest.disposition,
        read_point=digest.read_point,
        biz_location=digest.biz_location,
        recorder_gln=digest.recorder,
        recorder=convert.text(recorder.display_name) if recorder else None,
        region=recorder.region if recorder else "",
        link=pb.LINK_DIRECT if happening.direct else pb.LINK_CONTAINER,
        via=happening.via,
        holder_gln=step.holder,
        conflicts=convert.conflicts(step.conflicts),
        erroneous=step.erroneous,
    )


def _lineage(item: Lineage) -> pb.Lineage:
    return pb.Lineage(
        epc=item.thing.uri,
        event_id=identity_text(item.event_id, b""),
        event_time=convert.timestamp(item.event_time),
        depth=item.depth,
        quantity=item.quantity,
        uom=item.uom,
    )
