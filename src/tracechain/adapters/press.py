"""Codes made on all cores.

Processes, not threads: a signature takes 40 microseconds without Python's lock and one with it,
and threads that ask for the lock after every signature spend their time waiting for it. Small
runs stay on a thread of this process, so a service that never issues much never starts a second.
"""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor

from tracechain.adapters.crypto_pool import CryptoPool
from tracechain.adapters.keys import Vault
from tracechain.app.working_key import WorkingKey
from tracechain.domain.code_run import CodeRun, IssuedCodes, make_codes

# Runs shorter than this are not worth the way to another process.
SMALL = 1000


class Press:
    """The CodePress port."""

    def __init__(self, vault: Vault, processes: int) -> None:
        self._pool = CryptoPool(vault, processes)
        self._thread = ThreadPoolExecutor(1, "press")

    async def make(self, key: WorkingKey, run: CodeRun) -> IssuedCodes:
        """See CodePress."""
        if run.count >= SMALL:
            made = await self._pool.run(
                "codes", [key.record], key_id=key.record.key_id, run=dataclasses.astuple(run)
            )
            if made is not None:
                return IssuedCodes(run.first, *made)
        # The codes are the same wherever they are made.
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, make_codes, key.secret, run)

    async def close(self) -> None:
        """Ends the processes and the thread once what they have begun is done."""
        self._thread.shutdown(cancel_futures=True)
        await self._pool.close()
