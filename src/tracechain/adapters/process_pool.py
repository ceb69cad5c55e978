"""Pure work in processes of ours: what takes long in Python does not hold up the event loop.

They start with the first work and stay. One that is killed is replaced, and what it had not
answered is done again: the work changes nothing. Requests and answers are pickles between two of
our own processes over a private socket pair.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import structlog

from tracechain.adapters.child_process import ChildProcess, requests

_LOG = structlog.get_logger(__name__)
_TRIES = 3


class NoProcess(Exception):
    """Each process that was given the work died of it, or none could be started."""


class ProcessPool:
    """At most so many processes that run `python -m module`, whose main is `work_off`."""

    def __init__(self, module: str, processes: int) -> None:
        self._module = module
        self._processes = processes
        self._children: list[ChildProcess] = []
        self._starting = asyncio.Lock()

    async def run(self, *work: object) -> Any:
        """What the module makes of this work. Raises NoProcess, and RuntimeError for a defect."""
        request = pickle.dumps(work)
        for _ in range(_TRIES):
            try:
                answer = await (await self._free()).ask(request)
            except OSError as error:
                _LOG.error("process_died", module=self._module, error=type(error).__name__)
                self._children = [one for one in self._children if not one.is_dead]
                continue
            failed, result = pickle.loads(answer)
            if failed:
                raise RuntimeError(f"{self._module} failed: {result}")
            return result
        raise NoProcess

    async def _free(self) -> ChildProcess:
        async with self._starting:
            if len(self._children) < self._processes and all(c.waiting for c in self._children):
                # First the process, then the list: it may be another by then.
                started = await ChildProcess.start(self._module, b"")
                self._children.append(started)
        return min(self._children, key=lambda one: one.waiting)

    async def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        for one in self._children:
            await one.close()
        self._children.clear()


def work_off(do: Callable[..., object]) -> None:
    """In the child: does what is asked until its input ends."""
    asked = requests()
    next(asked)
    for request, answer in asked:
        try:
            done = do(*pickle.loads(request))
        except Exception as error:
            # A defect of ours: it is told once, and does not cost the process.
            answer(pickle.dumps((True, f"{type(error).__name__}: {error}")))
        else:
            answer(pickle.dumps((False, done)))
