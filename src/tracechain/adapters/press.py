"""Codes made on all cores.

Processes, not threads: a signature takes 40 microseconds without Python's lock and one with it,
and threads that ask for the lock after every signature spend their time waiting for it. A process
also leaves the event loop's lock to the scans. Small runs stay on a thread of this process, so a
service that never issues much never starts a second one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait

import structlog

from tracechain.adapters.keys import AesGcmVault, MasterKey
from tracechain.app.keyring import WorkingKey, unwrapped
from tracechain.domain.code import CodeKey
from tracechain.domain.code_run import CodeRun, IssuedCodes, make_codes
from tracechain.domain.keys import IssuerKey

# Runs shorter than this are not worth the way to another process.
SMALL = 1000
_LOG = structlog.get_logger(__name__)


class Press:
    """The CodePress port. Its processes start with the first large run and stay."""

    def __init__(self, master: MasterKey, processes: int) -> None:
        self._master = master
        self._processes = processes
        self._thread = ThreadPoolExecutor(1, "press")
        self._pool: ProcessPoolExecutor | None = None

    async def make(self, key: WorkingKey, run: CodeRun) -> IssuedCodes:
        """See CodePress."""
        loop = asyncio.get_running_loop()
        if run.count >= SMALL:
            pool = self._running()
            try:
                return await loop.run_in_executor(pool, _make, key.record, run)
            except BrokenProcessPool:
                # One was killed. The codes are the same wherever they are made.
                _LOG.error("press_broken", key_id=key.record.key_id)
                if self._pool is pool:
                    self._pool = None
                    pool.shutdown(wait=False)
        return await loop.run_in_executor(self._thread, make_codes, key.secret, run)

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes, get_context("spawn"), _enter, (self._master,)
            )
        return self._pool

    def close(self) -> None:
        """Ends the processes and the thread once what they have begun is done."""
        executors: list[Executor] = [self._thread]
        if self._pool is not None:
            executors.append(self._pool)
        for executor in executors:
            executor.shutdown(cancel_futures=True)


_vault: AesGcmVault | None = None


def _enter(master: MasterKey) -> None:
    """The first thing that a process of the press does."""
    global _vault
    _vault = AesGcmVault(master)
    # Ctrl-C in a terminal reaches everybody; the service decides when its press ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that was killed cannot say goodbye.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _make(record: IssuerKey, run: CodeRun) -> IssuedCodes:
    return make_codes(_key(record), run)


@lru_cache(maxsize=256)
def _key(record: IssuerKey) -> CodeKey:
    assert _vault is not None
    return unwrapped(record, _vault)
