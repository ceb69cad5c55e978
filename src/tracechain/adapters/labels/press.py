"""Labels drawn on all cores, in processes: a QR code takes ten milliseconds of Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import cast

from tracechain.adapters.labels import child
from tracechain.adapters.labels.binding import bound
from tracechain.adapters.process_pool import NoProcess, ProcessPool
from tracechain.app.ports import DrawnLabels, FilePart
from tracechain.domain.errors import Unavailable
from tracechain.domain.label import Label, LabelFormat
from tracechain.domain.label_design import LabelPlan


class PooledLabels:
    """The LabelPress port."""

    def __init__(self, processes: int) -> None:
        self._pool = ProcessPool(child.__name__, processes)
        self._joining = asyncio.Lock()

    async def draw(self, plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
        """See LabelPress. Raises Unavailable where no process lasts, RuntimeError for a defect."""
        try:
            return cast("list[FilePart]", await self._pool.run(plan, labels))
        except NoProcess:
            raise Unavailable(
                "LABELS_UNAVAILABLE", "the processes that draw labels do not last"
            ) from None

    def bind(
        self, plan: LabelPlan, drawn: AsyncGenerator[DrawnLabels, None]
    ) -> AsyncGenerator[DrawnLabels, None]:
        """See LabelPress. Raises Unavailable where there is no room for sheets."""
        return bound(drawn, self._joining) if plan.spec.format is LabelFormat.PDF else drawn

    async def close(self) -> None:
        """Ends the processes once what they have begun is done."""
        await self._pool.close()
