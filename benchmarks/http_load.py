"""An HTTP/1.1 load generator in this process: requests as bytes, a fixed number under way.

Each connection keeps alive and has one request under way, as a browser's does. An answer is found
by its content-length and kept as bytes; it is looked at after the clock has stopped. What the
generator costs is measured beside, and said where it set the pace.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from benchmarks import processes

# A generator that is this much on the CPU sets the pace.
_BUSY = 0.9
_LENGTH = b"content-length: "


@dataclass
class Answers:
    """What a run gave: whole answers in the order in which they came, with their latencies."""

    seconds: float = 0.0
    answers: list[bytes] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    generator_cpu: float = 0.0
    server_cpu: float = 0.0
    own_cpu: float = 0.0
    idle: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answers) / self.seconds

    @property
    def client_saturated(self) -> bool:
        """Whether the generator, not the server, may have set the pace."""
        return self.generator_cpu >= _BUSY * self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], found: Answers, done: asyncio.Future[None]):
        self._requests = requests
        self._found = found
        self._done = done
        self._parts: list[bytes] = []
        self._wanted = 0
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """The next request; where there is none left, this connection is done."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._parts, self._wanted = [], 0
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        if not self._wanted:
            whole = b"".join(self._parts)
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                return
            at = whole.index(_LENGTH) + len(_LENGTH)
            self._wanted = end + 4 + int(whole[at : whole.index(b"\r", at)])
            self._parts = [whole]
        if sum(map(len, self._parts)) >= self._wanted:
            self._found.answers.append(b"".join(self._parts))
            self._found.latencies.append(time.perf_counter() - self._sent)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def drive(
    port: int, requests: Sequence[bytes], *, server: Sequence[int], connections: int = 256
) -> Answers:
    """Sends all requests, so many at a time, and gives the answers. Raises RuntimeError where a
    connection ended before its time."""
    return uvloop.run(_drive(port, requests, server, connections))


async def _drive(
    port: int, requests: Sequence[bytes], server: Sequence[int], connections: int
) -> Answers:
    loop = asyncio.get_running_loop()
    found, left = Answers(), iter(requests)
    ends = [loop.create_future() for _ in range(connections)]
    opened = [
        (await loop.create_connection(lambda end=end: _Connection(left, found, end),  # type: ignore[misc]
                                      "127.0.0.1", port))[1]
        for end in ends
    ]  # fmt: skip
    gc.collect()
    gc.freeze()
    cpu, idle = processes.cpu_seconds(server), processes.machine_idle_seconds()
    own_server = sum(map(processes.own_cpu_seconds, server))
    own, start = time.process_time(), time.perf_counter()
    for connection in opened:
        connection.send()
    await asyncio.gather(*ends)
    found.seconds = time.perf_counter() - start
    found.generator_cpu = time.process_time() - own
    found.server_cpu = processes.cpu_seconds(server) - cpu
    found.own_cpu = sum(map(processes.own_cpu_seconds, server)) - own_server
    found.idle = processes.machine_idle_seconds() - idle
    gc.unfreeze()
    if len(found.answers) != len(requests):
        raise RuntimeError(f"{len(found.answers)} of {len(requests)} requests were answered")
    return found
