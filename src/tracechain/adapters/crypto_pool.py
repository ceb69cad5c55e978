"""Processes that do an issuer's arithmetic: what would else hold Python's lock from the scans.

They start with the first work and stay. A job is JSON to a process, its result JSON back: the event
loop reads and writes sockets, and no thread of ours asks it for the lock. A process opens the
vault and unwraps issuers' keys itself; keys in the clear travel nowhere. One that is
killed is replaced.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import structlog

from tracechain.adapters import crypto_child
from tracechain.adapters.child_process import ChildProcess
from tracechain.adapters.keys import Vault
from tracechain.domain.keys import IssuerKey

_LOG = structlog.get_logger(__name__)


class CryptoPool:
    """Sends jobs of `crypto_child` to processes, each to the one with the least to do."""

    def __init__(self, vault: Vault, processes: int) -> None:
        self._vault = vault
        self.processes = processes
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
            self._children = [c for c in self._children if not c.process.is_dead]
            return None
        return result

    async def _free(self) -> _Child:
        if not self._children or (
            len(self._children) < self.processes and all(c.process.waiting for c in self._children)
        ):
            async with self._starting:
                if len(self._children) < self.processes:
                    process = await ChildProcess.start(
                        crypto_child.__name__, self._vault.greeting()
                    )
                    self._children.append(_Child(process))
        return min(self._children, key=lambda child: child.process.waiting)

    async def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        for child in self._children:
            await child.process.close()
        self._children.clear()


class _Child:
    """One process; it answers in the order in which it was asked."""

    def __init__(self, process: ChildProcess) -> None:
        self.process = process
        self._known: set[IssuerKey] = set()

    async def run(self, job: str, keys: Iterable[IssuerKey], arguments: dict[str, object]) -> Any:
        """Raises ConnectionError where the process ended before it answered."""
        new = [key for key in keys if key not in self._known]
        self._known.update(new)
        request = [job, [crypto_child.key_to_json(key) for key in new], arguments]
        return json.loads(await self.process.ask(json.dumps(request).encode()))
