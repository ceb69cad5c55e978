"""IssuanceService: products, batches and codes of the calling issuer."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

from tracechain.app.issuing import Issuing, Order
from tracechain.app.labelling import Labelling
from tracechain.app.linking import Linking
from tracechain.app.products import Products
from tracechain.domain.code import Profile
from tracechain.domain.party import Principal
from tracechain.rpc import convert, convert_label, names, paging
from tracechain.v1 import issuance_pb2


class IssuanceServicer:
    """See protos/tracechain/v1/issuance.proto."""

    service = issuance_pb2.DESCRIPTOR.services_by_name["IssuanceService"]

    def __init__(
        self, products: Products, issuing: Issuing, labelling: Labelling, linking: Linking
    ) -> None:
        self._products = products
        self._issuing = issuing
        self._labelling = labelling
        self._linking = linking

    async def CreateProduct(
        self, request: issuance_pb2.CreateProductRequest, principal: Principal
    ) -> issuance_pb2.Product:
        product = convert.read_product(request.product)
        return convert.product(await self._products.register(principal, product))

    async def GetProduct(
        self, request: issuance_pb2.GetProductRequest, principal: Principal
    ) -> issuance_pb2.Product:
        gtin = names.read_product(request.name, "name")
        return convert.product(await self._products.get(principal, gtin))

    async def ListProducts(
        self, request: issuance_pb2.ListProductsRequest, principal: Principal
    ) -> issuance_pb2.ListProductsResponse:
        size = paging.size(request.page_size)
        after = paging.after("products", request.page_token)
        found = await self._products.list(principal, after, size)
        more = paging.token("products", found[-1].gtin) if len(found) == size else ""
        return issuance_pb2.ListProductsResponse(
            products=[convert.product(product) for product in found], next_page_token=more
        )

    async def CreateBatch(
        self, request: issuance_pb2.CreateBatchRequest, principal: Principal
    ) -> issuance_pb2.Batch:
        gtin = names.read_product(request.parent, "parent")
        batch = convert.read_batch(request.batch, gtin)
        return convert.batch(await self._products.register_batch(principal, batch))

    async def GetBatch(
        self, request: issuance_pb2.GetBatchRequest, principal: Principal
    ) -> issuance_pb2.Batch:
        gtin, lot = names.read_batch(request.name, "name")
        return convert.batch(await self._products.get_batch(principal, gtin, lot))

    async def ListBatches(
        self, request: issuance_pb2.ListBatchesRequest, principal: Principal
    ) -> issuance_pb2.ListBatchesResponse:
        gtin = names.read_product(request.parent, "parent")
        size = paging.size(request.page_size)
        after = paging.after_number(f"batches/{gtin}", request.page_token)
        found = await self._products.list_batches(principal, gtin, after, size)
        more = ""
        if len(found) == size:
            more = paging.token(f"batches/{gtin}", str(found[-1].batch_number))
        return issuance_pb2.ListBatchesResponse(
            batches=[convert.batch(batch) for batch in found], next_page_token=more
        )

    async def RaiseBatchQuantity(
        self, request: issuance_pb2.RaiseBatchQuantityRequest, principal: Principal
    ) -> issuance_pb2.Batch:
        gtin, lot = names.read_batch(request.name, "name")
        return convert.batch(
            await self._products.raise_quantity(
                principal,
                gtin,
                lot,
                request.authorized_quantity,
                request.reason,
                request.request_id,
            )
        )

    async def IssueCodes(
        self, request: issuance_pb2.IssueCodesRequest, principal: Principal
    ) -> AsyncIterator[issuance_pb2.IssueCodesResponse]:
        gtin, lot = names.read_batch(request.parent, "parent")
        profile = convert.member(
            Profile, issuance_pb2.CodeProfile, request.profile, "profile", Profile.SIGNED
        )
        opened = await self._issuing.open(
            principal,
            Order(
                gtin,
                lot,
                request.request_id,
                request.quantity,
                profile,
                request.offset,
                request.include_pins,
            ),
        )
        async for offset, codes in self._issuing.stream(opened):
            pins = codes.pins or itertools.repeat("")
            rows = zip(codes.uris, itertools.count(codes.first), codes.serials, pins)
            yield issuance_pb2.IssueCodesResponse(
                offset=offset,
                codes=[
                    issuance_pb2.Code(uri=uri, index=index, serial=serial, pin=pin)
                    for uri, index, serial, pin in rows
                ],
            )

    async def SetLinkSet(
        self, request: issuance_pb2.SetLinkSetRequest, principal: Principal
    ) -> issuance_pb2.LinkSet:
        gtin, lot = names.read_goods(request.name, "name")
        links = convert.read_link_set(request.link_set)
        kept = await self._linking.put(principal, gtin, lot, links)
        return convert.link_set(kept, _goods(gtin, lot))

    async def GetLinkSet(
        self, request: issuance_pb2.GetLinkSetRequest, principal: Principal
    ) -> issuance_pb2.LinkSet:
        gtin, lot = names.read_goods(request.name, "name")
        found = await self._linking.get(principal, gtin, lot)
        return convert.link_set(found, _goods(gtin, lot))

    async def RenderLabels(
        self, request: issuance_pb2.RenderLabelsRequest, principal: Principal
    ) -> AsyncIterator[issuance_pb2.RenderLabelsResponse]:
        opened = await self._labelling.open(principal, convert_label.read_order(request))
        yield issuance_pb2.RenderLabelsResponse(plan=convert_label.plan(opened.plan, opened.count))
        async for drawn in self._labelling.stream(opened):
            for answer in convert_label.drawn(drawn):
                yield answer


def _goods(gtin: str, lot: str) -> str:
    return names.batch(gtin, lot) if lot else names.product(gtin)
