"""The one gate in front of every method: guards, and gRPC's handlers around them.

Which roles may call stands next to each method in the protos (`option (access)`); a method
without it keeps the server from starting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from tracechain.app.auditing import Auditing
from tracechain.app.limits import Limits
from tracechain.domain.party import Principal, Role
from tracechain.rpc.admission import Admission, Admitted, Room
from tracechain.rpc.guard import UNREADABLE, Authenticator, Begin, Guard, Shown, stalled
from tracechain.rpc.metering import Meter
from tracechain.rpc.recording import Recorder, Recording
from tracechain.v1 import annotations_pb2

_Context = grpc.aio.ServicerContext[Any, Any]
# How long, in seconds, an answer may lie unread.
STALL_SECONDS = 30.0
_FAREWELL_SECONDS = 5.0


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


def _reader(kind: type[Message]) -> Callable[[bytes], Message]:
    """Reads a request. Raising here would be UNKNOWN to the caller, with our inside in it."""

    def read(data: bytes) -> Message:
        try:
            return kind.FromString(data)
        except DecodeError:
            return UNREADABLE

    return read


def _role(number: int) -> Role:
    name = annotations_pb2.Role.Name(cast("annotations_pb2.Role.ValueType", number))
    return Role(name.removeprefix("ROLE_").lower())
