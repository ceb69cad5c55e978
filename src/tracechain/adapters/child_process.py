"""A process of ours that answers requests, over one socket pair that is its standard input.

For work that would else hold Python's lock from the event loop. Frames are a length, a number and
the bytes; answers come in any order. The child ends when its input does, so none outlives a
service that was killed, and what it had taken by then it finishes first. It starts by vfork: gRPC's
threads do not survive a fork. Its standard output goes where errors go: only frames may reach us.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from tracechain import garbage

_HEAD = struct.Struct("<IQ")


class ChildProcess:
    """The parent's end. `gone` is done once the child has ended."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0
        self._transport: asyncio.WriteTransport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(cls, module: str, greeting: bytes) -> ChildProcess:
        """Runs `python -m module`; `greeting` is the first that it gets.

        Raises OSError where no process can be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Not the loop's own way to start a process: uvloop forks.
                process = subprocess.Popen(  # noqa: ASYNC220
                    [sys.executable, "-m", module], stdin=theirs.fileno(), stdout=2
                )
            except BaseException:
                ours.close()
                raise
        made = cls(process)
        ours.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(
            lambda: _Frames(made._opened, made._take, made._lost, half_open=False), sock=ours
        )
        made._send(0, greeting)
        return made

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._answers)

    @property
    def is_dead(self) -> bool:
        return self.gone.done()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: bytes) -> bytes:
        """The child's answer. Raises ConnectionError where it ended before it answered; whether
        the work was done is then unknown."""
        if self.is_dead:
            raise BrokenPipeError
        self._number += 1
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        self._send(self._number, request)
        return await answer

    def _send(self, number: int, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(_HEAD.pack(len(data), number) + data)

    def _opened(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def _take(self, number: int, data: bytes) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(data)

    def _lost(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError())
                # A caller that has left does not ask; that is no fault of the loop's to report.
                answer.exception()
        self._answers.clear()

    async def close(self) -> None:
        """Ends it once what it has taken is done."""
        if self._transport is not None and not self.is_dead:
            self._transport.write_eof()
        await asyncio.shield(self.gone)
        await asyncio.to_thread(self._process.wait)


class _Frames(asyncio.Protocol):
    """Cuts a stream of bytes into frames. With `half_open` it can write after the other's end."""

    def __init__(
        self,
        opened: Callable[[asyncio.WriteTransport], None],
        take: Callable[[int, bytes], None],
        ended: Callable[[], None],
        *,
        half_open: bool,
    ) -> None:
        self._opened, self._take, self._ended = opened, take, ended
        self._half_open = half_open
        self._parts: list[bytes] = []
        self._held = 0
        self._wanted = _HEAD.size

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._opened(cast("asyncio.WriteTransport", transport))

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        # Joined only when a frame is whole: a large one arrives in many parts.
        if self._held < self._wanted:
            return
        buffer = b"".join(self._parts)
        at, end = 0, len(buffer)
        self._wanted = _HEAD.size
        while end - at >= _HEAD.size:
            size, number = _HEAD.unpack_from(buffer, at)
            if end - at < _HEAD.size + size:
                self._wanted = _HEAD.size + size
                break
            at += _HEAD.size
            self._take(number, buffer[at : at + size])
            at += size
        self._parts = [buffer[at:]]
        self._held = end - at

    def eof_received(self) -> bool:
        self._ended()
        return self._half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()


def requests() -> Iterator[tuple[bytes, Callable[[bytes], None]]]:
    """In the child, for work one after the other: each request and how to answer it."""
    _leave_signals()
    garbage.settle()
    with socket.socket(fileno=0) as pair, pair.makefile("rwb") as stream:
        while len(head := stream.read(_HEAD.size)) == _HEAD.size:
            size, number = _HEAD.unpack(head)

            def answer(data: bytes, number: int = number) -> None:
                stream.write(_HEAD.pack(len(data), number) + data)
                stream.flush()

            yield stream.read(size), answer


async def serve(
    open_with: Callable[[bytes], Awaitable[Callable[[bytes], Awaitable[bytes]]]],
) -> None:
    """In the child, for work side by side: `open_with` gets the greeting and gives what answers.

    Returns once the parent has gone and all that it asked is done.
    """
    _leave_signals()
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
    to: list[asyncio.WriteTransport] = []
    pair = socket.socket(fileno=0)
    pair.setblocking(False)
    await loop.create_unix_connection(
        lambda: _Frames(
            to.append,
            lambda number, data: inbox.put_nowait((number, data)),
            lambda: inbox.put_nowait(None),
            half_open=True,
        ),
        sock=pair,
    )
    running: set[asyncio.Task[None]] = set()
    greeting = await inbox.get()
    if greeting is None:
        return
    handle = await open_with(greeting[1])
    garbage.settle()

    async def one(number: int, request: bytes) -> None:
        data = await handle(request)
        to[0].write(_HEAD.pack(len(data), number) + data)

    while (frame := await inbox.get()) is not None:
        task = loop.create_task(one(*frame))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running)
    to[0].close()


def _leave_signals() -> None:
    # Ctrl-C in a terminal and a service manager's stop reach everybody; the service decides when
    # its processes end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
