"""LogService: the transparency log, for anybody; and its leaves opened, for those who may see."""

from __future__ import annotations

from tracechain.app.log.openings import Openings, Page
from tracechain.app.log.published import PublishedLog
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Principal
from tracechain.rpc import convert, names, paging
from tracechain.v1 import log_pb2 as pb

# Of a proof the checkpoint is the most, and each leaf has one.
_MOST = 100


class LogServicer:
    """See protos/tracechain/v1/log.proto."""

    service = pb.DESCRIPTOR.services_by_name["LogService"]

    def __init__(self, log: PublishedLog, openings: Openings) -> None:
        self._log = log
        self._openings = openings

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest) -> pb.LogCheckpoint:
        note, found = await self._log.checkpoint()
        return pb.LogCheckpoint(
            note=note.encode(), origin=found.origin, tree_size=found.size, root_hash=found.root
        )

    async def GetInclusionProof(self, request: pb.GetInclusionProofRequest) -> pb.LogLeaf:
        leaf, proof = await self._log.prove(request.leaf_index)
        return pb.LogLeaf(leaf_index=leaf.leaf_index, entry=leaf.entry, proof=proof)

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest
    ) -> pb.ConsistencyProof:
        hashes = await self._log.consistency(request.first_size, request.second_size)
        return pb.ConsistencyProof(hashes=hashes)

    async def ListLeaves(
        self, request: pb.ListLeavesRequest, principal: Principal
    ) -> pb.ListLeavesResponse:
        kind = f"leaves/{request.name}"
        first = paging.after_number(kind, request.page_token)
        limit = min(paging.size(request.page_size, _MOST), _MOST)
        page = await self._page(principal, request.name, first, limit)
        return pb.ListLeavesResponse(
            leaves=[convert.opened_leaf(leaf) for leaf in page.leaves],
            next_page_token=paging.token(kind, str(page.following)) if page.following else "",
        )

    async def _page(self, principal: Principal, name: str, first: int, limit: int) -> Page:
        """The leaves about what has this name."""
        opened = self._openings
        match name.split("/"):
            case ["ni:", *_]:
                return await opened.of_event(principal, name, first, limit)
            case ["parties", _, "keys", _]:
                gln, key_id = names.read_key(name, "name")
                return await opened.of_key(principal, gln, key_id, first, limit)
            case ["products", _, "batches", _, "recalls", _]:
                gtin, lot, recall_id = names.read_recall(name, "name")
                return await opened.of_recall(principal, gtin, lot, recall_id, first, limit)
            case ["products", _, "batches", _]:
                gtin, lot = names.read_batch(name, "name")
                return await opened.of_batch(principal, gtin, lot, first, limit)
        raise InvalidArgument.of(
            "name", "INVALID_NAME", "is that of no batch, recall or key, and no event's identity"
        )
