"""The one gate in front of every method: who calls, what a request must carry, what errors say.

Which roles may call stands next to each method in the protos (`option (access)`); a method
without it keeps the server from starting. Servicers see a checked request and a principal, and
raise the domain's errors.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol, cast

import grpc
import structlog
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from tracechain.domain.errors import (
    InvalidArgument,
    PermissionDenied,
    TracechainError,
    Unauthenticated,
    Violation,
)
from tracechain.domain.party import Principal, Role
from tracechain.rpc.admission import Admission, Admitted, Room
from tracechain.rpc.status import internal, trailers
from tracechain.v1 import annotations_pb2

_LOG = structlog.get_logger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]


class Authenticator(Protocol):
    """Turns what a call carries into a principal."""

    async def authenticate(self, api_key: str) -> Principal:
        """The principal of an API key. Raises Unauthenticated."""


class Gate:
    """Makes gRPC handlers of a servicer's methods."""

    def __init__(self, authenticator: Authenticator, admission: Admission) -> None:
        self._authenticator = authenticator
        self._admission = admission

    def handler(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """Handlers for each method of `service`.

        A method of the servicer takes (request, principal); a public one takes the request alone.
        Raises RuntimeError for a method without access or without code.
        """
        return Admitted(
            {
                f"/{service.full_name}/{method.name}": self.method(
                    method, getattr(servicer, method.name, None)
                )
                for method in service.methods
            }
        )

    def method(
        self, method: MethodDescriptor, call: Any
    ) -> tuple[grpc.RpcMethodHandler[Any, Any], Room]:
        """The handler of one method, and the room that its calls need a place in.

        Raises RuntimeError as `handler` does.
        """
        access = method.GetOptions().Extensions[annotations_pb2.access]
        if call is None:
            raise RuntimeError(f"{method.full_name} is declared and not written")
        if access.public == bool(access.roles):
            raise RuntimeError(f"{method.full_name} does not say who may call it")
        roles = None if access.public else frozenset(_role(number) for number in access.roles)
        is_stream = method.client_streaming or method.server_streaming
        room = self._admission.streams if is_stream else self._admission.calls
        guard = _Guard(self._authenticator, roles, method, room)
        request_class = GetMessageClass(method.input_type)
        response_class = GetMessageClass(method.output_type)
        make: Any
        if method.client_streaming:
            make, behaviour = grpc.stream_stream_rpc_method_handler, guard.both(call)
        elif method.server_streaming:
            make, behaviour = grpc.unary_stream_rpc_method_handler, guard.answers(call)
        else:
            make, behaviour = grpc.unary_unary_rpc_method_handler, guard.unary(call)
        handler = make(
            behaviour,
            request_deserializer=_reader(request_class),
            response_serializer=response_class.SerializeToString,
        )
        return cast("grpc.RpcMethodHandler[Any, Any]", handler), room


_MAX_REQUEST_ID = 64


class _Guard:
    """What stands in front of one method."""

    def __init__(
        self,
        authenticator: Authenticator,
        roles: frozenset[Role] | None,
        method: MethodDescriptor,
        room: Room,
    ) -> None:
        self._authenticator = authenticator
        self._room = room
        self._roles = roles
        self._required = _required(method.input_type)
        self._has_request_id = "request_id" in method.input_type.fields_by_name
        self._name = method.full_name

    def unary(self, call: Callable[..., Awaitable[Message]]) -> Any:
        room = self._room
        if self._roles is None:

            async def public(request: Message, context: _Context) -> Message:
                # Once more: others came in while the request was received.
                if room.taken >= room.limit:
                    await room.turn_away(context)
                room.taken += 1
                try:
                    self._check(request)
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
                principal = await self._principal(context)
                self._check(request)
                return await call(request, principal)
            except Exception as error:
                await self._abort(context, error)
                raise
            finally:
                room.taken -= 1

        return private

    def answers(self, call: Callable[..., AsyncIterator[Message]]) -> Any:
        room = self._room

        async def serve(request: Message, context: _Context) -> None:
            if room.taken >= room.limit:
                await room.turn_away(context)
            room.taken += 1
            try:
                principal = await self._principal(context)
                self._check(request)
                async for answer in call(request, principal):
                    await context.write(answer)
            except Exception as error:
                await self._abort(context, error)
            finally:
                room.taken -= 1

        return serve

    def both(self, call: Callable[..., AsyncIterator[Message]]) -> Any:
        room = self._room

        async def serve(requests: AsyncIterator[Message], context: _Context) -> None:
            if room.taken >= room.limit:
                await room.turn_away(context)
            room.taken += 1
            try:
                arguments: tuple[object, ...] = (self._checked(requests),)
                if self._roles is not None:
                    arguments += (await self._principal(context),)
                async for answer in call(*arguments):
                    await context.write(answer)
            except Exception as error:
                await self._abort(context, error)
            finally:
                room.taken -= 1

        return serve

    async def _checked(self, requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            self._check(request)
            yield request

    def _check(self, request: Message) -> None:
        if request is _UNREADABLE:
            raise InvalidArgument.of(
                "request", "INVALID_FIELD_TYPE", "these bytes are no message of the method's type"
            )
        if self._has_request_id and len(request.request_id) > _MAX_REQUEST_ID:  # type: ignore[attr-defined]
            raise InvalidArgument.of(
                "request_id", "TEXT_TOO_LONG", f"at most {_MAX_REQUEST_ID} characters are taken"
            )
        if self._required is not None and (violations := self._required(request)):
            raise InvalidArgument(violations)

    async def _principal(self, context: _Context) -> Principal:
        api_key = ""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization" and isinstance(value, str):
                scheme, _, api_key = value.partition(" ")
                if scheme.lower() != "bearer":
                    api_key = ""
        if not api_key:
            raise Unauthenticated(
                "MISSING_CREDENTIAL", "send `authorization: Bearer {api key}` with the call"
            )
        principal = await self._authenticator.authenticate(api_key.strip())
        if self._roles is None or principal.role not in self._roles:
            raise PermissionDenied("ROLE_NOT_ALLOWED", f"the role {principal.role} may not do this")
        return principal

    async def _abort(self, context: _Context, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
            raise error
        if isinstance(error, TracechainError):
            code, details, metadata = trailers(error)
        else:
            # The caller gets a number to ask about, never the inside of the service.
            incident = uuid.uuid4().hex[:12]
            _LOG.error("internal_error", method=self._name, incident=incident, exc_info=error)
            code, details, metadata = internal(incident)
        await context.abort(code, details, metadata)


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


def _required(
    message: Descriptor, seen: tuple[str, ...] = ()
) -> Callable[[Any], Sequence[Violation]] | None:
    """A check that every field marked `required` is there, also in messages within messages."""
    if message.full_name in seen:
        return None
    own: list[tuple[str, bool]] = []
    inner: list[tuple[str, bool, Callable[[Any], Sequence[Violation]]]] = []
    for field in message.fields:
        single_message = field.message_type is not None and not field.is_repeated
        if field.GetOptions().Extensions[annotations_pb2.required]:
            own.append((field.name, single_message))
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            check = _required(field.message_type, (*seen, message.full_name))
            if check is not None:
                inner.append((field.name, field.is_repeated, check))
    if not own and not inner:
        return None

    def missing(value: Any) -> Sequence[Violation]:
        found: list[Violation] = []
        for name, is_message in own:
            if not (value.HasField(name) if is_message else getattr(value, name)):
                found.append(Violation(name, "MISSING_FIELD", "is required"))
        for name, repeated, check in inner:
            if repeated:
                for i, item in enumerate(getattr(value, name)):
                    found += _below(f"{name}[{i}]", check(item))
            elif value.HasField(name):
                found += _below(name, check(getattr(value, name)))
        return found

    return missing


def _below(prefix: str, violations: Sequence[Violation]) -> Sequence[Violation]:
    return [Violation(f"{prefix}.{v.field}", v.reason, v.description) for v in violations]
