"""What an export needs from outside, beside the store."""

from __future__ import annotations

from typing import Protocol

from tracechain.domain.evidence.report import Report


class ReportPress(Protocol):
    """Draws the readable part of a bundle, beside the event loop."""

    async def draw_report(self, report: Report) -> bytes:
        """A PDF. Raises Unavailable REPORT_UNAVAILABLE."""


class TimeStamps(Protocol):
    """A time stamping authority (RFC 3161)."""

    async def stamp(self, data: bytes) -> bytes:
        """A time stamp over the SHA-256 of data, as it came (TimeStampResp, DER), once it was
        seen to be over that. Raises Unavailable TSA_UNAVAILABLE."""
