"""What the store's process runs: `python -m tracechain.adapters.store_child`.

First comes what opens the store, then requests (method, arguments, and for whom), answered side by
side as (failed, result or error). A store that cannot be opened answers every request with the
reason.
"""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

import uvloop

from tracechain.adapters import child_process
from tracechain.app.ports import ScanAnswer, Store
from tracechain.domain.errors import TracechainError
from tracechain.domain.scan import Scan
from tracechain.domain.touch import Touch

Handle = Callable[[bytes], Awaitable[bytes]]


class _Opened:
    """Answers requests from a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def handle(self, request: bytes) -> bytes:
        method, arguments, named, principal = pickle.loads(request)
        store = self.store if principal is None else self.store.within(principal)
        try:
            if method == "record_scans":
                scans = [Scan(*row) for row in arguments[0]]
                result: Any = _rows(await self.store.record_scans(scans))
            elif method == "ready":
                result = None
            else:
                result = await getattr(store, method)(*arguments, **named)
        except Exception as error:
            return _failure(error)
        return pickle.dumps((False, result))


def _rows(answers: Sequence[ScanAnswer]) -> list[tuple[Any, ...]]:
    return [
        (
            tuple(history.before) if history.before else None,
            int(history.suspicion),
            _pickled(touches) if touches else b"",
            claimed,
        )
        for history, touches, claimed in answers
    ]


@lru_cache(maxsize=1024)
def _pickled(touches: tuple[Touch, ...]) -> bytes:
    return pickle.dumps(touches)


def _failure(error: Exception) -> bytes:
    try:
        return pickle.dumps((True, error))
    except Exception:
        return pickle.dumps((True, RuntimeError(f"{type(error).__name__}: {error}")))


async def main() -> None:
    """Works until its parent has gone and all that it asked is done."""
    opened: list[_Opened] = []

    async def open_with(greeting: bytes) -> Handle:
        try:
            opened.append(_Opened(await pickle.loads(greeting)()))
        except TracechainError as error:
            answer = _failure(error)

            async def refuse(request: bytes) -> bytes:
                return answer

            return refuse
        return opened[0].handle

    await child_process.serve(open_with)
    for one in opened:
        await one.store.close()


if __name__ == "__main__":
    uvloop.run(main())
