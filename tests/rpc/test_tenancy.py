"""Who may call what, and that another tenant's objects do not exist: for every method there is.

Methods come from the descriptors. A new one without an entry in `FOREIGN` or `NO_OBJECT` fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.support.log import published
from tests.support.service import (
    Caller,
    Lot,
    Refusal,
    World,
    access_of,
    answers,
    event,
    every_method,
    gln_of,
    gtin_of,
    made,
    make_key,
    packed,
    received,
    refused,
    reported,
    shipped,
)
from tracechain.app.ports import Store
from tracechain.domain.party import Role
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    capture_pb2,
    event_pb2,
    issuance_pb2,
    log_pb2,
    party_pb2,
    provenance_pb2,
    supervision_pb2,
)

METHODS = {method.full_name.removeprefix("tracechain.v1."): method for method in every_method()}
PRIVATE = sorted(name for name, method in METHODS.items() if not access_of(method).public)
PUBLIC = sorted(set(METHODS) - set(PRIVATE))

# A caller of each role to whom nothing in `Goods` belongs, and the caller to whom it does.
STRANGERS = {
    annotations_pb2.ROLE_ISSUER: "other",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "jilin",
}
ROLES = {
    annotations_pb2.ROLE_ISSUER: "issuer",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "liaoning",
    annotations_pb2.ROLE_AUDITOR: "auditor",
    annotations_pb2.ROLE_OPERATOR: "operator",
}


@dataclass(frozen=True)
class Goods:
    """One object of each kind, all of them the issuer's."""

    party: str
    key: str
    lot: Lot
    recall: str
    unit: str
    foreign: str
    container: str
    event_id: str
    document: str
    credential: str
    report: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def goods(world: World) -> Goods:
    lot = await world.lot()
    codes = await lot.issue(3)
    foreign, box = world.foreign(), world.container()
    packing = packed(1, box, [lot.epc(codes[0]), foreign])
    answer = await world.issuer.events.CaptureEvents(
        capture_pb2.CaptureEventsRequest(
            events=[packing],
            document=event_pb2.DocumentHeader(
                json='{"type":"EPCISDocument","epcisBody":{"eventList":[]}}'
            ),
        )
    )
    parent = f"parties/{world.issuer.gln}"
    keys = await world.issuer.admin.ListIssuerKeys(admin_pb2.ListIssuerKeysRequest(parent=parent))
    credentials = await world.operator.admin.ListCredentials(
        admin_pb2.ListCredentialsRequest(parent=parent)
    )
    recall = await lot.recall(units=[lot.epc(codes[2])])
    await published(world.app.store)
    return Goods(
        parent,
        keys.keys[0].name,
        lot,
        recall.name,
        lot.epc(codes[0]),
        foreign,
        box,
        answer.results[0].event_id,
        answer.document,
        credentials.credentials[0].name,
        await reported(world, "210102"),
    )


ABSENT_PARTY = f"parties/{gln_of(99_999)}"
ABSENT_GTIN = gtin_of(99_999)
ABSENT_BATCH = f"products/{ABSENT_GTIN}/batches/L"
ABSENT_UNIT = "https://id.gs1.org/01/04012345678901/21/NOBODY"
ABSENT_CONTAINER = "https://id.gs1.org/00/340123450000000017"
TEXT = party_pb2.LocalizedText(zh="请停止食用")


def _batch() -> issuance_pb2.Batch:
    return issuance_pb2.Batch(lot="N", production_date="2026-01-05", authorized_quantity=1)


def _recall() -> supervision_pb2.Recall:
    return supervision_pb2.Recall(kind=supervision_pb2.RECALL_KIND_RECALL, notice=TEXT)


Make = Callable[[str], Message]
# For each method that names an object: how a request names it, the name of one that is the
# issuer's, and the name of one that nobody has.
FOREIGN: dict[str, tuple[Make, Callable[[Goods], str], str]] = {
    "AdminService.GetParty": (
        lambda name: admin_pb2.GetPartyRequest(name=name),
        lambda g: g.party,
        ABSENT_PARTY,
    ),
    "AdminService.CreateIssuerKey": (
        lambda name: admin_pb2.CreateIssuerKeyRequest(parent=name, request_id="theirs"),
        lambda g: g.party,
        ABSENT_PARTY,
    ),
    "AdminService.ListIssuerKeys": (
        lambda name: admin_pb2.ListIssuerKeysRequest(parent=name),
        lambda g: g.party,
        ABSENT_PARTY,
    ),
    "AdminService.ActivateIssuerKey": (
        lambda name: admin_pb2.ActivateIssuerKeyRequest(name=name),
        lambda g: g.key,
        f"{ABSENT_PARTY}/keys/77",
    ),
    "AdminService.RetireIssuerKey": (
        lambda name: admin_pb2.RetireIssuerKeyRequest(name=name),
        lambda g: g.key,
        f"{ABSENT_PARTY}/keys/77",
    ),
    "AdminService.RotateIssuerKey": (
        lambda name: admin_pb2.RotateIssuerKeyRequest(parent=name, request_id="theirs"),
        lambda g: g.party,
        ABSENT_PARTY,
    ),
    "AdminService.RevokeIssuerKey": (
        lambda name: admin_pb2.RevokeIssuerKeyRequest(name=name),
        lambda g: g.key,
        f"{ABSENT_PARTY}/keys/77",
    ),
    "IssuanceService.GetProduct": (
        lambda name: issuance_pb2.GetProductRequest(name=name),
        lambda g: f"products/{g.lot.gtin}",
        f"products/{ABSENT_GTIN}",
    ),
    "IssuanceService.CreateBatch": (
        lambda name: issuance_pb2.CreateBatchRequest(parent=name, batch=_batch()),
        lambda g: f"products/{g.lot.gtin}",
        f"products/{ABSENT_GTIN}",
    ),
    "IssuanceService.ListBatches": (
        lambda name: issuance_pb2.ListBatchesRequest(parent=name),
        lambda g: f"products/{g.lot.gtin}",
        f"products/{ABSENT_GTIN}",
    ),
    "IssuanceService.GetBatch": (
        lambda name: issuance_pb2.GetBatchRequest(name=name),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "IssuanceService.RaiseBatchQuantity": (
        lambda name: issuance_pb2.RaiseBatchQuantityRequest(
            name=name, authorized_quantity=10**6, reason="x", request_id="theirs"
        ),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "IssuanceService.IssueCodes": (
        lambda name: issuance_pb2.IssueCodesRequest(parent=name, request_id="t", quantity=1),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "IssuanceService.SetLinkSet": (
        lambda name: issuance_pb2.SetLinkSetRequest(name=name, link_set=issuance_pb2.LinkSet()),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "IssuanceService.GetLinkSet": (
        lambda name: issuance_pb2.GetLinkSetRequest(name=name),
        lambda g: f"products/{g.lot.gtin}",
        f"products/{ABSENT_GTIN}",
    ),
    "IssuanceService.RenderLabels": (
        lambda name: issuance_pb2.RenderLabelsRequest(
            parent=name, order="t", format=issuance_pb2.LABEL_FORMAT_PDF
        ),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "EventService.GetEvent": (
        lambda name: capture_pb2.GetEventRequest(event_id=name),
        lambda g: g.event_id,
        f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0",
    ),
    "EventService.GetDocument": (
        lambda name: capture_pb2.GetDocumentRequest(name=name),
        lambda g: g.document,
        f"documents/{'ab' * 16}",
    ),
    "ProvenanceService.TraceUnit": (
        lambda name: provenance_pb2.TraceUnitRequest(epc=name),
        lambda g: g.unit,
        ABSENT_UNIT,
    ),
    "ProvenanceService.ExportEvidence": (
        lambda name: provenance_pb2.ExportEvidenceRequest(unit=name),
        lambda g: g.unit,
        ABSENT_UNIT,
    ),
    "ProvenanceService.TraceBatch": (
        lambda name: provenance_pb2.TraceBatchRequest(batch=name),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "ProvenanceService.TraceContainer": (
        lambda name: provenance_pb2.TraceContainerRequest(container=name),
        lambda g: g.container,
        ABSENT_CONTAINER,
    ),
    "ProvenanceService.AssessRecall": (
        lambda name: provenance_pb2.AssessRecallRequest(batch=name),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "LogService.ListLeaves": (
        lambda name: log_pb2.ListLeavesRequest(name=name),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "SupervisionService.CreateRecall": (
        lambda name: supervision_pb2.CreateRecallRequest(
            parent=name, recall=_recall(), request_id="theirs"
        ),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "SupervisionService.GetRecall": (
        lambda name: supervision_pb2.GetRecallRequest(name=name),
        lambda g: g.recall,
        f"{ABSENT_BATCH}/recalls/77",
    ),
    "SupervisionService.ListRecalls": (
        lambda name: supervision_pb2.ListRecallsRequest(parent=name),
        lambda g: g.lot.name,
        ABSENT_BATCH,
    ),
    "SupervisionService.LiftRecall": (
        lambda name: supervision_pb2.LiftRecallRequest(name=name, reason="x"),
        lambda g: g.recall,
        f"{ABSENT_BATCH}/recalls/77",
    ),
    "SupervisionService.EraseReport": (
        lambda name: supervision_pb2.EraseReportRequest(name=name, reason="asked"),
        lambda g: g.report,
        f"divisions/210000/reports/{'0' * 32}",
    ),
    "SupervisionService.GetReport": (
        lambda name: supervision_pb2.GetReportRequest(name=name),
        lambda g: g.report,
        f"divisions/210000/reports/{'0' * 32}",
    ),
}
# Methods in which no tenant names an object of another, and why.
NO_OBJECT = {
    "AuditService.ExportAuditRecords": "an auditor's, who sees what everybody did",
    "AuditService.ListAuditRecords": "an auditor's, who sees what everybody did",
    "AdminService.CreateParty": "an operator's; it sees every party",
    "AdminService.ListParties": "lists what the caller sees; tested below",
    "AdminService.CreateCredential": "an operator's; it sees every party",
    "AdminService.RegisterCertificate": "an operator's; it sees every party",
    "AdminService.RotateCredential": "an operator's; the parent is tested below",
    "AdminService.ListCredentials": "an operator's; it sees every party",
    "AdminService.RotatePlatformRoot": "an operator's; there is one platform",
    "AdminService.ListApprovals": "lists what the caller sees; see test_approvals",
    "AdminService.Approve": "nothing is proposed in this world; see test_approvals",
    "AdminService.Reject": "nothing is proposed in this world; see test_approvals",
    "AdminService.RevokeCredential": "an operator's; the parent is tested below",
    "IssuanceService.CreateProduct": "a GTIN is the world's: who has it is told by its prefix",
    "IssuanceService.ListProducts": "lists what the caller sees; see test_registering",
    "EventService.CaptureEvents": "anybody may say something of any goods; conflicts mark it",
    "EventService.StreamCaptureEvents": "as CaptureEvents",
    "SupervisionService.ListReports": "lists what the caller sees; see test_pages",
    "EventService.ListEvents": "an empty list for both; tested below",
}


def test_every_private_method_has_a_case() -> None:
    assert sorted([*FOREIGN, *NO_OBJECT]) == PRIVATE


def test_the_public_methods_are_those_of_verification_and_of_the_log() -> None:
    assert {name.partition(".")[0] for name in PUBLIC} == {
        "LogService", "VerificationService",
    }  # fmt: skip
    assert {name.partition(".")[0] for name in PRIVATE} == {
        "AdminService", "AuditService", "EventService", "IssuanceService", "LogService",
        "ProvenanceService", "SupervisionService",
    }  # fmt: skip


async def call(caller: Caller, name: str, request: Message) -> list[Any]:
    """What a method answers to a caller."""
    return await answers(caller.channel, METHODS[name], request, caller.metadata)


async def code_of(answer: Awaitable[object]) -> grpc.StatusCode | None:
    """The code with which a call fails; None where it is answered."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


def empty(method: MethodDescriptor) -> Message:
    """A request with nothing in it."""
    made_: Message = GetMessageClass(method.input_type)()
    return made_


def shape(refusal: Refusal, *names: str) -> tuple[Any, ...]:
    """A refusal without the names in it: digits and whatever is named."""
    words = refusal.message
    for name in names:
        for part in name.split("/"):
            words = words.replace(part, "#")
    return (
        refusal.code, refusal.reason, refusal.domain, sorted(refusal.metadata),
        refusal.violations, refusal.retry_after, refusal.details, re.sub(r"\b\d+\b", "#", words),
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(FOREIGN))
async def test_anothers_object_and_none_at_all_look_the_same(
    world: World, goods: Goods, name: str
) -> None:
    make, own, absent = FOREIGN[name]
    tried = 0
    for role in access_of(METHODS[name]).roles:
        if role not in STRANGERS:
            continue
        stranger = getattr(world, STRANGERS[role])
        foreign = await refused(call(stranger, name, make(own(goods))))
        nothing = await refused(call(stranger, name, make(absent)))
        assert foreign.code is grpc.StatusCode.NOT_FOUND, (stranger.role, foreign)
        assert shape(foreign, own(goods)) == shape(nothing, absent)
        tried += 1
    assert tried


@pytest.mark.parametrize("name", sorted(FOREIGN))
async def test_the_same_request_of_its_owner_finds_the_object(
    world: World, goods: Goods, name: str
) -> None:
    """Else the test before would pass for requests that find nothing for anybody."""
    make, own, _ = FOREIGN[name]
    given = own(goods)
    # What cannot be undone is done to objects of its own.
    if name in ("AdminService.RevokeIssuerKey", "AdminService.RetireIssuerKey"):
        request = admin_pb2.CreateIssuerKeyRequest(parent=given[: given.index("/keys")])
        request.request_id = f"spare for {name}"
        given = (await world.issuer.admin.CreateIssuerKey(request)).name
    if name == "SupervisionService.LiftRecall":
        given = (await goods.lot.recall(request_id="spare", units=[goods.unit])).name
    owner = world.liaoning if name.endswith("Report") else world.issuer
    # Evidence waits for a checkpoint of what was exported, and this world makes none by itself.
    signer = asyncio.create_task(publishing(world.app.store))
    try:
        assert await call(owner, name, make(given))
    finally:
        signer.cancel()


async def publishing(store: Store) -> None:
    """Publishes the log again and again."""
    while True:
        await published(store)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", PRIVATE)
async def test_nobody_without_a_credential(world: World, goods: Goods, name: str) -> None:
    requests = [empty(METHODS[name])]
    if name in FOREIGN:
        make, own, _ = FOREIGN[name]
        requests.append(make(own(goods)))
    for request in requests:
        error = await refused(call(world.nobody, name, request))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "MISSING_CREDENTIAL",
        )


@pytest.mark.parametrize(
    ("credential", "reason"),
    [
        ("Bearer ", "MISSING_CREDENTIAL"),
        ("Basic dGNrOng=", "MISSING_CREDENTIAL"),
        ("Bearer x", "INVALID_CREDENTIAL"),
        ("Bearer tck_aaaaaaaaaaaaaaaa_bbbb", "INVALID_CREDENTIAL"),
        ("Bearer tck_", "INVALID_CREDENTIAL"),
        ("Bearer " + "x" * 4000, "INVALID_CREDENTIAL"),
    ],
    ids=range(6),
)
async def test_a_credential_that_is_none_opens_nothing(
    world: World, credential: str, reason: str
) -> None:
    for name in PRIVATE:
        method = METHODS[name]
        error = await refused(
            answers(world.channel, method, empty(method), (("authorization", credential),))
        )
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason), name


async def test_a_key_with_one_wrong_letter_opens_nothing(world: World) -> None:
    key = world.issuer.api_key
    for wrong in (key[:-1] + ("a" if key[-1] != "a" else "b"), key[:-1], key + "a", key.upper()):
        caller = Caller(world.channel, world.issuer.gln, Role.ISSUER, wrong)
        error = await refused(caller.admin.ListParties(admin_pb2.ListPartiesRequest()))
        assert (error.code, error.reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "INVALID_CREDENTIAL",
        )


@pytest.mark.parametrize("name", PRIVATE)
async def test_a_role_that_is_not_named_may_not_call(world: World, goods: Goods, name: str) -> None:
    allowed = set(access_of(METHODS[name]).roles)
    denied = set(ROLES) - allowed
    # To read the records is an auditor's right, and his only one.
    assert (annotations_pb2.ROLE_AUDITOR in denied) != name.startswith("AuditService.")
    for role in denied:
        caller = getattr(world, ROLES[role])
        request = empty(METHODS[name])
        if name in FOREIGN:
            make, own, _ = FOREIGN[name]
            request = make(own(goods))
        error = await refused(call(caller, name, request))
        assert (error.code, error.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "ROLE_NOT_ALLOWED",
        ), caller.role


@pytest.mark.parametrize("name", PRIVATE)
async def test_a_role_that_is_named_gets_as_far_as_the_request(world: World, name: str) -> None:
    for role in access_of(METHODS[name]).roles:
        failed = await code_of(call(getattr(world, ROLES[role]), name, empty(METHODS[name])))
        assert failed in (None, grpc.StatusCode.INVALID_ARGUMENT), role


@pytest.mark.parametrize("name", PUBLIC)
async def test_the_public_is_asked_for_no_credential(world: World, name: str) -> None:
    """And a credential that is wrong does not shut anybody out of what is public."""
    for metadata in ((), (("authorization", "Bearer tck_wrong"),)):
        failed = await code_of(
            answers(world.channel, METHODS[name], empty(METHODS[name]), metadata)
        )
        # Nothing of this world's log is published yet.
        assert failed in (None, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


# --- objects that lists and parents name


async def test_a_credential_is_revoked_under_its_own_party_only(world: World, goods: Goods) -> None:
    name = f"parties/{world.shop.gln}/credentials/{goods.credential.rpartition('/')[2]}"
    absent = f"parties/{world.shop.gln}/credentials/{'a' * 16}"
    errors = [
        await refused(
            world.operator.admin.RevokeCredential(admin_pb2.RevokeCredentialRequest(name=given))
        )
        for given in (name, absent)
    ]
    assert errors[0].reason == "CREDENTIAL_NOT_FOUND"
    assert shape(errors[0], name) == shape(errors[1], absent)
    assert await world.issuer.admin.ListParties(admin_pb2.ListPartiesRequest())


async def test_a_key_is_revoked_under_its_own_issuer_only(world: World, goods: Goods) -> None:
    own = f"parties/{world.other.gln}/keys/"
    errors = [
        await refused(
            world.other.admin.RevokeIssuerKey(admin_pb2.RevokeIssuerKeyRequest(name=own + number))
        )
        for number in (goods.key.rpartition("/")[2], "65000")
    ]
    assert errors[0].reason == "KEY_NOT_FOUND"
    assert shape(errors[0]) == shape(errors[1])


@pytest.mark.parametrize("size", [0, 1])
async def test_a_list_of_anothers_events_is_empty_to_its_last_page(world: World, size: int) -> None:
    """A token for a next page would tell that there is something, and what."""
    lot, box = await world.lot(), world.container()
    (code,) = await lot.issue(1)
    await world.issuer.accepted(*(event(i, "inspecting", [lot.epc(code), box]) for i in range(4)))
    for epc in (lot.epc(code), box, lot.uri):
        request = capture_pb2.ListEventsRequest(epc=epc, page_size=size)
        for stranger in (world.other, world.shop, world.jilin):
            page = await stranger.events.ListEvents(request)
            assert page == capture_pb2.ListEventsResponse()
        assert (await world.liaoning.events.ListEvents(request)).events


async def test_pages_of_what_one_sees_are_full_whatever_lies_between(world: World) -> None:
    unit = world.foreign()
    for i in range(12):
        caller = world.shop if i % 3 == 0 else world.distributor
        await caller.capture(event(i, "inspecting", [unit]))
    request = capture_pb2.ListEventsRequest(epc=unit, page_size=2)
    sizes, times = [], []
    while True:
        page = await world.shop.events.ListEvents(request)
        sizes.append(len(page.events))
        times += [item.event.event_time for item in page.events]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert sizes == [2, 2]
    assert times == sorted(times)


async def test_to_say_something_of_anothers_goods_does_not_open_their_story(
    world: World,
) -> None:
    """Anybody can record anything; who does so is not thereby one of those who hold the goods."""
    lot = await world.lot()
    (code,) = await lot.issue(1)
    box, unit = world.container(), lot.epc(code)
    await world.issuer.accepted(made(0, [unit]), packed(1, box, [unit]))
    amount = event_pb2.QuantityElement(epc_class=lot.uri, quantity=1)
    for i, stranger in enumerate((world.other, world.shop)):
        await stranger.capture(
            event(2 + 10 * i, "storing", [unit]),
            event(3 + 10 * i, "inspecting", [unit]),
            event(4 + 10 * i, "storing", [box]),
            event(5 + 10 * i, "receiving", quantity_list=[amount], biz_location=stranger.place),
            shipped(6 + 10 * i, stranger, stranger, [unit], quantity_list=[amount]),
        )
        for name, request in (
            ("TraceUnit", provenance_pb2.TraceUnitRequest(epc=unit)),
            ("TraceContainer", provenance_pb2.TraceContainerRequest(container=box)),
            ("TraceBatch", provenance_pb2.TraceBatchRequest(batch=lot.name)),
        ):
            error = await refused(getattr(stranger.provenance, name)(request))
            assert error.reason == "NOTHING_KNOWN", name
    error = await refused(
        world.other.provenance.AssessRecall(provenance_pb2.AssessRecallRequest(batch=lot.name))
    )
    assert error.reason == "NOTHING_KNOWN"


async def test_who_holds_held_or_is_to_receive_goods_sees_their_story(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    unit = lot.epc(code)
    request = provenance_pb2.TraceUnitRequest(epc=unit)
    await world.issuer.accepted(
        made(0, [unit]), shipped(1, world.issuer, world.distributor, [unit])
    )
    assert await world.distributor.provenance.TraceUnit(request)
    assert (await refused(world.shop.provenance.TraceUnit(request))).reason == "NOTHING_KNOWN"
    await world.distributor.accepted(
        received(2, world.distributor, [unit]),
        shipped(3, world.distributor, world.shop, [unit]),
    )
    await world.shop.accepted(received(4, world.shop, [unit]))
    for caller in (world.issuer, world.distributor, world.shop):
        assert len((await caller.provenance.TraceUnit(request)).steps) == 5


async def test_who_is_sent_a_share_of_a_lot_sees_the_lot(world: World) -> None:
    lot = await world.lot()
    await lot.issue(3)
    amount = event_pb2.QuantityElement(epc_class=lot.uri, quantity=2)
    request = provenance_pb2.TraceBatchRequest(batch=lot.name)
    await world.shop.capture(
        event(2, "receiving", quantity_list=[amount], biz_location=world.shop.place)
    )
    assert (await refused(world.shop.provenance.TraceBatch(request))).reason == "NOTHING_KNOWN"
    await world.issuer.accepted(shipped(1, world.issuer, world.shop, quantity_list=[amount]))
    assert len((await world.shop.provenance.TraceBatch(request)).steps) == 2


# --- inspectors


async def test_an_inspector_sees_the_parties_of_its_division_and_below(world: World) -> None:
    shenyang = await make_key(
        world.operator, world.liaoning.gln, Role.INSPECTOR, "210100", "shenyang"
    )
    county = await make_key(world.operator, world.liaoning.gln, Role.INSPECTOR, "210204", "county")
    inspectors = {
        "210000": world.liaoning,
        "220000": world.jilin,
        "210100": Caller(world.channel, world.liaoning.gln, Role.INSPECTOR, shenyang, "210100"),
        "210204": Caller(world.channel, world.liaoning.gln, Role.INSPECTOR, county, "210204"),
    }
    regions = {
        "issuer": "210102", "other": "220102", "distributor": "210204", "shop": "220203",
    }  # fmt: skip
    for division, inspector in inspectors.items():
        prefix = division.rstrip("0") if division != "210100" else "2101"
        listed: set[str] = set()
        request = admin_pb2.ListPartiesRequest(page_size=3)
        while True:
            page = await inspector.admin.ListParties(request)
            listed |= {party.gln for party in page.parties}
            assert all(party.region.startswith(prefix) for party in page.parties)
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        for name, region in regions.items():
            gln = getattr(world, name).gln
            get = admin_pb2.GetPartyRequest(name=f"parties/{gln}")
            if region.startswith(prefix):
                assert gln in listed
                assert (await inspector.admin.GetParty(get)).gln == gln
            else:
                assert gln not in listed
                assert (await refused(inspector.admin.GetParty(get))).reason == "PARTY_NOT_FOUND"


async def test_goods_that_come_to_a_province_come_before_its_inspector(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    request = provenance_pb2.TraceUnitRequest(epc=lot.epc(code))
    await world.issuer.accepted(made(0, [lot.epc(code)]))
    assert len((await world.liaoning.provenance.TraceUnit(request)).steps) == 1
    assert (await refused(world.jilin.provenance.TraceUnit(request))).reason == "NOTHING_KNOWN"
    await world.issuer.accepted(shipped(1, world.issuer, world.shop, [lot.epc(code)]))
    await world.shop.accepted(received(2, world.shop, [lot.epc(code)]))
    story = await world.jilin.provenance.TraceUnit(request)
    assert [step.biz_step for step in story.steps] == ["commissioning", "shipping", "receiving"]
    # It sees what its own parties recorded, and the batch stays its neighbour's to recall.
    listed = await world.jilin.events.ListEvents(capture_pb2.ListEventsRequest(epc=lot.epc(code)))
    assert [item.recorder_gln for item in listed.events] == [world.shop.gln]
    error = await refused(
        world.jilin.issuance.GetBatch(issuance_pb2.GetBatchRequest(name=lot.name))
    )
    assert error.reason == "BATCH_NOT_FOUND"
