"""Labels drawn on all cores, in processes: a QR code takes ten milliseconds of Python.

They start with the first work and stay. One that is killed is replaced, and what it had not
answered is drawn again: drawing changes nothing.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator, Sequence
from typing import cast

import structlog

from tracechain.adapters.child_process import ChildProcess
from tracechain.adapters.labels import child
from tracechain.adapters.labels.binding import bound
from tracechain.app.ports import DrawnLabels, FilePart
from tracechain.domain.errors import Unavailable
from tracechain.domain.label import Label, LabelFormat
from tracechain.domain.label_design import LabelPlan

_LOG = structlog.get_logger(__name__)
_TRIES = 3


class PooledLabels:
    """The LabelPress port."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._children: list[ChildProcess] = []
        self._starting = asyncio.Lock()
        self._joining = asyncio.Lock()

    async def draw(self, plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
        """See LabelPress. Raises Unavailable where no process lasts, RuntimeError for a defect."""
        request = pickle.dumps((plan, labels))
        for _ in range(_TRIES):
            try:
                answer = await (await self._free()).ask(request)
            except OSError as error:
                _LOG.error("label_process_died", error=type(error).__name__)
                self._children = [one for one in self._children if not one.is_dead]
                continue
            failed, result = pickle.loads(answer)
            if failed:
                raise RuntimeError(f"labels could not be drawn: {result}")
            return cast("list[FilePart]", result)
        raise Unavailable("LABELS_UNAVAILABLE", "the processes that draw labels do not last")

    def bind(
        self, plan: LabelPlan, drawn: AsyncGenerator[DrawnLabels, None]
    ) -> AsyncGenerator[DrawnLabels, None]:
        """See LabelPress. Raises Unavailable where there is no room for sheets."""
        return bound(drawn, self._joining) if plan.spec.format is LabelFormat.PDF else drawn

    async def _free(self) -> ChildProcess:
        async with self._starting:
            if len(self._children) < self._processes and all(c.waiting for c in self._children):
                # First the process, then the list: it may be another by then.
                started = await ChildProcess.start(child.__name__, b"")
                self._children.append(started)
        return min(self._children, key=lambda one: one.waiting)

    async def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        for one in self._children:
            await one.close()
        self._children.clear()
