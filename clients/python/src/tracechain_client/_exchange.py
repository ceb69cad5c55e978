"""A stream in both directions, for each client: write without waiting, read until END, cancel.

Promises that a stream which breaks is told of by reading, with the status that the service gave,
after the answers that it gave before; and that no thread and no task outlives `cancel`.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import grpc

R = TypeVar("R")
_OF_A_FAILED_WRITE = "Internal error from Core"


class Exchange:
    """gRPC takes the requests from an iterator, in a thread of its own."""

    def __init__(self, method: Callable[..., Any], timeout: float | None) -> None:
        outbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.write = outbox.put
        self._call = method(iter(outbox.get, None), timeout=timeout)

    def __next__(self) -> Any:
        return next(self._call)

    def cancel(self) -> None:
        self.write(None)  # lets the thread go
        self._call.cancel()


class AsyncExchange:
    """grpc.aio takes the requests from an iterator, in a task of its own.

    A write that meets a broken stream makes grpc.aio put an INTERNAL of its own in the place of
    the status, before or after the true one arrives. So the first true status is kept, and the
    answers are iterated over: `read` would leave out those that are there when it breaks.
    """

    def __init__(self, method: Callable[..., Any], timeout: float | None) -> None:
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self.write = self._outbox.put_nowait
        self._status: asyncio.Future[grpc.aio.AioRpcError] = asyncio.Future()
        self._call = method(self._requests(), timeout=timeout)
        self._call.add_done_callback(self._note_status)
        self._answers = aiter(self._call)

    async def _requests(self) -> AsyncGenerator[Any, None]:
        while (message := await self._outbox.get()) is not None:
            yield message

    def _note_status(self, call: Any) -> None:
        code, details = _at_once(call.code()), _at_once(call.details())
        if not self._status.done() and details != _OF_A_FAILED_WRITE:
            trailers = _at_once(call.trailing_metadata())
            self._status.set_result(
                grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)
            )

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._answers)
        except grpc.aio.AioRpcError as error:
            if error.details() != _OF_A_FAILED_WRITE:
                raise
            try:
                status = await asyncio.wait_for(asyncio.shield(self._status), 1.0)
            except TimeoutError:
                raise error from None
            if status.code() is grpc.StatusCode.OK:
                raise StopAsyncIteration from None
            raise status from None

    def cancel(self) -> None:
        self.write(None)  # lets the task go
        self._call.cancel()


def _at_once(coroutine: Coroutine[Any, Any, R]) -> R:
    """What a coroutine gives that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        value: R = result.value
        return value
    raise RuntimeError("it had something to wait for")
