"""Requests over plain HTTP that are none: each is refused with a reason, whatever it is."""

from __future__ import annotations

import gzip
import json
import random
from typing import Any

import grpc
import pytest

from tests.support.connect import (
    METHODS,
    JsonApi,
    enveloped,
    opened,
    path_of,
    refusal_of,
)
from tests.support.service import World
from tracechain.v1 import errors_pb2

REASONS = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
JSON = {"content-type": "application/json"}
VERIFY = path_of("VerificationService.VerifyCode")


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
# Without the time of packing: each worker of a parallel run has to collect the same tests.
_CUT = gzip.compress(_SOUND, mtime=0)[:-9]
_BOMB = gzip.compress(b" " * (64 << 20), mtime=0)


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
        ("POST", VERIFY, {**JSON, "content-encoding": "gzip"}, _CUT, 400,
         "MALFORMED_REQUEST"),
        ("POST", VERIFY, {**JSON, "content-encoding": "gzip"}, _BOMB,
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
