"""A gRPC load generator that is not the bottleneck: unary calls as prepared HTTP/2 frames.

It speaks just enough of RFC 9113 to keep a fixed number of calls under way on a few connections
and to take the answers. Headers are constant bytes (HPACK literals, nothing indexed); answers are
kept as bytes and are decoded after the clock has stopped. Loopback only.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 0x1, 0x4, 0x1
_HUGE = (1 << 31) - 1


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    def text(raw: bytes) -> bytes:
        if len(raw) < 127:
            return bytes([len(raw)]) + raw
        rest = len(raw) - 127
        out = b"\x7f"
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest]) + raw

    return b"\x00" + text(name) + text(value)


def header_block(path: str, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """The HPACK block of a unary gRPC call."""
    block = b"\x83\x86" + _literal(b":path", path.encode()) + _literal(b":authority", b"localhost")
    block += _literal(b"te", b"trailers") + _literal(b"content-type", b"application/grpc")
    for key, value in metadata:
        block += _literal(key.encode(), value.encode())
    return block


@dataclass
class Result:
    """What a run gave: answers in the order in which they ended, and how long each took."""

    seconds: float
    answers: list[bytes]
    latencies: list[float]
    failed: int

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.answers) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in seconds that `share` of the calls stay below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class _Stream:
    started: float
    body: bytearray = field(default_factory=bytearray)


class _Connection(asyncio.Protocol):
    """One HTTP/2 connection that keeps `width` calls under way while there are requests."""

    def __init__(self, block: bytes, requests: Sequence[bytes], width: int, result: Result) -> None:
        self._block = block
        self._requests = iter(requests)
        self._width = width
        self._result = result
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self._window = 65_535
        self._buffer = b""
        self._waiting: bytes | None = None
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = struct.pack(">HI", 4, _HUGE)
        transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, settings))
        transport.write(_frame(_WINDOW, 0, 0, struct.pack(">I", _HUGE - 65_535)))
        self._fill()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server hung up"))

    def _fill(self) -> None:
        out = []
        while len(self._streams) < self._width:
            request = self._waiting if self._waiting is not None else next(self._requests, None)
            self._waiting = None
            if request is None:
                if not self._streams and not self.done.done():
                    self.done.set_result(None)
                break
            message = b"\x00" + struct.pack(">I", len(request)) + request
            if len(message) > self._window:
                self._waiting = request
                break
            self._window -= len(message)
            stream = self._next
            self._next += 2
            self._streams[stream] = _Stream(time.perf_counter())
            out.append(_frame(_HEADERS, _END_HEADERS, stream, self._block))
            out.append(_frame(_DATA, _END_STREAM, stream, message))
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        at, end = 0, len(buffer)
        replies = b""
        while end - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if end - at < 9 + size:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            payload = buffer[at + 9 : at + 9 + size]
            at += 9 + size
            if kind == _DATA:
                self._streams[stream].body += payload
            elif (kind == _HEADERS and flags & _END_STREAM) or kind == _RST:
                self._finish(stream)
            elif kind == _WINDOW and stream == 0:
                self._window += int.from_bytes(payload, "big")
            elif kind == _PING and not flags & _ACK:
                replies += _frame(_PING, _ACK, 0, payload)
            elif kind == _SETTINGS and not flags & _ACK:
                replies += _frame(_SETTINGS, _ACK, 0, b"")
            elif kind == _GOAWAY:
                self.done.set_exception(ConnectionError("the server said goodbye"))
        self._buffer = buffer[at:]
        if replies and self._transport is not None:
            self._transport.write(replies)
        self._fill()

    def _finish(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        if len(stream.body) >= 5:
            self._result.answers.append(bytes(stream.body[5:]))
            self._result.latencies.append(time.perf_counter() - stream.started)
        else:
            self._result.failed += 1


async def run(
    port: int,
    path: str,
    requests: Sequence[bytes],
    *,
    connections: int = 4,
    width: int = 32,
    metadata: Sequence[tuple[str, str]] = (),
) -> Result:
    """Sends all requests (serialised messages) to one method and takes the answers."""
    result = Result(0.0, [], [], 0)
    block = header_block(path, metadata)
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    opened = []
    for i in range(connections):
        part = requests[i::connections]
        _, connection = await loop.create_connection(
            lambda part=part: _Connection(block, part, width, result), "127.0.0.1", port
        )
        opened.append(connection)
    await asyncio.gather(*(connection.done for connection in opened))
    result.seconds = time.perf_counter() - started
    for connection in opened:
        if connection._transport is not None:
            connection._transport.close()
    return result
