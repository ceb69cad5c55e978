"""Reports drawn in a process: a long story takes reportlab seconds."""

from __future__ import annotations

from typing import cast

from tracechain.adapters.evidence import child
from tracechain.adapters.process_pool import NoProcess, ProcessPool
from tracechain.domain.errors import Unavailable
from tracechain.domain.evidence.report import Report


class ReportProcess:
    """The ReportPress port."""

    def __init__(self) -> None:
        self._pool = ProcessPool(child.__name__, 1)

    async def draw_report(self, report: Report) -> bytes:
        """See ReportPress. Raises RuntimeError for a defect as well."""
        try:
            return cast("bytes", await self._pool.run(report))
        except NoProcess:
            raise Unavailable(
                "REPORT_UNAVAILABLE", "the process that draws reports does not last"
            ) from None

    async def close(self) -> None:
        """Ends the process once what it has begun is done."""
        await self._pool.close()
