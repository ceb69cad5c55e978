"""What stands in front of one method: who calls, what a request must carry, what errors say.

A guard knows no transport: `gate.py` puts it into gRPC's handlers, `connect.py` into those of the
Connect protocol. So both refuse the same, in the same order. Servicers see a checked request and a
principal, and raise the domain's errors.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple, Protocol

import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from tracechain.domain.errors import (
    InvalidArgument,
    PermissionDenied,
    TracechainError,
    Unauthenticated,
    Unavailable,
)
from tracechain.domain.party import Principal, Role
from tracechain.rpc.admission import Room
from tracechain.rpc.metering import Meter
from tracechain.rpc.recording import Recorder, Recording
from tracechain.rpc.required import missing_fields
from tracechain.rpc.scopes import scopes_of
from tracechain.rpc.status import Trailers, internal, trailers

_LOG = structlog.get_logger(__name__)
_MAX_REQUEST_ID = 64
# Begins a stream; see Guard.answers.
Begin = Callable[..., Awaitable[AsyncGenerator[Message, None]]]
# How long, in seconds, a stream may bring no request.
IDLE_SECONDS = 300.0
# Stands for a request that could not be read, until the guard refuses it in its turn.
UNREADABLE = Message()


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
        if request is UNREADABLE:
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


def stalled(what: str) -> Unavailable:
    """What ends a stream that does not move."""
    return Unavailable("STREAM_STALLED", f"{what} for too long; open the stream again")
