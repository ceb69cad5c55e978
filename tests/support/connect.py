"""Calls by the Connect protocol over plain HTTP, written from its specification.

https://connectrpc.com/docs/protocol: so what the service says is read by something that shares no
code with it. Errors are given as the `Refusal` that gRPC's are, so that the two can be compared.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
import httpx
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2

from tests.support.service import (
    TIMEOUT,
    Caller,
    Refusal,
    World,
    access_of,
    answers,
    every_method,
)
from tracechain.v1 import annotations_pb2

PACKAGE = "tracechain.v1"
END = 2
METHODS = {method.full_name.removeprefix(f"{PACKAGE}."): method for method in every_method()}
_CALLERS = {
    annotations_pb2.ROLE_ISSUER: "issuer",
    annotations_pb2.ROLE_HANDLER: "shop",
    annotations_pb2.ROLE_INSPECTOR: "liaoning",
    annotations_pb2.ROLE_AUDITOR: "auditor",
    annotations_pb2.ROLE_OPERATOR: "operator",
}


class HttpRefused(Exception):
    """A call that failed: the HTTP status, and what was said."""

    def __init__(
        self, status: int, error: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.headers = headers or {}
        self.refusal = refusal_of(error)


def refusal_of(error: dict[str, Any]) -> Refusal:
    """Reads an error; what its details say as JSON has to be what they say as protobuf."""
    assert set(error) <= {"code", "message", "details"}, error
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    kinds: dict[str, Message] = {m.DESCRIPTOR.full_name: m for m in (info, bad, retry)}
    types = []
    for detail in error.get("details", ()):
        value = detail["value"]
        message = kinds[detail["type"]]
        message.ParseFromString(base64.b64decode(value + "=" * (-len(value) % 4)))
        assert detail["debug"] == json_format.MessageToDict(message)
        types.append(f"type.googleapis.com/{detail['type']}")
    has_retry = any(kind.endswith("RetryInfo") for kind in types)
    name = error["code"].upper()
    return Refusal(
        grpc.StatusCode["CANCELLED" if name == "CANCELED" else name],
        error.get("message", ""),
        info.reason,
        info.domain,
        dict(info.metadata),
        tuple((v.field, v.reason) for v in bad.field_violations),
        retry.retry_delay.ToNanoseconds() / 1e9 if has_retry else None,
        tuple(types),
    )


def enveloped(content: bytes, flags: int = 0) -> bytes:
    """A message of a stream."""
    return struct.pack(">BI", flags, len(content)) + content


def opened(content: bytes) -> list[tuple[int, bytes]]:
    """The messages of a whole stream, with their flags."""
    found = []
    while content:
        flags, size = struct.unpack(">BI", content[:5])
        assert len(content) >= 5 + size, "cut off"
        found.append((flags, content[5 : 5 + size]))
        content = content[5 + size :]
    return found


def stream_of(content: bytes) -> list[Any]:
    """The answers of a whole JSON stream. Raises HttpRefused where it says that it failed."""
    *answers, (flags, end) = opened(content)
    assert flags == END
    assert all(flag == 0 for flag, _ in answers)
    if error := json.loads(end).get("error"):
        raise HttpRefused(200, error)
    return [json.loads(answer) for _, answer in answers]


def path_of(method: MethodDescriptor | str) -> str:
    """Where a method is; `IssuanceService.GetBatch` names one too."""
    name = method if isinstance(method, str) else method.full_name.removeprefix(f"{PACKAGE}.")
    return f"/{PACKAGE}." + name.replace(".", "/")


class JsonApi:
    """The service as an integrator calls it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.http = client

    async def call(
        self, method: MethodDescriptor | str, request: Any, caller: Caller | None = None
    ) -> Any:
        """The answer to a JSON request. Raises HttpRefused."""
        answer = await self.http.post(path_of(method), json=request, headers=_headers(caller))
        return read(answer)

    async def get(
        self, method: MethodDescriptor | str, request: Any, caller: Caller | None = None
    ) -> Any:
        """The same by GET."""
        answer = await self.http.get(
            path_of(method),
            params={"connect": "v1", "encoding": "json", "message": json.dumps(request)},
            headers=_headers(caller),
        )
        return read(answer)

    async def stream(
        self,
        method: MethodDescriptor | str,
        requests: Iterable[Any],
        caller: Caller | None = None,
    ) -> list[Any]:
        """All answers of a stream. Raises HttpRefused."""

        async def body() -> AsyncIterator[bytes]:
            for request in requests:
                yield enveloped(json.dumps(request).encode())

        answer = await self.http.post(
            path_of(method),
            content=body(),
            headers={**_headers(caller), "content-type": "application/connect+json"},
        )
        if answer.status_code != 200:
            raise HttpRefused(answer.status_code, answer.json())
        assert answer.headers["content-type"] == "application/connect+json"
        return stream_of(answer.content)

    async def refused(self, call: Any) -> HttpRefused:
        """What a call that has to fail says."""
        try:
            answer = await call
        except HttpRefused as error:
            return error
        raise AssertionError(f"was answered: {answer}")


def read(answer: httpx.Response) -> Any:
    """The JSON of an answer. Raises HttpRefused."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    if answer.status_code != 200:
        raise HttpRefused(answer.status_code, answer.json(), answer.headers)
    return answer.json()


def _headers(caller: Caller | None) -> dict[str, str]:
    return dict(caller.metadata) if caller else {}


def is_safe(method: MethodDescriptor) -> bool:
    """Whether a method changes nothing."""
    return method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS


def streams(method: MethodDescriptor) -> bool:
    """Whether a method has more than one request or answer."""
    return bool(method.client_streaming or method.server_streaming)


def caller_of(world: World, method: MethodDescriptor) -> Caller:
    """Somebody who may call a method."""
    roles = access_of(method).roles
    found: Caller = getattr(world, _CALLERS[roles[0]]) if roles else world.nobody
    return found


async def by_grpc(caller: Caller, method: MethodDescriptor, request: Any) -> Refusal | list[Any]:
    """What gRPC answers, as JSON."""
    message = json_format.ParseDict(request, GetMessageClass(method.input_type)())
    try:
        found = await answers(caller.channel, method, message, caller.metadata)
    except grpc.aio.AioRpcError as error:
        return Refusal.of(error)
    return [json_format.MessageToDict(answer) for answer in found]


async def by_http(
    api: JsonApi, caller: Caller, method: MethodDescriptor, request: Any
) -> Refusal | list[Any]:
    """What HTTP answers."""
    try:
        if streams(method):
            return await api.stream(method, [request], caller)
        return [await api.call(method, request, caller)]
    except HttpRefused as error:
        return error.refusal


def client_of(url: str) -> httpx.AsyncClient:
    """A client that asks no proxy."""
    return httpx.AsyncClient(base_url=url, timeout=TIMEOUT, trust_env=False)
