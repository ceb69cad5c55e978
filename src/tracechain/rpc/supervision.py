"""SupervisionService: recalls and blocks."""

from __future__ import annotations

from tracechain.app.recalling import Recalling, RecallRequest
from tracechain.domain.party import Principal
from tracechain.domain.recall import RecallKind
from tracechain.rpc import convert, names
from tracechain.v1 import supervision_pb2 as pb


class SupervisionServicer:
    """See protos/tracechain/v1/supervision.proto."""

    service = pb.DESCRIPTOR.services_by_name["SupervisionService"]

    def __init__(self, recalling: Recalling) -> None:
        self._recalling = recalling

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
