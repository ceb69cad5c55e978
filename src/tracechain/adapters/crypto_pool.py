"""Processes that do an issuer's arithmetic: what would else hold Python's lock from the scans.

They start with the first work and stay. A job is a line of JSON to a process's standard input, its
result a line back: the event loop reads and writes pipes as it does sockets, and no thread of ours
asks it for the lock. A process knows the key-encryption key and unwraps issuers' keys itself; keys
in the clear travel nowhere. It ends when its input does, so none outlives a service that was
killed; one that is killed itself is replaced.
"""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

import structlog

from tracechain.adapters import crypto_child
from tracechain.adapters.keys import MasterKey
from tracechain.domain.keys import IssuerKey

_LOG = structlog.get_logger(__name__)
_LONGEST_LINE = 64 * 1024 * 1024


class CryptoPool:
    """Sends jobs of `crypto_child` to processes, each to the one with the least to do."""

    def __init__(self, master: MasterKey, processes: int) -> None:
        self._master = master
        self._processes = processes
        self._children: list[_Child] = []
        self._starting = asyncio.Lock()

    async def run(self, job: str, keys: Iterable[IssuerKey], **arguments: object) -> Any:
        """What a job returns; None where its process was killed, or could not be started: do it
        elsewhere."""
        try:
            child = await self._free()
            result = await child.run(job, keys, arguments)
        except OSError as error:
            _LOG.error("crypto_process_died", job=job, error=type(error).__name__)
            self._children = [child for child in self._children if not child.is_dead]
            return None
        return result

    async def _free(self) -> _Child:
        if not self._children or (
            len(self._children) < self._processes and all(c.waiting for c in self._children)
        ):
            async with self._starting:
                if len(self._children) < self._processes:
                    self._children.append(await _Child.start(self._master))
        return min(self._children, key=lambda child: len(child.waiting))

    async def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        for child in self._children:
            await child.close()
        self._children.clear()


class _Child:
    """One process; it answers in the order in which it was asked."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        to: asyncio.WriteTransport,
        answers: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._to, self._answers = to, answers
        self._known: set[IssuerKey] = set()
        self.waiting: deque[asyncio.Future[Any]] = deque()
        self.is_dead = False
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, master: MasterKey) -> _Child:
        # Not the loop's own way to start a process: uvloop forks, and gRPC's threads do not
        # survive a fork. This one goes by vfork.
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", crypto_child.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        loop = asyncio.get_running_loop()
        answers = asyncio.StreamReader(limit=_LONGEST_LINE)
        to, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), process.stdout)
        to.write(base64.b64encode(master.secret) + b"\n")
        return cls(process, to, answers)

    async def run(self, job: str, keys: Iterable[IssuerKey], arguments: dict[str, object]) -> Any:
        """Raises ConnectionError where the process ended before it answered."""
        if self.is_dead:
            raise BrokenPipeError
        new = [key for key in keys if key not in self._known]
        self._known.update(new)
        line = json.dumps([job, [crypto_child.key_to_json(key) for key in new], arguments])
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        self._to.write(line.encode() + b"\n")
        return await answer

    async def _read(self) -> None:
        try:
            while line := await self._answers.readline():
                answer = self.waiting.popleft()
                if not answer.done():
                    answer.set_result(json.loads(line))
        finally:
            self.is_dead = True
            self._process.poll()
            for answer in self.waiting:
                if not answer.done():
                    answer.set_exception(ConnectionResetError())
                    answer.exception()

    async def close(self) -> None:
        self._to.close()
        await self._reader
        await asyncio.to_thread(self._process.wait)
