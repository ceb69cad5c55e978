"""The whole service over PostgreSQL: one story from registration to recall, and two nodes.

What each port promises is tested below, over every backend; this is about what they come to
together, with calls that arrive at two nodes of one database.
"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from tests.support.service import (
    Lot,
    World,
    gathered,
    made,
    outcome,
    packed,
    reasons,
    received,
    refused,
    running_world,
    second_node,
    shipped,
)
from tests.support.stores import postgres_url
from tracechain.app.visibility import Visibility
from tracechain.v1 import (
    admin_pb2,
    capture_pb2,
    issuance_pb2,
    provenance_pb2,
    supervision_pb2,
    verification_pb2,
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(tmp_path_factory: Any) -> AsyncIterator[tuple[World, World]]:
    """Two nodes on one database; facts that another node changed are old for 50 ms at most."""
    folder: Path = tmp_path_factory.mktemp("world")
    fields = {"store_url": await postgres_url(folder), "memory_lifetime_ms": 50}
    async with running_world(folder, **fields) as one, second_node(one, **fields) as two:
        yield one, two


async def until_verdict(world: World, code: str, wanted: str) -> None:
    """Scans until the other node's change is seen here."""
    async with asyncio.timeout(20):
        while outcome(await world.verify(code, "regulator")) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_from_registration_to_recall(nodes: tuple[World, World]) -> None:
    one, two = nodes
    lot = await one.lot(quantity=10, activation_required=True)
    first, second, *_ = await lot.issue(5)
    assert "NOT_ACTIVATED" in " ".join(reasons(await two.verify(first.uri, "a", "210102")))
    await one.issuer.accepted(made(0, [lot.epc(first), lot.epc(second)]))
    await one.issuer.accepted(shipped(10, one.issuer, one.distributor, [lot.epc(second)]))
    # The handler's words arrive at the other node.
    await two.distributor.accepted(received(20, two.distributor, [lot.epc(second)]))
    verdict = await two.verify(second.uri, "a", "210102")
    assert (outcome(verdict), reasons(verdict)) == ("GENUINE", ["FIRST_SCAN"])
    assert (await one.verify(second.uri, "a")).previous_scans == 1
    story = await two.issuer.provenance.TraceUnit(
        provenance_pb2.TraceUnitRequest(epc=lot.epc(second))
    )
    assert [step.biz_step for step in story.steps] == ["commissioning", "shipping", "receiving"]
    await lot.recall()
    await until_verdict(two, second.uri, "CAUTION")
    await until_verdict(one, first.uri, "CAUTION")


async def test_use_cases_that_ask_nobody_give_nothing_away(
    nodes: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every use case believes that everybody may see every issuer: the database does not."""
    one, _ = nodes
    lot = await one.lot(quantity=10)
    await lot.issue(2)
    held = await lot.recall()

    async def anybody(*_: object) -> bool:
        return True

    monkeypatch.setattr(Visibility, "_sees_issuer", anybody)
    product = f"products/{lot.gtin}"
    for stranger in (one.other, one.jilin):
        calls = [
            stranger.issuance.GetProduct(issuance_pb2.GetProductRequest(name=product)),
            stranger.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name)),
            stranger.issuance.ListBatches(issuance_pb2.ListBatchesRequest(parent=product)),
            stranger.issuance.GetLinkSet(issuance_pb2.GetLinkSetRequest(name=product)),
            stranger.supervision.ListRecalls(supervision_pb2.ListRecallsRequest(parent=lot.name)),
            stranger.supervision.LiftRecall(
                supervision_pb2.LiftRecallRequest(name=held.name, reason="x")
            ),
            lot.recall(stranger, request_id="evil"),
        ]
        assert {(await refused(call)).code for call in calls} == {grpc.StatusCode.NOT_FOUND}
        listed = await stranger.issuance.ListProducts(issuance_pb2.ListProductsRequest())
        assert product not in [found.name for found in listed.products]
    raised = issuance_pb2.RaiseBatchQuantityRequest(
        name=lot.name, authorized_quantity=99, reason="x", request_id="evil"
    )
    stolen = Lot(one.other, lot.gtin, lot.lot, lot.number)
    for call in (one.other.issuance.RaiseBatchQuantity(raised), stolen.issue(1, "evil")):
        assert (await refused(call)).code == grpc.StatusCode.NOT_FOUND
    # Those who may are served, and nothing has changed.
    for caller in (one.issuer, one.liaoning, one.operator):
        batch = await caller.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name))
        assert (batch.issued_quantity, batch.authorized_quantity) == (2, 10)


async def test_a_unit_is_claimed_once_whichever_node_is_asked(nodes: tuple[World, World]) -> None:
    lot = await nodes[0].lot()
    (code,) = await lot.issue(1, include_pins=True)
    request = verification_pb2.ClaimUnitRequest
    answers = await asyncio.gather(
        *(
            nodes[n % 2].nobody.verification.ClaimUnit(
                request(
                    code=code.uri,
                    pin=code.pin,
                    context=verification_pb2.ScanContext(device_id=f"phone {n}"),
                )
            )
            for n in range(8)
        )
    )
    statuses = [verification_pb2.ClaimStatus.Name(answer.status) for answer in answers]
    assert statuses.count("CLAIM_STATUS_CLAIMED") == 1
    assert statuses.count("CLAIM_STATUS_CLAIMED_BEFORE") == 7


async def test_of_scans_at_two_nodes_one_is_the_first(nodes: tuple[World, World]) -> None:
    lot = await nodes[0].lot()
    (code,) = await lot.issue(1)
    verdicts = await asyncio.gather(*(nodes[n % 2].verify(code.uri, "a") for n in range(40)))
    assert sorted(v.previous_scans for v in verdicts) == list(range(40))
    assert sum("FIRST_SCAN" in reasons(v) for v in verdicts) == 1


async def test_orders_at_two_nodes_share_no_code(nodes: tuple[World, World]) -> None:
    one, two = nodes
    lot = await one.lot(quantity=90)

    async def order(world: World, request_id: str) -> list[str]:
        request = issuance_pb2.IssueCodesRequest(
            parent=lot.name, request_id=request_id, quantity=20
        )
        return [
            code.serial
            async for part in world.issuer.issuance.IssueCodes(request)
            for code in part.codes
        ]

    orders = await asyncio.gather(
        *(order((one, two)[n % 2], f"r{n}") for n in range(6)), return_exceptions=True
    )
    given = [serials for serials in orders if isinstance(serials, list)]
    assert [len(serials) for serials in given] == [20] * 4
    assert len({serial for serials in given for serial in serials}) == 80


def with_nul(message: Message) -> Iterator[tuple[str, Message]]:
    """The message with U+0000 at the end of each of its texts in turn, wherever it lies."""
    for field, value in message.ListFields():
        repeated = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        for place, one in enumerate(value if repeated else [value]):
            if isinstance(one, str):
                spoiled = deepcopy(message)
                if repeated:
                    getattr(spoiled, field.name)[place] = one + "\x00"
                else:
                    setattr(spoiled, field.name, one + "\x00")
                yield field.name, spoiled
            elif isinstance(one, Message):
                for path, inner in with_nul(one):
                    spoiled = deepcopy(message)
                    held = getattr(spoiled, field.name)
                    (held[place] if repeated else held).CopyFrom(inner)
                    yield f"{field.name}.{path}", spoiled


async def test_no_text_that_postgresql_cannot_hold_gets_as_far_as_the_store(
    nodes: tuple[World, World],
) -> None:
    one, _ = nodes
    lot = await one.lot(quantity=100)
    (code,) = await lot.issue(1)
    whole = shipped(
        5, one.issuer, one.shop, [lot.epc(code)], biz_location=one.issuer.place,
        certification_info=["https://example.org/c"],
    )  # fmt: skip
    whole.biz_transaction_list.add(type="po", biz_transaction="urn:example:po:1")
    box = packed(6, one.container(), [lot.epc(code)], read_point=one.issuer.place)
    box.child_quantity_list.add(epc_class=lot.uri, quantity=2, uom="KGM")
    requests: list[tuple[Any, Message]] = [
        (one.issuer.events.CaptureEvents, capture_pb2.CaptureEventsRequest(events=[whole, box])),
        (one.nobody.verification.VerifyCode, verification_pb2.VerifyCodeRequest(
            code=code.uri, request_id="r",
            context=verification_pb2.ScanContext(device_id="d", region="210102"))),
        (one.issuer.provenance.TraceUnit, provenance_pb2.TraceUnitRequest(epc=lot.epc(code))),
        (one.issuer.provenance.TraceBatch, provenance_pb2.TraceBatchRequest(batch=lot.name)),
        (one.issuer.issuance.CreateBatch, issuance_pb2.CreateBatchRequest(
            parent=f"products/{lot.gtin}", batch=issuance_pb2.Batch(
                lot="L9", production_date="2026-01-05", authorized_quantity=5))),
        (one.issuer.issuance.GetBatch, issuance_pb2.GetBatchRequest(name=lot.name)),
        (one.issuer.issuance.RaiseBatchQuantity, issuance_pb2.RaiseBatchQuantityRequest(
            name=lot.name, authorized_quantity=200, request_id="more", reason="more")),
        (one.operator.admin.RevokeIssuerKey, admin_pb2.RevokeIssuerKeyRequest(
            name=f"parties/{one.issuer.gln}/keys/9", reason="lost")),
        (one.operator.admin.RevokeCredential, admin_pb2.RevokeCredentialRequest(
            name=f"parties/{one.issuer.gln}/credentials/abc")),
        (one.issuer.events.GetEvent, capture_pb2.GetEventRequest(event_id="ni:///sha-256;ab")),
        (one.issuer.events.GetDocument, capture_pb2.GetDocumentRequest(name="documents/ab")),
        (one.issuer.supervision.LiftRecall, supervision_pb2.LiftRecallRequest(
            name=f"{lot.name}/recalls/ab", reason="over")),
        (one.operator.admin.GetParty, admin_pb2.GetPartyRequest(
            name=f"parties/{one.issuer.gln}")),
    ]  # fmt: skip
    crafted = urlsafe_b64encode(b"products\x00a\x00").decode()
    refusal = await refused(
        one.issuer.issuance.ListProducts(issuance_pb2.ListProductsRequest(page_token=crafted))
    )
    assert refusal.reason == "INVALID_PAGE_TOKEN"
    for call, request in requests:
        for path, spoiled in with_nul(request):
            # Some texts are kept in the event's JSON alone, which writes it as an escape.
            (answer,) = await gathered([call(spoiled)])
            if isinstance(answer, grpc.aio.AioRpcError):
                assert answer.code() in (
                    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
                ), (path, answer.code())  # fmt: skip
