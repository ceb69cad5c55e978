"""The API over plain HTTP: all of it is there, and it says what gRPC says."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message_factory import GetMessageClass

from tests.support.connect import (
    HttpRefused,
    JsonApi,
    client_of,
    enveloped,
    opened,
    path_of,
    refusal_of,
)
from tests.support.service import (
    Caller,
    Refusal,
    World,
    access_of,
    answers,
    at,
    every_method,
    gtin_of,
)
from tracechain.v1 import annotations_pb2, errors_pb2, issuance_pb2, verification_pb2

METHODS = {method.full_name.removeprefix("tracechain.v1."): method for method in every_method()}
REASONS = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
JSON = {"content-type": "application/json"}
VERIFY = path_of("VerificationService.VerifyCode")
CALLERS = {
    annotations_pb2.ROLE_ISSUER: "issuer",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "liaoning",
    annotations_pb2.ROLE_OPERATOR: "operator",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(world: World) -> AsyncIterator[JsonApi]:
    """The shared service over HTTP."""
    async with client_of(world.http) as client:
        yield JsonApi(client)


def is_safe(method: MethodDescriptor) -> bool:
    return method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS


def streams(method: MethodDescriptor) -> bool:
    return bool(method.client_streaming or method.server_streaming)


def caller_of(world: World, method: MethodDescriptor) -> Caller:
    """Somebody who may call a method."""
    roles = access_of(method).roles
    found: Caller = getattr(world, CALLERS[roles[0]]) if roles else world.nobody
    return found


async def by_grpc(caller: Caller, method: MethodDescriptor, request: Any) -> Refusal | list[Any]:
    message = json_format.ParseDict(request, GetMessageClass(method.input_type)())
    try:
        found = await answers(caller.channel, method, message, caller.metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    return [json_format.MessageToDict(answer) for answer in found]


async def by_http(
    api: JsonApi, caller: Caller, method: MethodDescriptor, request: Any
) -> Refusal | list[Any]:
    try:
        if streams(method):
            return await api.stream(method, [request], caller)
        return [await api.call(method, request, caller)]
    except HttpRefused as error:
        return error.refusal


# --- all of it, and the same


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_every_method_is_there_and_refuses_as_grpc_does(
    world: World, api: JsonApi, name: str
) -> None:
    method = METHODS[name]
    roles = access_of(method).roles
    good = caller_of(world, method)
    stranger = Caller(world.channel, "", None, "tc_no_such_key")
    role_less = [world.auditor] if roles else []
    for caller in (good, world.nobody, stranger, *role_less):
        told = await by_http(api, caller, method, {})
        assert told == await by_grpc(caller, method, {})
        if roles and caller is not good:
            assert isinstance(told, Refusal)
            assert told.reason in {
                "MISSING_CREDENTIAL", "INVALID_CREDENTIAL", "ROLE_NOT_ALLOWED",
            }  # fmt: skip


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
    posted = await by_http(api, caller, method, {})
    try:
        got: Refusal | list[Any] = [await api.get(method, {}, caller)]
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
    gtin, maker = gtin_of(90_001), world.issuer
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


# --- requests that are none


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        (b"{", "request", "INVALID_JSON"),
        (b'{"code": NaN}', "request", "INVALID_NUMBER"),
        (b'{"code": "\xff"}', "request", "INVALID_UTF8"),
        (b"[]", "request", "INVALID_FIELD_TYPE"),
        (b"5", "request", "INVALID_FIELD_TYPE"),
        (b'{"code":' * 40 + b"1" + b"}" * 40, "request", "JSON_TOO_DEEP"),
        (b'{"a":' * 100_000, "request", "JSON_TOO_DEEP"),
        (b'{"code": 12345678901234567890}', "request", "INVALID_NUMBER"),
        (b'{"cod": "x"}', "cod", "UNKNOWN_FIELD"),
        (b'{"context": {"rgion": "210102"}}', "context.rgion", "UNKNOWN_FIELD"),
        (b'{"code": ["x"]}', "code", "INVALID_FIELD_TYPE"),
        (b'{"code": "\\ud800"}', "code", "INVALID_FIELD_TYPE"),
        (b'{"context": {"deviceId": 5}}', "context.device_id", "INVALID_FIELD_TYPE"),
        (b'{"context": 5}', "context", "INVALID_FIELD_TYPE"),
        (b"", "code", "MISSING_FIELD"),
        (b"{}", "code", "MISSING_FIELD"),
    ],
)  # fmt: skip
async def test_json_that_is_no_request_is_refused_with_its_place(
    api: JsonApi, content: bytes, field: str, reason: str
) -> None:
    answer = await api.http.post(VERIFY, content=content, headers=JSON)
    assert answer.status_code == 400
    told = refusal_of(answer.json())
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert told.violations == ((field, reason),)
    assert len(answer.content) < 2000


_SOUND = b'{"code": "x"}'


@pytest.mark.parametrize(
    ("verb", "path", "headers", "content", "status", "reason"),
    [
        ("POST", "/tracechain.v1.VerificationService/No", JSON, b"{}", 404, "UNKNOWN_METHOD"),
        ("POST", "/tracechain.v1.No/VerifyCode", JSON, b"{}", 404, "UNKNOWN_METHOD"),
        ("POST", "/tracechain.v1.", JSON, b"{}", 404, "UNKNOWN_METHOD"),
        ("POST", VERIFY + "/", JSON, _SOUND, 404, "UNKNOWN_METHOD"),
        ("PUT", VERIFY, JSON, _SOUND, 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", VERIFY, {"origin": "https://x.example"}, b"", 405, "METHOD_NOT_ALLOWED"),
        ("POST", VERIFY, {}, _SOUND, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", VERIFY, {"content-type": "text/plain"}, _SOUND, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", VERIFY, {"content-type": "application/grpc"}, b"", 415,
         "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", VERIFY, {"content-type": "application/grpc-web+json"}, b"", 415,
         "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", VERIFY, {"content-type": "application/connect+json"}, b"", 415,
         "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", path_of("IssuanceService.IssueCodes"), JSON, b"{}", 415,
         "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", VERIFY, {**JSON, "connect-timeout-ms": "-5"}, _SOUND, 400, "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "connect-timeout-ms": "²"}, _SOUND, 400, "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "connect-timeout-ms": "1" * 11}, _SOUND, 400,
         "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "connect-protocol-version": "2"}, _SOUND, 400,
         "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "x-raw": b"\xff"}, _SOUND, 400, "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "content-encoding": "br"}, _SOUND, 501, "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "content-encoding": "gzip"}, _SOUND, 400, "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "content-encoding": "gzip"}, gzip.compress(_SOUND)[:-9], 400,
         "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "content-encoding": "gzip"}, gzip.compress(b" " * (64 << 20)),
         429, "MESSAGE_TOO_LARGE"),
        ("POST", VERIFY, JSON, b" " * (9 << 20), 429, "MESSAGE_TOO_LARGE"),
        ("POST", VERIFY, {**JSON, "connect-timeout-ms": "0"}, _SOUND, 504, "DEADLINE_EXCEEDED"),
        ("GET", path_of("IssuanceService.GetBatch"), {}, b"", 400, "MALFORMED_REQUEST"),
        ("GET", path_of("IssuanceService.GetBatch") + "?message={}", {}, b"", 415,
         "UNSUPPORTED_MEDIA_TYPE"),
        ("GET", path_of("IssuanceService.GetBatch") + "?message=%7B&encoding=json&base64=1", {},
         b"", 401, "MISSING_CREDENTIAL"),
        ("GET", path_of("IssuanceService.GetBatch") + "?message={}&encoding=json&compression=br",
         {}, b"", 501, "MALFORMED_REQUEST"),
        ("GET", path_of("IssuanceService.GetBatch") + "?message={}&encoding=json",
         {"content-type": "application/grpc-web"}, b"", 400, "MALFORMED_REQUEST"),
    ],
)  # fmt: skip
async def test_http_that_is_not_of_the_protocol_is_refused_with_a_reason(
    api: JsonApi,
    verb: str,
    path: str,
    headers: dict[str, Any],
    content: bytes,
    status: int,
    reason: str,
) -> None:
    answer = await api.http.request(
        verb,
        path,
        headers=[
            (k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in headers.items()
        ],
        content=content,
    )
    told = refusal_of(answer.json())
    assert (answer.status_code, told.reason) == (status, reason)
    assert told.domain == "tracechain"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    # No page of another origin reads any of this.
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if status == 405:
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "MALFORMED_REQUEST"),
        (b"\x00\x00", "MALFORMED_REQUEST"),
        (b"\x00\x00\x00\x00\x09{}", "MALFORMED_REQUEST"),
        (b"\xff\x00\x00\x00\x02{}", "MALFORMED_REQUEST"),
        (b"\x01\x00\x00\x00\x02{}", "MALFORMED_REQUEST"),
        (b"\x00\xff\xff\xff\xff{}", "MESSAGE_TOO_LARGE"),
        (enveloped(b"{}") * 2, "MALFORMED_REQUEST"),
        (enveloped(b"{"), "INVALID_JSON"),
        (enveloped(b'{"x":1}'), "UNKNOWN_FIELD"),
        (enveloped(b"{}"), "MISSING_FIELD"),
    ],
)
async def test_a_stream_that_is_none_ends_with_a_reason(
    world: World, api: JsonApi, content: bytes, reason: str
) -> None:
    answer = await api.http.post(
        path_of("IssuanceService.IssueCodes"),
        content=content,
        headers={**dict(world.issuer.metadata), "content-type": "application/connect+json"},
    )
    assert answer.status_code == 200
    ((flags, end),) = opened(answer.content)
    assert flags == 2
    assert refusal_of(json.loads(end)["error"]).reason == reason


async def test_bodies_travel_compressed_both_ways(api: JsonApi) -> None:
    scans = {"requests": [{"code": "https://x.example/" + "y" * 900}] * 500}
    async with api.http.stream(
        "POST",
        path_of("VerificationService.BatchVerifyCodes"),
        content=gzip.compress(json.dumps(scans).encode()),
        headers={**JSON, "content-encoding": "gzip", "accept-encoding": "gzip"},
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join([part async for part in answer.aiter_raw()])
    verdicts = json.loads(gzip.decompress(packed))["verdicts"]
    assert len(verdicts) == 500
    assert len(packed) * 5 < len(json.dumps(verdicts))


# --- streams


async def test_a_stream_of_scans_is_answered_one_by_one(world: World, api: JsonApi) -> None:
    lot = await world.lot()
    codes = await lot.issue(5)
    requests = [{"sequence": i, "request": {"code": c.uri}} for i, c in enumerate(codes)]
    requests.append({"sequence": 9, "request": {"code": "x" * 3000}})
    found = await api.stream("VerificationService.StreamVerifyCodes", requests)
    told = {int(answer.get("sequence", 0)): answer for answer in found}
    assert {told[i]["verdict"]["outcome"] for i in range(5)} == {"OUTCOME_GENUINE"}
    assert told[9]["errorReason"] == "TEXT_TOO_LONG"


async def test_answers_of_a_stream_come_while_requests_are_sent(world: World, api: JsonApi) -> None:
    """Both directions at once is more than HTTP/1.1 promises; this server does it."""
    lot = await world.lot()
    codes = await lot.issue(2)
    answered = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        for number, code in enumerate(codes):
            yield enveloped(
                json.dumps({"sequence": number + 1, "request": {"code": code.uri}}).encode()
            )
            if number == 0:
                await asyncio.wait_for(answered.wait(), 10)

    host, _, port = api.http.base_url.netloc.decode().partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {path_of('VerificationService.StreamVerifyCodes')} HTTP/1.1\r\nhost: {host}\r\n"
        "content-type: application/connect+json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    )
    parts = body()
    first = await anext(parts)
    writer.write(b"%x\r\n%s\r\n" % (len(first), first))
    seen = b""
    while b'"verdict"' not in seen:
        seen += await asyncio.wait_for(reader.read(65536), 10)
    answered.set()
    second = await anext(parts)
    writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(second), second))
    while not seen.endswith(b"0\r\n\r\n"):
        seen += await asyncio.wait_for(reader.read(65536), 10)
    assert seen.count(b'"verdict"') == 2
    writer.close()


# --- limits, and those who leave


def room_of(world: World, name: str) -> Any:
    return world.app.gate.guard(METHODS[name]).room


async def test_who_finds_no_room_is_told_before_his_request_is_read(
    world: World, api: JsonApi
) -> None:
    scan = "VerificationService.VerifyCode"
    room = room_of(world, scan)
    before = room.taken
    room.taken = room.limit
    try:
        method = METHODS[scan]
        told = await by_http(api, world.nobody, method, {"code": "x"})
        assert isinstance(told, Refusal)
        assert told == await by_grpc(world.nobody, method, {"code": "x"})
        assert (told.reason, told.retry_after) == ("QUEUE_FULL", 1.0)
        error = await api.refused(api.call(scan, {"code": "x"}))
        assert error.status == 429
        host, _, port = api.http.base_url.netloc.decode().partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST {VERIFY} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            "content-length: 1000000\r\n\r\n".encode()
        )
        assert b" 429 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    finally:
        room.taken = before
    assert (await api.call(scan, {"code": "x"}))["outcome"] == "OUTCOME_UNKNOWN"


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ending", ["hangs up", "runs out of time"])
async def test_who_leaves_a_stream_gives_up_his_place(
    world: World, api: JsonApi, ending: str
) -> None:
    name = "VerificationService.StreamVerifyCodes"
    room = room_of(world, name)
    before = room.taken
    gone = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield enveloped(json.dumps({"sequence": 1, "request": {"code": "x"}}).encode())
        await gone.wait()

    timeout = {"connect-timeout-ms": "300"} if ending == "runs out of time" else {}
    call = asyncio.create_task(
        api.http.post(
            path_of(name),
            content=body(),
            headers={"content-type": "application/connect+json", **timeout},
        )
    )
    await until(lambda: room.taken == before + 1)
    if ending == "hangs up":
        call.cancel()
    await until(lambda: room.taken == before)
    gone.set()
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    if ending == "runs out of time":
        assert isinstance(answer, httpx.Response)
        *_, (flags, end) = opened(answer.content)
        assert flags == 2
        assert refusal_of(json.loads(end)["error"]).reason == "DEADLINE_EXCEEDED"


async def test_who_hangs_up_in_a_call_gives_up_his_place(
    world: World, api: JsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "VerificationService.VerifyCode"
    room = room_of(world, name)
    before = room.taken
    ended = asyncio.Event()

    async def stuck(_: object) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    monkeypatch.setattr(world.app.scanning, "verify", stuck)
    call = asyncio.create_task(api.call(name, {"code": "x"}))
    await until(lambda: room.taken == before + 1)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 10)
    await until(lambda: room.taken == before)


async def test_a_defect_is_told_by_a_number_only(
    world: World, api: JsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise ZeroDivisionError("the inside")

    monkeypatch.setattr(world.app.scanning, "verify", broken)
    error = await api.refused(api.call("VerificationService.VerifyCode", {"code": "x"}))
    assert (error.status, error.refusal.reason) == (500, "INTERNAL")
    assert "inside" not in str(error)
    assert error.refusal.metadata["incident"] in error.refusal.message


_BODIES = [
    b"", b"{}", b"[]", b"null", b"{", b'{"code":"x"}', b'{"requests":[{}]}', b"\xff\xfe",
    b"\x00" * 9,
    b"\x0a\x05ab", enveloped(b"{}"), enveloped(b"{}", 1), enveloped(b"", 2),
    b"\x00\xff\xff\xff\xff",
    gzip.compress(b"{}"), b"1e999", b'{"":{}}', b'{"parent":"\\u0000"}', b'{"pageSize":2e9}',
]  # fmt: skip
_TYPES = [
    "application/json", "application/proto", "application/connect+json",
    "application/connect+proto", "application/json; charset=latin-1", "APPLICATION/JSON",
    "application/grpc+proto", "text/html", "", "application/", ";", "application/grpc-web+json",
]  # fmt: skip
_HEADERS = {
    "accept-encoding": ["gzip", "identity;q=0", "*", "\xff", ""],
    "content-encoding": ["gzip", "identity", "", "br", "gzip, gzip"],
    "connect-content-encoding": ["gzip", "identity", "br"],
    "connect-accept-encoding": ["gzip", "x"],
    "connect-timeout-ms": ["1000", "0", "", "1e3", "+1", "99999999999"],
    "connect-protocol-version": ["1", "2", ""],
    "authorization": ["Bearer", "Bearer a b", "Basic eDp5", "Bearer \xff", "Bearer " + "k" * 5000],
}
_QUERIES = [
    "", "?", "?message={}", "?encoding=json", "?encoding=json&message=%7B%7D",
    "?encoding=proto&base64=1&message=_w", "?encoding=json&base64=1&message=%", "?message=%ff",
    "?encoding=json&message={}&compression=gzip", "?encoding=json&encoding=proto&message={}",
    "?encoding=json&base64=1&compression=gzip&message=H4sI",
]  # fmt: skip


async def test_whatever_is_sent_is_answered_or_refused_with_a_reason(
    world: World, api: JsonApi
) -> None:
    """No defect of ours shows (INTERNAL), and no error comes without its reason."""
    chance = random.Random(20260105)
    paths = [path_of(method) for method in METHODS.values()]
    statuses = set()
    for _ in range(600):
        body = chance.choice(_BODIES)
        if chance.random() < 0.3:
            body = bytes(b ^ (chance.random() < 0.1) * chance.randrange(256) for b in body)
        headers = {"content-type": chance.choice(_TYPES[:4] if chance.random() < 0.7 else _TYPES)}
        if chance.random() < 0.6:
            headers |= dict(chance.choice([world.issuer, world.operator]).metadata)
        for name, values in _HEADERS.items():
            if chance.random() < 0.12:
                headers[name] = chance.choice(values)
        verb = chance.choice(["POST"] * 5 + ["GET", "GET", "HEAD", "PUT", "TRACE"])
        path = chance.choice(paths) + (chance.choice(_QUERIES) if verb == "GET" else "")
        answer = await api.http.request(
            verb, path, content=body, headers=[(k, v.encode("latin-1")) for k, v in headers.items()]
        )
        statuses.add(answer.status_code)
        context = (verb, path, headers, body, answer.status_code, answer.content[:300])
        assert answer.status_code in {200, 400, 401, 403, 404, 405, 409, 415, 429, 501, 504}, (
            context
        )
        error: Any = None
        if answer.status_code != 200 and verb != "HEAD":
            error = answer.json()
        elif answer.headers["content-type"].startswith("application/connect+"):
            flags, end = opened(answer.content)[-1]
            error = json.loads(gzip.decompress(end) if flags & 1 else end).get("error")
        if error is not None:
            assert refusal_of(error).reason in REASONS - {"INTERNAL"}, context
            assert refusal_of(error).message, context
    assert {200, 400, 401, 403, 405, 415, 501} <= statuses
