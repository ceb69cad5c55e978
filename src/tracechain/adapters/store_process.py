"""A store in a process of its own: the same port, with Python's lock left to the callers.

A statement in a thread gives the lock up and has to ask for it again, and an event loop that is
busy gives it away every few milliseconds only; in another process a commit costs the loop two
small messages. Each call runs there whole, also where its caller leaves. Where the process dies,
calls under way raise Unavailable (repeat them: writes are idempotent), and the next one starts
another. Messages are pickles between two of our own processes over a private socket pair.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import lru_cache
from typing import Any, cast

import structlog

from tracechain.adapters import store_child
from tracechain.adapters.child_process import ChildProcess
from tracechain.app.ports import ScanAnswer, Store
from tracechain.domain.errors import Unavailable
from tracechain.domain.party import Principal
from tracechain.domain.scan import Scan, ScanHistory, ScanSummary, Suspicion
from tracechain.domain.touch import Touch

_LOG = structlog.get_logger(__name__)
Open = Callable[[], Awaitable[Store]]


class StoreProcess:
    """See Store. `open_store` is what opens it there: a function of a module, or a partial."""

    def __init__(self, open_store: Open) -> None:
        self._greeting = pickle.dumps(open_store)
        self._process: ChildProcess | None = None
        self._starting = asyncio.Lock()

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._call(name, arguments, named)

        if name.startswith("_") or not hasattr(Store, name):
            raise AttributeError(name)
        setattr(self, name, call)
        return call

    def within(self, principal: Principal) -> Store:
        """See tracechain.app.ports.Tenants."""
        return cast("Store", _Within(self, principal))

    async def record_scans(self, scans: Sequence[Scan]) -> list[ScanAnswer]:
        """See ScanStore. Plain tuples travel: they are most of what a busy service stores."""
        rows = await self._call("record_scans", ([tuple(scan) for scan in scans],), {})
        return [
            ScanAnswer(
                ScanHistory(ScanSummary._make(before) if before else None, Suspicion(shown)),
                _touches(touches) if touches else (),
                claimed,
            )
            for before, shown, touches, claimed in rows
        ]

    async def _call(
        self,
        name: str,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        principal: Principal | None = None,
    ) -> Any:
        process = self._process
        if process is None or process.is_dead:
            process = await self._start()
        try:
            answer = await process.ask(pickle.dumps((name, arguments, named, principal)))
        except ConnectionError as error:
            _LOG.error("store_process_died", call=name)
            raise Unavailable("STORE_UNAVAILABLE", "the store's process has ended") from error
        failed, result = pickle.loads(answer)
        if failed:
            raise result
        return result

    async def _start(self) -> ChildProcess:
        async with self._starting:
            if self._process is None or self._process.is_dead:
                try:
                    self._process = await ChildProcess.start(store_child.__name__, self._greeting)
                except OSError as error:
                    raise Unavailable(
                        "STORE_UNAVAILABLE", "the store's process cannot be started"
                    ) from error
            return self._process

    async def close(self) -> None:
        """Ends the process once all that was asked is done and its store is closed."""
        if self._process is not None:
            await self._process.close()


class _Within:
    """The store as it acts for a principal."""

    def __init__(self, store: StoreProcess, principal: Principal) -> None:
        self._store = store
        self._principal = principal

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await self._store._call(name, arguments, named, self._principal)

        if name.startswith("_") or not hasattr(Store, name):
            raise AttributeError(name)
        return call


async def open_in_process(open_store: Open) -> Store:
    """Opens a store in a process of its own. Raises what `open_store` raises there."""
    store = StoreProcess(open_store)
    try:
        await store._call("ready", (), {})
    except BaseException:
        await store.close()
        raise
    return cast("Store", store)


@lru_cache(maxsize=1024)
def _touches(pickled: bytes) -> tuple[Touch, ...]:
    # Units of one pallet have the same touches, which are read once and are one object.
    return cast("tuple[Touch, ...]", pickle.loads(pickled))
