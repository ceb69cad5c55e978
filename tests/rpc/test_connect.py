"""The API over plain HTTP: all of it is there, and it says what gRPC says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from tests.support.connect import (
    METHODS,
    HttpRefused,
    JsonApi,
    by_grpc,
    by_http,
    caller_of,
    is_safe,
    path_of,
    refusal_of,
    streams,
)
from tests.support.service import Caller, Refusal, World, access_of, at, gtin_of
from tracechain.v1 import issuance_pb2, verification_pb2

VERIFY = path_of("VerificationService.VerifyCode")


# --- all of it, and the same


# What is asked of lists that grow by being asked for.
STEADY = {
    "AuditService.ExportAuditRecords": {"outcome": "NONE"},
    "AuditService.ListAuditRecords": {"outcome": "NONE"},
}


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_every_method_is_there_and_refuses_as_grpc_does(
    world: World, api: JsonApi, name: str
) -> None:
    method = METHODS[name]
    roles = access_of(method).roles
    good = caller_of(world, method)
    stranger = Caller(world.channel, "", None, "tc_no_such_key")
    role_less = [world.issuer if good is world.auditor else world.auditor] if roles else []
    fields = STEADY.get(name, {})
    for caller in (good, world.nobody, stranger, *role_less):
        told = await by_http(api, caller, method, fields)
        assert told == await by_grpc(caller, method, fields)
        if roles and caller is not good:
            assert isinstance(told, Refusal)
            assert told.reason in {
                "MISSING_CREDENTIAL", "INVALID_CREDENTIAL", "ROLE_NOT_ALLOWED",
            }  # fmt: skip
    if roles and not streams(method):
        error = await api.refused(api.call(method, {}))
        assert (error.status, error.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("VerificationService.VerifyCode", {"code": "x" * 3000}),
        ("VerificationService.VerifyCode", {"code": "x", "requestId": "r" * 65}),
        ("VerificationService.BatchVerifyCodes", {"requests": [{"code": "x"}, {}]}),
        ("VerificationService.ListVerificationKeys", {"pageToken": "no"}),
        ("VerificationService.ListVerificationKeys", {"pageSize": -1}),
        ("VerificationService.ClaimUnit", {"code": "x", "pin": "1"}),
        ("IssuanceService.GetProduct", {"name": "products/1"}),
        ("IssuanceService.GetProduct", {"name": f"products/{gtin_of(99_999)}"}),
        ("IssuanceService.CreateProduct", {"product": {"gtin": "1", "displayName": {"zh": "a"}}}),
        ("IssuanceService.IssueCodes", {"parent": "x", "requestId": "r", "quantity": 1}),
        ("EventService.CaptureEvents", {"events": [{"type": "EVENT_TYPE_OBJECT"}]}),
        ("EventService.StreamCaptureEvents", {"events": []}),
        ("EventService.GetEvent", {"eventId": "ni:///sha-256;x"}),
        ("ProvenanceService.TraceUnit", {"epc": "urn:x"}),
        ("SupervisionService.GetRecall", {"name": "products/1/batches/2/recalls/3"}),
        ("AdminService.GetParty", {"name": "parties/6901234567892"}),
        ("AdminService.CreateCredential", {"parent": "parties/6901234567892", "requestId": "r"}),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_as_by_grpc(
    world: World, api: JsonApi, name: str, request_: Any
) -> None:
    method = METHODS[name]
    caller = caller_of(world, method)
    told = await by_http(api, caller, method, request_)
    assert told == await by_grpc(caller, method, request_)
    # Verdicts and results of capture tell what is suspect or refused in an answer.
    if not name.endswith(("ClaimUnit", "CaptureEvents")):
        assert isinstance(told, Refusal)
        assert told.reason


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_what_has_no_side_effects_is_also_read_by_get(
    world: World, api: JsonApi, name: str
) -> None:
    method = METHODS[name]
    caller = caller_of(world, method)
    # Written down a second time on purpose: to mark a call that writes would let caches,
    # prefetching browsers and link checkers make it.
    reads = method.name.startswith(("Get", "List", "Trace", "Assess"))
    assert is_safe(method) == reads
    if not is_safe(method):
        error = await api.refused(api.get(method, {}, caller))
        assert (error.status, error.refusal.reason) == (405, "METHOD_NOT_ALLOWED")
        return
    fields = STEADY.get(name, {})
    posted = await by_http(api, caller, method, fields)
    try:
        got: Refusal | list[Any] = [await api.get(method, fields, caller)]
    except HttpRefused as error:
        got = error.refusal
    assert got == posted


async def test_the_form_of_protobuf_is_taken_too(world: World, api: JsonApi) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    request = verification_pb2.VerifyCodeRequest(code=code.uri)
    answer = await api.http.post(
        VERIFY,
        content=request.SerializeToString(),
        headers={"content-type": "application/proto"},
    )
    assert answer.headers["content-type"] == "application/proto"
    verdict = verification_pb2.Verdict.FromString(answer.content)
    assert verdict.outcome == verification_pb2.OUTCOME_GENUINE
    # An error is JSON in either form.
    answer = await api.http.post(
        VERIFY, content=b"\x0a\x05ab", headers={"content-type": "application/proto"}
    )
    assert answer.status_code == 400
    assert refusal_of(answer.json()).reason == "INVALID_FIELD_TYPE"


# --- a life


async def test_a_life_from_registration_to_recall(world: World, api: JsonApi) -> None:
    gtin, maker = gtin_of(90_002), world.issuer
    product = {"gtin": gtin, "displayName": {"zh": "浓香型白酒", "en": "Baijiu"}}
    await api.call("IssuanceService.CreateProduct", {"product": product}, maker)
    batch = await api.call(
        "IssuanceService.CreateBatch",
        {
            "parent": f"products/{gtin}",
            "batch": {"lot": "LH-1", "productionDate": "2026-01-05", "authorizedQuantity": "1000"},
        },
        maker,
    )
    assert batch["authorizedQuantity"] == "1000"
    order = {"parent": batch["name"], "requestId": "line-7", "quantity": 300}
    parts = await api.stream("IssuanceService.IssueCodes", [order], maker)
    codes = [code for part in parts for code in part["codes"]]
    assert len(codes) == 300
    # The same order by gRPC gives the same codes.
    request = json_format.ParseDict(order, issuance_pb2.IssueCodesRequest())
    again = [c.uri async for part in maker.issuance.IssueCodes(request) for c in part.codes]
    assert again == [code["uri"] for code in codes]

    unit = f"https://id.gs1.org/01/{gtin}/21/{codes[0]['serial']}"
    events = [
        {
            "type": "EVENT_TYPE_OBJECT",
            "eventTime": at(1),
            "eventTimeZoneOffset": "+08:00",
            "action": "ACTION_ADD",
            "bizStep": "commissioning",
            "epcList": [unit],
        }
    ]
    captured = await api.call("EventService.CaptureEvents", {"events": events}, maker)
    assert captured["results"][0]["status"] == "CAPTURE_STATUS_ACCEPTED"

    scan = {"code": codes[0]["uri"], "context": {"deviceId": "till", "region": "210102"}}
    verdict = await api.call("VerificationService.VerifyCode", scan)
    assert verdict["outcome"] == "OUTCOME_GENUINE"
    assert verdict["message"]["zh"]
    for name, asked in [
        ("ProvenanceService.TraceUnit", {"epc": unit}),
        ("ProvenanceService.AssessRecall", {"batch": batch["name"]}),
        ("IssuanceService.GetBatch", {"name": batch["name"]}),
        ("EventService.ListEvents", {"epc": unit}),
    ]:
        method = METHODS[name]
        told = await by_http(api, maker, method, asked)
        assert isinstance(told, list)
        assert told == await by_grpc(maker, method, asked)
    # To another tenant it does not exist, by whatever way.
    hidden = await api.refused(
        api.call("IssuanceService.GetBatch", {"name": batch["name"]}, world.other)
    )
    assert (hidden.status, hidden.refusal.reason) == (404, "BATCH_NOT_FOUND")

    await api.call(
        "SupervisionService.CreateRecall",
        {
            "parent": batch["name"],
            "requestId": "r",
            "recall": {"kind": "RECALL_KIND_RECALL", "notice": {"zh": "请停止饮用"}},
        },
        maker,
    )
    verdict = await api.call("VerificationService.VerifyCode", scan)
    assert verdict["outcome"] == "OUTCOME_CAUTION"
    assert verdict["notice"]["zh"] == "请停止饮用"


# --- a client that somebody else wrote


@pytest.mark.parametrize("form", ["json", "proto"])
async def test_the_client_of_the_library_is_answered(world: World, api: JsonApi, form: str) -> None:
    """Compressed both ways, with deadlines, by GET and in all kinds of streams."""
    codec: Any = {"json": google_protobuf_json_codec, "proto": google_protobuf_binary_codec}[form]()
    issue, scans = METHODS["IssuanceService.IssueCodes"], "VerificationService.StreamVerifyCodes"
    lot = await world.lot()
    headers = dict(world.issuer.metadata)

    def info(name: str, kind: StreamType) -> MethodInfo[Any, Any]:
        method = METHODS[name]
        service = method.containing_service
        assert service is not None
        return MethodInfo(
            name=method.name,
            service_name=service.full_name,
            input=GetMessageClass(method.input_type),
            output=GetMessageClass(method.output_type),
            idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS,
            stream_type=kind,
        )

    async with ConnectClient(world.http, codec=codec, timeout_ms=20_000) as client:
        batch: Any = await client.execute_unary(
            request=issuance_pb2.GetBatchRequest(name=lot.name),
            method=info("IssuanceService.GetBatch", StreamType.UNARY),
            headers=headers,
            use_get=True,
        )
        assert batch.name == lot.name
        order = issuance_pb2.IssueCodesRequest(parent=lot.name, request_id="o", quantity=50)
        parts: Any = client.execute_server_stream(
            request=order,
            method=info(f"IssuanceService.{issue.name}", StreamType.SERVER_STREAM),
            headers=headers,
        )
        codes = [code.uri async for part in parts for code in part.codes]
        assert len(codes) == 50

        async def asked() -> AsyncIterator[verification_pb2.StreamVerifyCodesRequest]:
            for number, code in enumerate(codes):
                scan = verification_pb2.VerifyCodeRequest(code=code)
                yield verification_pb2.StreamVerifyCodesRequest(sequence=number, request=scan)

        found: Any = client.execute_bidi_stream(
            request=asked(), method=info(scans, StreamType.BIDI_STREAM)
        )
        assert sorted([answer.sequence async for answer in found]) == list(range(50))
        with pytest.raises(ConnectError) as error:
            await client.execute_unary(
                request=issuance_pb2.GetBatchRequest(name="x"),
                method=info("IssuanceService.GetBatch", StreamType.UNARY),
                headers=headers,
            )
        assert error.value.code is Code.INVALID_ARGUMENT
        assert [detail.type_name for detail in error.value.details] == [
            "google.rpc.ErrorInfo", "google.rpc.BadRequest",
        ]  # fmt: skip
