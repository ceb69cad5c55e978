"""Processes that do an issuer's arithmetic: what would else hold Python's lock from the scans.

They start with the first work and stay. A process of a pool knows the key-encryption key and
unwraps issuers' keys itself; keys in the clear travel nowhere. One that is killed is replaced.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

import structlog

from tracechain.adapters.keys import AesGcmVault, MasterKey
from tracechain.app.keyring import WorkingKey, working
from tracechain.domain.keys import IssuerKey

T = TypeVar("T")
_LOG = structlog.get_logger(__name__)


class CryptoPool:
    """Runs functions of a module in processes that have issuers' keys at hand."""

    def __init__(self, master: MasterKey, processes: int) -> None:
        self._master = master
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, function: Callable[..., T], *arguments: object) -> T | None:
        """What `function` returns; None where its process was killed, or could not be started:
        do it elsewhere."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._processes, get_context("spawn"), _enter, (self._master,)
            )
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except (BrokenProcessPool, OSError) as error:
            _LOG.error("crypto_process_died", work=function.__name__, error=type(error).__name__)
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
            return None

    def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_vault: AesGcmVault | None = None


def _enter(master: MasterKey) -> None:
    """The first thing that a process of a pool does."""
    global _vault
    _vault = AesGcmVault(master)
    # Ctrl-C in a terminal reaches everybody; the service decides when its processes end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A parent that was killed cannot say goodbye.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@lru_cache(maxsize=1024)
def key_here(record: IssuerKey) -> WorkingKey:
    """The working form of a key, for functions that run in a process of a pool."""
    assert _vault is not None
    return working(record, _vault)
