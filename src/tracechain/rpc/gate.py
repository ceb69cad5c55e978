"""The one gate in front of every method: who calls, what a request must carry, what errors say.

A guard stands in front of one method and knows no transport; here it is put into gRPC's handlers,
in `connect.py` into those of the Connect protocol. So both refuse the same, in the same order.
Which roles may call stands next to each method in the protos (`option (access)`); a method
without it keeps the server from starting. Servicers see a checked request and a principal, and
raise the domain's errors.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from tracechain.app.auditing import Auditing
from tracechain.app.limits import Limits
from tracechain.domain.errors import (
    InvalidArgument,
    PermissionDenied,
    TracechainError,
    Unauthenticated,
    Unavailable,
)
from tracechain.domain.party import Principal, Role
from tracechain.rpc.admission import Admission, Admitted, Room
from tracechain.rpc.metering import Meter
from tracechain.rpc.recording import Recorder, Recording
from tracechain.rpc.required import missing_fields
from tracechain.rpc.scopes import scopes_of
from tracechain.rpc.status import Trailers, internal, trailers
from tracechain.v1 import annotations_pb2

_LOG = structlog.get_logger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]


class Authenticator(Protocol):
    """Turns what a call carries into a principal."""

    def known(self, text: str) -> Principal | None:
        """Whom `authorization: Bearer {text}` made a moment ago; None where `bearer` has to find
        it out."""

    async def bearer(self, text: str) -> Principal:
        """The principal of `authorization: Bearer {text}`. Raises Unauthenticated, Unavailable."""

    async def certificate(self, shown: bytes) -> Principal:
        """The principal of a client certificate that the TLS handshake has checked. Raises
        Unauthenticated."""


class Shown(NamedTuple):
    """What a call shows of who calls: its `authorization`, and where it has none the certificate
    of its connection (empty where there is none)."""

    authorization: str
    certificate: Callable[[], bytes]


class Gate:
    """Makes guards, and gRPC handlers of a servicer's methods."""

    def __init__(
        self,
        authenticator: Authenticator,
        admission: Admission,
        limits: Limits,
        auditing: Auditing,
        proxies: int = 0,
    ) -> None:
        self._authenticator = authenticator
        self._admission = admission
        self._limits = limits
        self._auditing = auditing
        self._proxies = proxies

    def handler(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """Handlers for each method of `service`.

        A method of the servicer takes (request, principal); a public one takes the request alone.
        Raises RuntimeError for a method without access or without code.
        """
        return Admitted(
            {
                f"/{service.full_name}/{method.name}": self.method(
                    method, getattr(servicer, method.name, None), servicer
                )
                for method in service.methods
            }
        )

    def method(
        self, method: MethodDescriptor, call: Any, servicer: object | None = None
    ) -> tuple[grpc.RpcMethodHandler[Any, Any], Room]:
        """The handler of one method, and the room that its calls need a place in.

        Raises RuntimeError as `handler` does.
        """
        if call is None:
            raise RuntimeError(f"{method.full_name} is declared and not written")
        guard = self.guard(method, servicer)
        handlers = _Handlers(guard)
        request_class = GetMessageClass(method.input_type)
        response_class = GetMessageClass(method.output_type)
        make: Any
        if method.client_streaming:
            make, behaviour = grpc.stream_stream_rpc_method_handler, handlers.both(call)
        elif method.server_streaming:
            make, behaviour = grpc.unary_stream_rpc_method_handler, handlers.answers(call)
        else:
            make, behaviour = grpc.unary_unary_rpc_method_handler, handlers.unary(call)
        handler = make(
            behaviour,
            request_deserializer=_reader(request_class),
            response_serializer=response_class.SerializeToString,
        )
        return cast("grpc.RpcMethodHandler[Any, Any]", handler), guard.room

    def guard(self, method: MethodDescriptor, servicer: object | None = None) -> Guard:
        """What stands in front of a method of `servicer`. Raises RuntimeError for one without
        access, and for one that changes what nothing shows."""
        access = method.GetOptions().Extensions[annotations_pb2.access]
        if access.public == bool(access.roles):
            raise RuntimeError(f"{method.full_name} does not say who may call it")
        roles = None if access.public else frozenset(_role(number) for number in access.roles)
        is_stream = method.client_streaming or method.server_streaming
        room = self._admission.streams if is_stream else self._admission.calls
        meter = Meter(self._limits, method, self._proxies)
        recorder = None if roles is None else Recorder(method, servicer, self._auditing)
        return Guard(self._authenticator, roles, method, room, meter, recorder)


_MAX_REQUEST_ID = 64
# Begins a stream; see Guard.answers.
Begin = Callable[..., Awaitable[AsyncGenerator[Message, None]]]
# How long, in seconds, a stream may bring no request, and an answer may lie unread.
IDLE_SECONDS = 300.0
STALL_SECONDS = 30.0
_FAREWELL_SECONDS = 5.0


class Guard:
    """What stands in front of one method. Whoever serves it takes a place in `room`, asks who
    calls or has `meter` charge the client, then reads the request and has it checked; what goes
    wrong is told by `status`."""

    def __init__(
        self,
        authenticator: Authenticator,
        roles: frozenset[Role] | None,
        method: MethodDescriptor,
        room: Room,
        meter: Meter,
        recorder: Recorder | None,
    ) -> None:
        self.room = room
        self.meter = meter
        self._recorder = recorder
        self._authenticator = authenticator
        self._roles = roles
        self._missing = missing_fields(method.input_type)
        self._has_request_id = "request_id" in method.input_type.fields_by_name
        self._name = method.full_name
        self._scopes = scopes_of(method)

    @property
    def is_public(self) -> bool:
        """Whether anybody may call; such a method is not told who does."""
        return self._roles is None

    def recording(self, client: str) -> Recording:
        """The record of a call to a private method, around all that is done for it."""
        assert self._recorder is not None
        return self._recorder.call(client)

    async def answers(
        self, shown: Shown, client: str, begin: Begin
    ) -> AsyncGenerator[Message, None]:
        """What a stream answers, once it is known who calls and that is on record. `begin` gets
        the record, and who calls; for a public method None and nobody."""
        if self._recorder is None:
            self.meter.open(client)
            async with aclosing(await begin(None)) as found:
                async for answer in found:
                    yield answer
            return
        async with self._recorder.call(client) as record:
            principal = await self.caller(shown, client, record)
            found = await begin(record, principal)
            await record.started()
            async with aclosing(found):
                async for answer in found:
                    record.answered()
                    yield answer

    def check(self, request: Message, record: Recording | None = None) -> None:
        """Raises InvalidArgument for what no request of the method may be; `record` is told of
        any other."""
        if request is _UNREADABLE:
            raise InvalidArgument.of(
                "request", "INVALID_FIELD_TYPE", "these bytes are no message of the method's type"
            )
        if record is not None:
            record.request = request
        if self._has_request_id and len(request.request_id) > _MAX_REQUEST_ID:  # type: ignore[attr-defined]
            raise InvalidArgument.of(
                "request_id", "TEXT_TOO_LONG", f"at most {_MAX_REQUEST_ID} characters are taken"
            )
        if self._missing is not None and (violations := self._missing(request)):
            raise InvalidArgument(violations)

    async def all_checked(
        self, requests: AsyncIterator[Message], client: str
    ) -> AsyncIterator[Message]:
        """The requests of a stream, read no faster than a public method's client may ask. Raises
        Unavailable STREAM_STALLED where none comes for too long: a place is for who uses it."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    request = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise stalled("nothing was sent") from None
            self.check(request)
            if self._roles is None:
                await self.meter.paced(client)
            yield request

    async def caller(self, shown: Shown, client: str, record: Recording) -> Principal:
        """Who calls, by what he shows; `record` is told as soon as it is known, and his party is
        charged. Raises Unauthenticated, PermissionDenied, ResourceExhausted and Unavailable."""
        self.meter.login(client)
        scheme, _, text = shown.authorization.partition(" ")
        text = text.strip() if scheme.lower() == "bearer" else ""
        principal = self._authenticator.known(text) if text else None
        if principal is None:
            try:
                principal = await self._found_out(text, shown)
            except Unauthenticated:
                self.meter.wrong_login(client)
                raise
        record.principal = principal
        self.meter.party(principal.party_gln)
        if self._roles is None or principal.role not in self._roles:
            raise PermissionDenied("ROLE_NOT_ALLOWED", f"the role {principal.role} may not do this")
        if principal.scopes and self._scopes.isdisjoint(principal.scopes):
            raise PermissionDenied(
                "SCOPE_NOT_ALLOWED", "the scopes of this credential leave this out"
            )
        return principal

    async def _found_out(self, text: str, shown: Shown) -> Principal:
        if text:
            return await self._authenticator.bearer(text)
        if not shown.authorization and (certificate := shown.certificate()):
            return await self._authenticator.certificate(certificate)
        raise Unauthenticated(
            "MISSING_CREDENTIAL",
            "send `authorization: Bearer {API key or token}` with the call, or show a client "
            "certificate",
        )

    def status(self, error: Exception) -> Trailers:
        """What the caller is told of an error."""
        if isinstance(error, TracechainError):
            return trailers(error)
        # The caller gets a number to ask about, never the inside of the service.
        incident = uuid.uuid4().hex[:12]
        _LOG.error("internal_error", method=self._name, incident=incident, exc_info=error)
        return internal(incident)


class _Handlers:
    """A guard and a method as gRPC has them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def unary(self, call: Callable[..., Awaitable[Message]]) -> Any:
        guard, room, meter = self._guard, self._guard.room, self._guard.meter
        if guard.is_public:

            async def public(request: Message, context: _Context) -> Message:
                # Once more: others came in while the request was received.
                if room.taken >= room.limit:
                    await room.turn_away(context)
                room.taken += 1
                try:
                    client = _client(context, meter)
                    with room.held_by(client):
                        meter.open(client)
                        guard.check(request)
                        if (charged := meter.charge(client, request)) is not None:
                            await charged
                        return await call(request)
                except Exception as error:
                    await self._abort(context, error)
                    raise
                finally:
                    room.taken -= 1

            return public

        async def private(request: Message, context: _Context) -> Message:
            if room.taken >= room.limit:
                await room.turn_away(context)
            room.taken += 1
            try:
                client = _client(context, meter)
                with room.held_by(client):
                    async with guard.recording(client) as record:
                        principal = await guard.caller(_shown(context), client, record)
                        guard.check(request, record)
                        await record.look(principal)
                        record.answer = await call(request, principal)
                return record.answer
            except Exception as error:
                await self._abort(context, error)
                raise
            finally:
                room.taken -= 1

        return private

    def answers(self, call: Callable[..., AsyncGenerator[Message, None]]) -> Any:
        guard, room = self._guard, self._guard.room

        async def serve(request: Message, context: _Context) -> None:
            if room.taken >= room.limit:
                await room.turn_away(context)
            room.taken += 1

            async def begin(
                record: Recording | None, *callers: Principal
            ) -> AsyncGenerator[Message, None]:
                guard.check(request, record)
                return call(request, *callers)

            try:
                await self._write(context, _client(context, guard.meter), begin)
            except Exception as error:
                await self._abort(context, error)
            finally:
                room.taken -= 1

        return serve

    def both(self, call: Callable[..., AsyncGenerator[Message, None]]) -> Any:
        guard, room = self._guard, self._guard.room

        async def serve(requests: AsyncIterator[Message], context: _Context) -> None:
            if room.taken >= room.limit:
                await room.turn_away(context)
            room.taken += 1
            client = _client(context, guard.meter)

            async def begin(
                record: Recording | None, *callers: Principal
            ) -> AsyncGenerator[Message, None]:
                return call(guard.all_checked(requests, client), *callers)

            try:
                await self._write(context, client, begin)
            except Exception as error:
                await self._abort(context, error)
            finally:
                room.taken -= 1

        return serve

    async def _write(self, context: _Context, client: str, begin: Begin) -> None:
        with self._guard.room.held_by(client):
            answers = self._guard.answers(_shown(context), client, begin)
            # Closed with ours: a generator that another one reads is else left to the collector.
            async with aclosing(answers):
                async for answer in answers:
                    await _send(context, answer)

    async def _abort(self, context: _Context, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
            raise error
        # Who does not read its answers does not read this either, and is not waited for.
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await context.abort(*self._guard.status(error))


async def _send(context: _Context, answer: Message) -> None:
    """Sends an answer of a stream. Raises Unavailable STREAM_STALLED where it is not read."""
    try:
        async with asyncio.timeout(STALL_SECONDS):
            await context.write(answer)
    except TimeoutError:
        raise stalled("the answers were not read") from None


def stalled(what: str) -> Unavailable:
    """What ends a stream that does not move."""
    return Unavailable("STREAM_STALLED", f"{what} for too long; open the stream again")


def _authorization(context: _Context) -> str:
    found = ""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            found = value
    return found


def _shown(context: _Context) -> Shown:
    return Shown(_authorization(context), partial(_certificate, context))


def _certificate(context: _Context) -> bytes:
    """The client certificate of the connection, PEM; empty where it has none."""
    found: Any = context.auth_context().get("x509_pem_cert", ())
    return bytes(found[0]) if found else b""


def _client(context: _Context, meter: Meter) -> str:
    forwarded = ""
    if meter.proxies:
        for key, value in context.invocation_metadata() or ():
            if key == "x-forwarded-for" and isinstance(value, str):
                forwarded = f"{forwarded},{value}" if forwarded else value
    return meter.client(context.peer(), forwarded)


# Stands for a request that could not be read, until the guard refuses it in its turn.
_UNREADABLE = Message()


def _reader(kind: type[Message]) -> Callable[[bytes], Message]:
    """Reads a request. Raising here would be UNKNOWN to the caller, with our inside in it."""

    def read(data: bytes) -> Message:
        try:
            return kind.FromString(data)
        except DecodeError:
            return _UNREADABLE

    return read


def _role(number: int) -> Role:
    name = annotations_pb2.Role.Name(cast("annotations_pb2.Role.ValueType", number))
    return Role(name.removeprefix("ROLE_").lower())
