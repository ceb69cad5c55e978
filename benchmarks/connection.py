"""The client's end of one HTTP/2 connection with many unary calls under way.

It is written for little CPU time: prepared bytes, one write for all calls that are due together,
answers left as they came. It keeps to the server's windows and to its number of streams.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from benchmarks import wire


class Run(Protocol):
    """Who says what a connection sends, and is told what came of it."""

    blocks: tuple[bytes, bytes]

    def broken(self, error: Exception) -> None: ...

    def end(self, call: Call, now: float, trailers: bytes) -> None: ...

    def again(self, call: Call) -> None: ...

    def refill(self, connection: Connection) -> None: ...


class Call:
    """A call under way: when it was due (`started`), when it went, what was answered so far."""

    __slots__ = ("body", "request", "rest", "sent", "started", "window")

    def __init__(self, request: bytes, started: float) -> None:
        self.request = request
        self.started = started
        self.sent = time.monotonic()
        self.body = b""
        self.rest = b""
        self.window = 0


class Connection(asyncio.Protocol):
    """One HTTP/2 connection; what it sends next is the run's to say."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._first, self._again = run.blocks
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._window = self._stream_window = wire.FIRST_WINDOW
        self._limit = wire.HUGE
        self._buffer = b""
        self._out: list[bytes] = []
        self._large: dict[int, Call] = {}
        self.transport: Any = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def under_way(self) -> int:
        return len(self._calls)

    def has_room(self) -> bool:
        return len(self._calls) < self._limit and self._window > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(wire.hello())

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.broken(exc or ConnectionError("the server hung up"))

    def send(self, request: bytes, started: float) -> None:
        """Puts a call into what `flush` writes."""
        number = self._next
        self._next += 2
        stream = number.to_bytes(4, "big")
        call = self._calls[number] = Call(request, started)
        block, self._first = self._first, self._again
        size = len(request) + 5
        self._out += (len(block).to_bytes(3, "big"), b"\x01\x04", stream, block)
        if size <= wire.FRAME_BYTES and size <= self._window:
            self._window -= size
            self._out += (
                size.to_bytes(3, "big"), b"\x00\x01", stream,
                b"\x00", len(request).to_bytes(4, "big"), request,
            )  # fmt: skip
            return
        call.rest = b"\x00" + len(request).to_bytes(4, "big") + request
        call.window = self._stream_window
        self._large[number] = call
        self._push()

    def _push(self) -> None:
        """Goes on with requests that did not fit into one frame or into the windows."""
        for number, call in list(self._large.items()):
            while call.rest:
                size = min(wire.FRAME_BYTES, self._window, call.window, len(call.rest))
                if size <= 0:
                    break
                part, call.rest = call.rest[:size], call.rest[size:]
                self._window -= size
                call.window -= size
                last = 0 if call.rest else wire.END_STREAM
                self._out.append(wire.frame(wire.DATA, last, number, part))
            if not call.rest:
                del self._large[number]

    def flush(self) -> None:
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at, end = 0, len(buffer)
        calls, now = self._calls, time.monotonic()
        while end - at >= 9:
            size = buffer[at] << 16 | buffer[at + 1] << 8 | buffer[at + 2]
            beyond = at + 9 + size
            if end < beyond:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            if kind == wire.DATA:
                call = calls[stream]
                part = buffer[at + 9 : beyond]
                call.body = call.body + part if call.body else part
            elif kind == wire.HEADERS:
                if flags & wire.END_STREAM:
                    self._run.end(calls.pop(stream), now, buffer[at + 9 : beyond])
            else:
                self._control(kind, flags, stream, buffer[at + 9 : beyond], now)
            at = beyond
        self._buffer = buffer[at:]
        self._run.refill(self)
        self.flush()

    def _control(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> None:
        if kind == wire.WINDOW:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._window += more
            elif stream in self._large:
                self._large[stream].window += more
            if self._large:
                self._push()
        elif kind == wire.RST:
            self._large.pop(stream, None)
            if (call := self._calls.pop(stream, None)) is None:
                return
            if int.from_bytes(payload, "big") == wire.REFUSED_STREAM:
                # The server had not yet counted the end of another: nothing was done, send again.
                self._run.again(call)
            else:
                self._run.end(call, now, b"")
        elif kind == wire.PING and not flags & wire.ACK:
            self._out.append(wire.frame(wire.PING, wire.ACK, 0, payload))
        elif kind == wire.SETTINGS and not flags & wire.ACK:
            limit, window = wire.server_settings(payload)
            self._limit = limit if limit is not None else self._limit
            self._stream_window = window if window is not None else self._stream_window
            self._out.append(wire.frame(wire.SETTINGS, wire.ACK, 0, b""))
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == wire.GOAWAY:
            self._run.broken(ConnectionError("the server said goodbye"))
