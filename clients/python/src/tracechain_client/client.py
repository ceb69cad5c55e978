"""The two clients: the same methods, performed by blocking or by awaiting.

Promises one place for each way of doing I/O: what a method means, and when it is tried again, is
in `_methods` and `_retry`. A client is one channel; share it, threads may (`Client`) and tasks may
(`AsyncClient`, within the event loop that it was made in).
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import enum
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import closing
from typing import Any, Self, TypeVar

import grpc

from tracechain_client._channel import Connection, Credentials, Options, connection
from tracechain_client._exchange import AsyncExchange, Exchange
from tracechain_client._methods import Methods
from tracechain_client._plan import (
    END,
    Awaiting,
    Blocking,
    Done,
    Effect,
    Emit,
    Flow,
    Open,
    Plan,
    Pull,
    Read,
    Sleep,
    Steps,
    Unary,
    Write,
    steps,
)
from tracechain_client._retry import RetryPolicy
from tracechain_client._stubs import Stubs
from tracechain_client.errors import from_rpc_error

R = TypeVar("R")
_RETRY = RetryPolicy()


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Keep(enum.Enum):
    """Says of a setting that it stays as it is: None means something else."""

    KEEP = "keep"


class _Connected(Methods):
    """What both clients are made from."""

    def __init__(
        self,
        target: str,
        *,
        api_key: str | None = None,
        credentials: Credentials = None,
        allow_plaintext_api_key: bool = False,
        timeout: float | None = 30.0,
        stream_timeout: float | None = None,
        retry: RetryPolicy = _RETRY,
        options: Options = (),
        new_request_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = _utc_now,
    ) -> None:
        """Connects lazily to the gRPC target `target`.

        credentials: None is plain text to this machine (`localhost`, loopback addresses, unix
            sockets) and TLS with the system's roots to every other; "insecure" is plain text;
            `grpc.ssl_channel_credentials(...)` brings roots or a client certificate.
        api_key: sent as `authorization: Bearer {api_key}`. Together with plain text to another
            machine it is refused (ValueError), unless `allow_plaintext_api_key`.
        timeout: seconds for one call with all its tries and waits; for each request of a method
            that makes several. None waits for ever.
        stream_timeout: the same for a whole `issue_codes` or `capture_stream`.
        retry: see `RetryPolicy`.
        options: gRPC channel options, which win over the client's own.
        new_request_id, clock, now: where identifiers and time come from.
        """
        self._connection = connection(
            target, api_key, credentials, options, allow_plaintext_api_key
        )
        self._channel = self._open(self._connection)
        self._stubs = Stubs(self._channel, self._connection.metadata)
        self._timeout = timeout
        self._stream_timeout = stream_timeout
        self._retry = retry
        self._new_request_id = new_request_id
        self._clock = clock
        self._now = now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.target!r})"

    def _open(self, to: Connection) -> Any:
        raise NotImplementedError

    def with_policy(
        self,
        *,
        timeout: float | Keep | None = Keep.KEEP,
        stream_timeout: float | Keep | None = Keep.KEEP,
        retry: RetryPolicy | Keep = Keep.KEEP,
    ) -> Self:
        """The same client, on the same channel, with another timeout or retry policy."""
        other = copy.copy(self)
        if timeout is not Keep.KEEP:
            other._timeout = timeout
        if stream_timeout is not Keep.KEEP:
            other._stream_timeout = stream_timeout
        if retry is not Keep.KEEP:
            other._retry = retry
        return other


class Client(_Connected, Blocking):
    """The synchronous client. Methods return; streams are iterators, closed when dropped."""

    @property
    def stubs(self) -> Any:
        """The generated stubs, one for each service, see `Stubs`; their calls block."""
        return self._stubs

    def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, to: Connection) -> grpc.Channel:
        if to.credentials is None:
            return grpc.insecure_channel(to.target, to.options)
        return grpc.secure_channel(to.target, to.credentials, to.options)

    def _run(self, plan: Plan[R]) -> R:
        with closing(steps(plan)) as course:
            effect = next(course)
            while not isinstance(effect, Done):
                effect = _step(course, effect)
            value: R = effect.value
            return value

    def _stream(self, flow: Flow[R]) -> Generator[R, None, None]:
        with closing(steps(flow)) as course:
            effect = next(course)
            while not isinstance(effect, Done):
                if isinstance(effect, Emit):
                    yield from effect.items
                effect = _step(course, effect)


class AsyncClient(_Connected, Awaiting):
    """The asynchronous client: make it within the event loop that uses it.

    Methods are awaited; streams are asynchronous iterators. Where one is left before its end,
    `contextlib.aclosing` around it ends the call at once.
    """

    @property
    def stubs(self) -> Stubs:
        """The generated stubs, one for each service; their calls are awaited."""
        return self._stubs

    async def close(self) -> None:
        """Closes the channel; calls under way are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self, to: Connection) -> grpc.aio.Channel:
        if to.credentials is None:
            return grpc.aio.insecure_channel(to.target, to.options)
        return grpc.aio.secure_channel(to.target, to.credentials, to.options)

    async def _run(self, plan: Plan[R]) -> R:
        with closing(steps(plan)) as course:
            effect = next(course)
            while not isinstance(effect, Done):
                effect = await _async_step(course, effect)
            value: R = effect.value
            return value

    async def _stream(self, flow: Flow[R]) -> AsyncGenerator[R, None]:
        with closing(steps(flow)) as course:
            effect = next(course)
            while not isinstance(effect, Done):
                if isinstance(effect, Emit):
                    for item in effect.items:
                        yield item
                effect = await _async_step(course, effect)


Step = Effect | Emit[Any] | Done


def _step(course: Steps, effect: Step) -> Step:
    if isinstance(effect, Pull):  # its failures are the caller's own, whatever they are
        return course.send(next(effect.source, END))
    try:
        result = _perform(effect)
    except grpc.RpcError as error:
        return course.throw(from_rpc_error(error))
    return course.send(result)


def _perform(effect: Step) -> Any:
    match effect:
        case Unary(method, request, timeout):
            return method(request, timeout=timeout)
        case Open(method, timeout):
            return Exchange(method, timeout)
        case Write(stream, message):
            stream.write(message)
        case Read(stream):
            return next(stream, END)
        case Sleep(seconds):
            time.sleep(seconds)
    return None


async def _async_step(course: Steps, effect: Step) -> Step:
    if isinstance(effect, Pull):  # its failures are the caller's own, whatever they are
        if isinstance(effect.source, AsyncIterator):
            return course.send(await anext(effect.source, END))
        return course.send(next(effect.source, END))
    try:
        result = await _perform_async(effect)
    except grpc.RpcError as error:
        return course.throw(from_rpc_error(error))
    return course.send(result)


async def _perform_async(effect: Step) -> Any:
    match effect:
        case Unary(method, request, timeout):
            return await method(request, timeout=timeout)
        case Open(method, timeout):
            return AsyncExchange(method, timeout)
        case Write(stream, message):
            stream.write(message)
        case Read(stream):
            return await anext(aiter(stream), END)
        case Sleep(seconds):
            await asyncio.sleep(seconds)
    return None
