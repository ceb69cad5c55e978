"""Errors as the Connect protocol has them: a code by name, words, and details also as plain JSON.

The details are those of gRPC (`status.py`), so the two cannot differ. What the library refuses on
its own gets a reason here; what nobody foresaw gets a number to ask about.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

import grpc
from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from protobuf.wkt import Any as LibraryAny
from protobuf.wkt import Struct

from tracechain.rpc.guard import Guard
from tracechain.rpc.status import DOMAIN, Trailers

_TYPES: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo,
    )
}  # fmt: skip
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
# What the library refuses: the reason by its code.
_OWN: dict[Code, error_details_pb2.ErrorInfo] = {
    Code.RESOURCE_EXHAUSTED: error_details_pb2.ErrorInfo(reason="MESSAGE_TOO_LARGE", domain=DOMAIN),
    Code.DEADLINE_EXCEEDED: error_details_pb2.ErrorInfo(reason="DEADLINE_EXCEEDED", domain=DOMAIN),
}
_MALFORMED = error_details_pb2.ErrorInfo(reason="MALFORMED_REQUEST", domain=DOMAIN)


def connect_error(trailers: Trailers) -> ConnectError:
    """The error that gRPC would send as these trailers."""
    code, message, _ = trailers
    return ConnectError(Code[code.name], message, [_Detail(d) for d in _details(trailers)])


def translated(error: Exception, guard: Guard) -> ConnectError:
    """Any error of a call of the guard's method."""
    if not isinstance(error, ConnectError):
        return connect_error(guard.status(error))
    if error.details or error.code is Code.CANCELED:
        return error
    packed = any_pb2.Any()
    packed.Pack(_OWN.get(error.code, _MALFORMED))
    return ConnectError(error.code, error.message, [_Detail(packed)])


def headers_of(error: ConnectError) -> Iterator[tuple[str, str]]:
    """What an error says to those who know HTTP only (RFC 9110 sections 10.2.3 and 11.6.1)."""
    if error.code is Code.UNAUTHENTICATED:
        yield "www-authenticate", "Bearer"
    for detail in error.details:
        if detail.type_name == error_details_pb2.RetryInfo.DESCRIPTOR.full_name:
            delay = error_details_pb2.RetryInfo.FromString(detail.message_bytes).retry_delay
            yield "retry-after", str(max(1, math.ceil(delay.ToNanoseconds() / 1e9)))


class HttpRefused(Exception):
    """What is refused before the library sees it, with the HTTP status that says it best."""

    def __init__(
        self,
        status: HTTPStatus,
        trailers: Trailers,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(trailers[1])
        self._status = status
        self._content = _body(trailers)
        self._headers = headers

    async def answer(self, send: Any) -> None:
        """Sends it."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self._content)).encode()),
            (b"cache-control", b"no-store"),
            *self._headers,
        ]
        await send(
            {"type": "http.response.start", "status": self._status.value, "headers": headers}
        )
        await send({"type": "http.response.body", "body": self._content})


class _Detail(ErrorDetail):
    """A detail that the library writes out as JSON too. It knows messages of its own kind only;
    a Struct is one, and holds any JSON."""

    def __init__(self, detail: any_pb2.Any) -> None:
        super().__init__(LibraryAny(type_url=detail.type_url, value=detail.value))
        self._debug = Struct.from_json(json.dumps(_plain(detail)))

    def value(self, *_: Any) -> Any:
        """What is shown under `debug`."""
        return self._debug


def _details(trailers: Trailers) -> Sequence[any_pb2.Any]:
    ((_, status),) = trailers[2]
    assert isinstance(status, bytes)
    return status_pb2.Status.FromString(status).details


def _plain(detail: any_pb2.Any) -> dict[str, Any]:
    message = _TYPES[detail.TypeName()].FromString(detail.value)
    return json_format.MessageToDict(message)


def _body(trailers: Trailers) -> bytes:
    code, message, _ = trailers
    details = [
        {
            "type": detail.TypeName(),
            "value": base64.b64encode(detail.value).decode().rstrip("="),
            "debug": _plain(detail),
        }
        for detail in _details(trailers)
    ]
    return json.dumps(
        {"code": Code[code.name].value, "message": message, "details": details},
        ensure_ascii=False,
    ).encode()
