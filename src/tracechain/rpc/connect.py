"""The whole API by the Connect protocol: JSON (or protobuf) over plain HTTP, an ASGI application.

Every method of every servicer is here because its descriptor is; nothing is written per method.
Calls go through the same guards and rooms as gRPC's, so who may call, what is refused, in which
order and with which reason is the same. There is no CORS: a page of another origin that calls with
somebody's API key would have to hold that key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import grpc
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Principal
from tracechain.rpc.admission import Room
from tracechain.rpc.connect_errors import (
    UNIMPLEMENTED,
    HttpRefused,
    connect_error,
    headers_of,
    translated,
)
from tracechain.rpc.connect_form import Form, Raw
from tracechain.rpc.gate import Gate
from tracechain.rpc.guard import Begin, Guard, Shown
from tracechain.rpc.intake import Intake
from tracechain.rpc.recording import Recording
from tracechain.rpc.server import Servicer
from tracechain.rpc.status import described, trailers
from tracechain.v1 import annotations_pb2

# What the paths of all methods begin with.
CONNECT_PREFIX = f"/{annotations_pb2.DESCRIPTOR.package}."

# The client certificate of the connection that a request came by: the library hands on headers
# alone, and a header would be the client's to write.
_CERTIFICATE: ContextVar[bytes] = ContextVar("certificate", default=b"")

_UNARY = "application/"
_STREAM = "application/connect+"
_FAST = 1
# So many of the largest messages may be on their way in at once.
_INTAKE = 32


class ConnectApp:
    """An ASGI application for the paths `/{service}/{method}`."""

    def __init__(
        self, gate: Gate, servicers: Sequence[Servicer], *, max_message_bytes: int, proxies: int
    ) -> None:
        """`proxies` of ours stand in front. Raises RuntimeError for a method without access."""
        forms = [Form(name, max_message_bytes) for name in ("json", "proto")]
        self._methods = {
            f"/{servicer.service.full_name}/{method.name}": _Method(
                method, gate.guard(method, servicer), getattr(servicer, method.name), forms, proxies
            )
            for servicer in servicers
            for method in servicer.service.methods
        }
        self._intake = Intake(_INTAKE * max_message_bytes)
        self._app = _Application(self._methods, forms, max_message_bytes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request. What the library would refuse without a reason, or not well,
        is refused here."""
        if scope["type"] != "http":
            return
        try:
            method = self._method(scope)
        except HttpRefused as error:
            await error.answer(send)
        except InvalidArgument as error:
            await HttpRefused(HTTPStatus.BAD_REQUEST, trailers(error)).answer(send)
        else:
            _CERTIFICATE.set(_certificate(scope))
            if method.is_stream:
                await self._app(scope, receive, send)
            else:
                await self._intake.serve(self._app, scope, receive, send)

    def _method(self, scope: Any) -> _Method:
        method = self._methods.get(scope["path"])
        if method is None:
            raise HttpRefused(
                HTTPStatus.NOT_FOUND,
                described(UNIMPLEMENTED, "UNKNOWN_METHOD", "there is no method here"),
            )
        if scope["method"] not in method.verbs:
            allowed = ", ".join(method.verbs)
            raise HttpRefused(
                HTTPStatus.METHOD_NOT_ALLOWED,
                described(UNIMPLEMENTED, "METHOD_NOT_ALLOWED", f"it is called by {allowed}"),
                [(b"allow", allowed.encode())],
            )
        if _form(scope) not in method.forms:
            taken = ", ".join(sorted(method.forms))
            raise HttpRefused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                described(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "UNSUPPORTED_MEDIA_TYPE",
                    f"the method takes {taken}",
                ),
                [(b"accept-post", taken.encode())],
            )
        return method


class _Method:
    """One method behind its guard."""

    def __init__(
        self,
        method: MethodDescriptor,
        guard: Guard,
        call: Callable[..., Any],
        forms: Sequence[Form],
        proxies: int,
    ) -> None:
        self.guard = guard
        self._proxies = proxies
        self._call = call
        self._request = GetMessageClass(method.input_type)
        self.is_stream = method.client_streaming or method.server_streaming
        is_safe = (
            method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
            and not self.is_stream
        )
        kind = _STREAM if self.is_stream else _UNARY
        self.forms = {f"{kind}{form.name()}": form for form in forms}
        self.verbs = ("GET", "POST") if is_safe else ("POST",)
        assert method.containing_service is not None
        self._info: MethodInfo[Any, Any] = MethodInfo(
            name=method.name,
            service_name=method.containing_service.full_name,
            input=Raw,
            output=Message,
            idempotency_level=(
                IdempotencyLevel.NO_SIDE_EFFECTS if is_safe else IdempotencyLevel.UNKNOWN
            ),
            stream_type=(
                StreamType.BIDI_STREAM
                if method.client_streaming
                else StreamType.SERVER_STREAM
                if method.server_streaming
                else StreamType.UNARY
            ),
        )

    def endpoint(self) -> Any:
        """The method as the library has it."""
        match self._info.stream_type:
            case StreamType.UNARY:
                return Endpoint.unary(self._info, self._unary)
            case StreamType.SERVER_STREAM:
                return Endpoint.server_stream(self._info, self._answers)
            case _:
                return Endpoint.bidi_stream(self._info, self._both)

    async def _unary(self, raw: Raw, context: RequestContext[Any, Any]) -> bytes:
        client = self._client(context)
        with _place(self.guard.room, client):
            if self.guard.is_public:
                self.guard.meter.open(client)
                request = await self._checked(raw)
                if (charged := self.guard.meter.charge(client, request)) is not None:
                    await charged
                return await raw.form.write(await self._call(request))
            async with self.guard.recording(client) as record:
                principal = await self.guard.caller(_shown(context), client, record)
                request = await self._checked(raw, record)
                await record.look(principal)
                record.answer = await self._call(request, principal)
            return await raw.form.write(record.answer)

    async def _answers(self, raw: Raw, context: RequestContext[Any, Any]) -> AsyncIterator[bytes]:
        with _place(self.guard.room, self._client(context)):

            async def begin(
                record: Recording | None, *callers: Principal
            ) -> AsyncGenerator[Message, None]:
                found: AsyncGenerator[Message, None] = self._call(
                    await self._checked(raw, record), *callers
                )
                return found

            # Closed with ours: a generator that another one reads is else left to the collector.
            async with aclosing(self._served(context, begin)) as answers:
                async for answer in answers:
                    yield await raw.form.write(answer)

    async def _both(
        self, raws: AsyncIterator[Raw], context: RequestContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        # The form of a stream stands in its content type, also where no request ever comes.
        form = self.forms[_media_type(context.request_headers["content-type"])]
        with _place(self.guard.room, self._client(context)):

            async def begin(
                record: Recording | None, *callers: Principal
            ) -> AsyncGenerator[Message, None]:
                requests = self.guard.all_checked(self._all_read(raws), self._client(context))
                found: AsyncGenerator[Message, None] = self._call(requests, *callers)
                return found

            async with aclosing(self._served(context, begin)) as answers:
                async for answer in answers:
                    yield await form.write(answer)

    def _served(
        self, context: RequestContext[Any, Any], begin: Begin
    ) -> AsyncGenerator[Message, None]:
        return self.guard.answers(_shown(context), self._client(context), begin)

    def _client(self, context: RequestContext[Any, Any]) -> str:
        heard = ",".join(context.request_headers.getall("x-forwarded-for"))
        # The library puts a port behind each address, and no brackets around one of IPv6.
        direct = (context.client_address or "").rpartition(":")[0]
        return self.guard.meter.client(direct, heard, self._proxies)

    async def _all_read(self, raws: AsyncIterator[Raw]) -> AsyncIterator[Message]:
        async for raw in raws:
            yield await raw.read(self._request)

    async def _checked(self, raw: Raw, record: Recording | None = None) -> Message:
        request = await raw.read(self._request)
        self.guard.check(request, record)
        return request


class _Application(ConnectASGIApplication[Any]):
    """The library's application for all services at once."""

    path = ""

    def __init__(self, methods: Mapping[str, _Method], forms: Any, max_message_bytes: int) -> None:
        super().__init__(
            service=None,
            endpoints=lambda _: {path: method.endpoint() for path, method in methods.items()},
            interceptors=[_Doorkeeper({path: m.guard for path, m in methods.items()})],
            read_max_bytes=max_message_bytes,
            # Compressing is done on the event loop, so it has to be quick rather than good.
            compressions=[GzipCompression(_FAST)],
            codecs=forms,
        )


class _Doorkeeper:
    """Before a request is received: is there room? After: what is the caller told?"""

    def __init__(self, guards: Mapping[str, Guard]) -> None:
        self._guards = guards

    async def on_start(self, context: RequestContext[Any, Any]) -> None:
        """Turns away whom there is no room for."""
        # Answers are somebody's own, also those that came by GET.
        context.response_headers["cache-control"] = "no-store"
        room = self._guard(context).room
        if room.taken >= room.limit:
            raise _with_headers(connect_error(room.refusal), context)

    async def on_end(
        self, _: None, context: RequestContext[Any, Any], error: Exception | None
    ) -> None:
        """Raises what the caller is told in place of the error."""
        if error is not None:
            raise _with_headers(translated(error, self._guard(context)), context)

    def _guard(self, context: RequestContext[Any, Any]) -> Guard:
        return self._guards[f"/{context.method.service_name}/{context.method.name}"]


def _with_headers(error: ConnectError, context: RequestContext[Any, Any]) -> ConnectError:
    """The error, after what plain HTTP says of it was put into the answer's headers."""
    for name, value in headers_of(error):
        context.response_headers[name] = value
    return error


@contextmanager
def _place(room: Room, client: str) -> Iterator[None]:
    """A place in the room for an address. Raises ConnectError where others came in meanwhile, and
    ResourceExhausted where the address has its share already."""
    if room.taken >= room.limit:
        raise connect_error(room.refusal)
    room.taken += 1
    try:
        with room.held_by(client):
            yield
    finally:
        room.taken -= 1


def _certificate(scope: Any) -> bytes:
    """The leaf of what the client showed (ASGI TLS extension, `client_cert_chain`)."""
    tls = scope.get("extensions", {}).get("tls", {})
    chain = tls.get("client_cert_chain", ())
    return chain[0].encode() if chain else b""


def _shown(context: RequestContext[Any, Any]) -> Shown:
    return Shown(_authorization(context), _CERTIFICATE.get)


def _authorization(context: RequestContext[Any, Any]) -> str:
    return context.request_headers.get("authorization", "")


def _form(scope: Any) -> str:
    """The content type, of a GET what its query says. Raises InvalidArgument for headers and
    queries that are not as the protocol has them."""
    headers: dict[str, str] = {}
    try:
        for key, value in scope["headers"]:
            headers[key.decode()] = value.decode()
        query = scope["query_string"].decode()
    except UnicodeDecodeError:
        raise _malformed("headers and query have to be UTF-8") from None
    timeout = headers.get("connect-timeout-ms", "0")
    if len(timeout) > 10 or not (timeout.isascii() and timeout.isdigit()):
        raise _malformed("connect-timeout-ms is at most ten digits")
    if headers.get("connect-protocol-version", "1") != "1":
        raise _malformed("connect-protocol-version is 1")
    if scope["method"] != "GET":
        return _media_type(headers.get("content-type", ""))
    if headers.get("content-type", "").startswith("application/grpc"):
        raise _malformed("gRPC is spoken at another port")
    parameters = parse_qs(query, keep_blank_values=True)
    if "message" not in parameters:
        raise _malformed("a GET carries its request in ?encoding=json&message={…}")
    return f"application/{parameters.get('encoding', [''])[0]}"


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _malformed(words: str) -> InvalidArgument:
    return InvalidArgument.of("", "MALFORMED_REQUEST", words)
