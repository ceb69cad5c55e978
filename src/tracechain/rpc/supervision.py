"""SupervisionService: recalls and blocks, and what consumers report."""

from __future__ import annotations

from tracechain.app.recalling import Recalling, RecallRequest
from tracechain.app.reporting import Reporting
from tracechain.domain.party import Principal
from tracechain.domain.recall import RecallKind
from tracechain.domain.text import bounded
from tracechain.rpc import convert, names, paging
from tracechain.v1 import supervision_pb2 as pb


class SupervisionServicer:
    """See protos/tracechain/v1/supervision.proto."""

    service = pb.DESCRIPTOR.services_by_name["SupervisionService"]

    def __init__(self, recalling: Recalling, reporting: Reporting) -> None:
        self._recalling = recalling
        self._reporting = reporting

    async def CreateRecall(
        self, request: pb.CreateRecallRequest, principal: Principal
    ) -> pb.Recall:
        gtin, lot = names.read_batch(request.parent, "parent")
        wanted = request.recall
        recall = await self._recalling.create(
            principal,
            RecallRequest(
                gtin,
                lot,
                convert.member(RecallKind, pb.RecallKind, wanted.kind, "recall.kind"),
                [(item.first_index, item.count) for item in wanted.ranges],
                list(wanted.units),
                convert.read_text(wanted.notice),
                request.request_id,
            ),
        )
        return convert.recall(recall, gtin, lot)

    async def GetRecall(self, request: pb.GetRecallRequest, principal: Principal) -> pb.Recall:
        gtin, lot, recall_id = names.read_recall(request.name, "name")
        return convert.recall(await self._recalling.get(principal, gtin, lot, recall_id), gtin, lot)

    async def ListRecalls(
        self, request: pb.ListRecallsRequest, principal: Principal
    ) -> pb.ListRecallsResponse:
        gtin, lot = names.read_batch(request.parent, "parent")
        found = await self._recalling.list(principal, gtin, lot)
        return pb.ListRecallsResponse(
            recalls=[convert.recall(recall, gtin, lot) for recall in found]
        )

    async def LiftRecall(self, request: pb.LiftRecallRequest, principal: Principal) -> pb.Recall:
        gtin, lot, recall_id = names.read_recall(request.name, "name")
        return convert.recall(
            await self._recalling.lift(principal, gtin, lot, recall_id, request.reason), gtin, lot
        )

    async def ListReports(
        self, request: pb.ListReportsRequest, principal: Principal
    ) -> pb.ListReportsResponse:
        kind = f"reports/{request.region}"
        size = paging.size(request.page_size)
        before = paging.after(kind, request.page_token)
        found = await self._reporting.list(principal, request.region, before, size)
        more = paging.token(kind, found[-1].report_id) if len(found) == size else ""
        return pb.ListReportsResponse(
            reports=[convert.report(report) for report in found], next_page_token=more
        )

    async def GetReport(self, request: pb.GetReportRequest, principal: Principal) -> pb.Report:
        province, report_id = names.read_report(request.name, "name")
        report, photo = await self._reporting.get(principal, province, report_id)
        return convert.report(report, photo)

    async def EraseReport(self, request: pb.EraseReportRequest, principal: Principal) -> pb.Report:
        province, report_id = names.read_report(request.name, "name")
        bounded(request.reason, "reason", 500, required=True)
        return convert.report(await self._reporting.erase(principal, province, report_id), None)
