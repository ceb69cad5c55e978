"""A gRPC load generator that is not the bottleneck, and that says so where it is.

Closed loop: a fixed number of calls is under way on each connection. Open loop: each call has a
time at which it is due, planned before the start, and its latency counts from then on: waiting
for a place, or for a generator that is late, is in it. Answers are kept as bytes and decoded after
the clock has stopped. `drive` runs it in this process or, with Generators, in others.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from types import MappingProxyType
from typing import Any

import uvloop

from benchmarks import processes, wire
from benchmarks.connection import Call, Connection
from benchmarks.timer import Timer

# A generator that is this much on the CPU, or this late (seconds, 99 of 100 calls), is the limit.
_BUSY = 0.9
_LATE = 0.005
# Connections opened for each that is kept, at most.
_TRIES = 50


@dataclass
class Result:
    """What a run gave. Of answered calls: answers, latencies and times of the end since the start
    (both in seconds) belong together, in the order in which the calls ended."""

    seconds: float = 0.0
    answers: list[bytes] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    # Latency from the moment at which the call went out: without waiting in the caller.
    served: list[float] = field(default_factory=list)
    failed: int = 0
    # Refused calls by (code, reason, whether it said when to come again).
    refused: Counter[tuple[int, str, bool]] = field(default_factory=Counter)
    refusal_latencies: list[float] = field(default_factory=list)
    gave_up: int = 0
    sent_again: int = 0
    late: list[float] = field(default_factory=list)
    generators: int = 1
    generator_cpu: float = 0.0
    server_cpu: float = 0.0
    # CPU seconds of the servers that the service uses, by name.
    beside_cpu: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0

    @property
    def rate(self) -> float:
        """Answered calls a second."""
        return len(self.answers) / self.seconds

    @property
    def client_saturated(self) -> bool:
        """Whether the generator, not the server, may have set the pace."""
        busy = self.generator_cpu >= _BUSY * self.generators * self.seconds
        return busy or (bool(self.late) and quantile(self.late, 0.99) > _LATE)

    def percentile(self, share: float) -> float:
        """Latency in seconds that `share` of the answered calls stay below."""
        return quantile(self.latencies, share)

    def absorb(self, other: Result) -> None:
        """Adds what another generator of the same run found."""
        self.seconds = max(self.seconds, other.seconds)
        for name in ("answers", "latencies", "ended", "served", "refusal_latencies", "late"):
            getattr(self, name).extend(getattr(other, name))
        self.failed += other.failed
        self.gave_up += other.gave_up
        self.sent_again += other.sent_again
        self.refused.update(other.refused)
        self.generator_cpu += other.generator_cpu


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values stay below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def arrivals(rate: float, seconds: float, seed: int = 1) -> list[float]:
    """When calls are due that come by chance, `rate` a second: the same for the same seed."""
    chance, at, plan = random.Random(seed), 0.0, []
    while (at := at + chance.expovariate(rate)) < seconds:
        plan.append(at)
    return plan


@dataclass(frozen=True)
class How:
    """How calls are sent. `width` calls are under way on each connection, and with a plan as many
    as the server takes; a call that waited `patience` seconds for a place is given up. With
    `holders` each of these processes of the server gets the same number of connections."""

    connections: int = 8
    width: int = 16
    metadata: Sequence[tuple[str, str]] = ()
    patience: float = math.inf
    holders: Sequence[int] = ()


class _Run:
    """One run of one generator."""

    def __init__(self, path: str, requests: Sequence[bytes], how: How) -> None:
        self.blocks = wire.header_blocks(path, how.metadata)
        self._how = how
        self._requests: Iterator[bytes] = iter(requests)
        self._again: deque[bytes] = deque()
        self._left = len(requests)
        self._started = 0.0
        # With a plan: calls that are due and wait for a place.
        self._waiting: deque[tuple[float, bytes]] | None = None
        self.result = Result()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def broken(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def end(self, call: Call, now: float, trailers: bytes) -> None:
        result = self.result
        if len(call.body) >= 5:
            result.answers.append(call.body[5:])
            result.latencies.append(now - call.started)
            result.served.append(now - call.sent)
            result.ended.append(now - self._started)
        else:
            code, reason, retry = wire.refusal(trailers)
            result.failed += 1
            result.refused[code, reason, retry is not None] += 1
            result.refusal_latencies.append(now - call.sent)
        self._settle(1)

    def again(self, call: Call) -> None:
        self.result.sent_again += 1
        if self._waiting is not None:
            self._waiting.appendleft((call.started, call.request))
        else:
            self._again.append(call.request)

    def _settle(self, count: int) -> None:
        self._left -= count
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def refill(self, connection: Connection) -> None:
        if not self._started:
            return
        if self._waiting is not None:
            while self._waiting and connection.has_room():
                due, request = self._waiting.popleft()
                connection.send(request, due)
            return
        now = time.monotonic()
        while connection.under_way < self._how.width and connection.has_room():
            request = self._again.popleft() if self._again else next(self._requests, None)
            if request is None:
                break
            connection.send(request, now)

    def begin(self, connections: Sequence[Connection]) -> None:
        self._started = time.monotonic()
        for connection in connections:
            self.refill(connection)
            connection.flush()

    async def follow(self, connections: Sequence[Connection], plan: Sequence[float]) -> None:
        """Sends what is due, on the connections in turn, until the plan is at its end."""
        waiting = self._waiting = deque()
        self._started = started = time.monotonic()
        late, patience = self.result.late, self._how.patience
        turn, place, count = 0, 0, len(plan)
        with Timer() as timer:
            while place < count and not self.done.done():
                now = time.monotonic() - started
                while place < count and plan[place] <= now:
                    waiting.append((started + plan[place], next(self._requests)))
                    late.append(now - plan[place])
                    place += 1
                while waiting and started + now - waiting[0][0] > patience:
                    waiting.popleft()
                    self.result.gave_up += 1
                    self._settle(1)
                full = 0
                while waiting and full < len(connections):
                    connection = connections[turn]
                    turn = (turn + 1) % len(connections)
                    if connection.has_room():
                        due, request = waiting.popleft()
                        connection.send(request, due)
                        full = 0
                    else:
                        full += 1
                for connection in connections:
                    connection.flush()
                if place < count:
                    await timer.until(started + plan[place])
        while waiting and not self.done.done() and math.isfinite(patience):
            await asyncio.sleep(0.01)
            while waiting and time.monotonic() - waiting[0][0] > patience:
                waiting.popleft()
                self.result.gave_up += 1
                self._settle(1)


async def run(
    port: int,
    path: str,
    requests: Sequence[bytes],
    *,
    plan: Sequence[float] | None = None,
    start_at: float = 0.0,
    **how: Any,
) -> Result:
    """Sends all requests (serialised messages) to one method and takes the answers.

    `plan` has the second at which each is due; without one calls follow each other. `how` are the
    fields of How. Raises ConnectionError where the server hangs up.
    """
    chosen = How(**how)
    running = _Run(path, requests, chosen)
    opened = await _open(port, running, chosen)
    await asyncio.gather(*(connection.ready for connection in opened))
    await asyncio.sleep(max(0.0, start_at - time.monotonic()))
    gc.collect()
    gc.disable()
    started, cpu = time.monotonic(), time.process_time()
    try:
        if not requests:
            running.done.set_result(None)
        elif plan is None:
            running.begin(opened)
        else:
            await running.follow(opened, plan)
        await running.done
    finally:
        gc.enable()
        running.result.seconds = time.monotonic() - started
        running.result.generator_cpu = time.process_time() - cpu
        for connection in opened:
            connection.transport.abort()
    return running.result


async def _open(port: int, running: _Run, how: How) -> list[Connection]:
    """The connections, evenly over the server's processes: the kernel deals by chance, so those
    that one process has too many of are closed again."""
    loop = asyncio.get_running_loop()
    kept: list[Connection] = []
    counts: Counter[int | None] = Counter()
    for _ in range(how.connections * _TRIES):
        if len(kept) == how.connections:
            return kept
        _, connection = await loop.create_connection(lambda: Connection(running), "127.0.0.1", port)
        await connection.ready
        if len(how.holders) > 1:
            own = connection.transport.get_extra_info("sockname")[1]
            who = processes.holder(port, own, how.holders)
            if counts[who] >= -(-how.connections // len(how.holders)):
                connection.connection_lost = lambda exc: None  # type: ignore[method-assign]
                connection.transport.abort()
                continue
            counts[who] += 1
        kept.append(connection)
    if len(kept) == how.connections:
        return kept
    raise RuntimeError(f"no even spread of connections: {dict(counts)}")


def _run_here(*arguments: Any, **how: Any) -> Result:
    return uvloop.run(run(*arguments, **how))


class Generators:
    """Processes that generate load together, begun by `with`."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Generators:
        self._pool = ProcessPoolExecutor(self.count, get_context("spawn"))
        for job in [self._pool.submit(time.sleep, 0.5) for _ in range(self.count)]:
            job.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(
        self,
        port: int,
        path: str,
        requests: Sequence[bytes],
        *,
        plan: Sequence[float] | None = None,
        **how: Any,
    ) -> Result:
        """As the function `run`, each of the processes with its share and its own connections."""
        start_at = time.monotonic() + 0.5
        jobs = [
            self._pool.submit(
                _run_here,
                port,
                path,
                requests[i :: self.count],
                plan=None if plan is None else plan[i :: self.count],
                start_at=start_at,
                **how,
            )
            for i in range(self.count)
        ]
        whole = Result(generators=self.count)
        for job in jobs:
            whole.absorb(job.result())
        return whole


def drive(
    port: int,
    path: str,
    requests: Sequence[bytes],
    *,
    server: Sequence[int] = (),
    beside: Mapping[str, int] = MappingProxyType({}),
    generators: Generators | None = None,
    **how: Any,
) -> Result:
    """One run, from this process or from generators; with `server` and `beside` also what it cost
    the service's processes and the servers that those use."""
    cpu, idle = processes.cpu_seconds(server), processes.machine_idle_seconds()
    others = {name: processes.cpu_seconds([pid]) for name, pid in beside.items()}
    chosen = generators.run if generators is not None else _run_here
    result = chosen(port, path, requests, holders=tuple(server), **how)
    result.server_cpu = processes.cpu_seconds(server) - cpu
    result.idle = processes.machine_idle_seconds() - idle
    result.beside_cpu = {
        name: processes.cpu_seconds([pid]) - others[name] for name, pid in beside.items()
    }
    return result
