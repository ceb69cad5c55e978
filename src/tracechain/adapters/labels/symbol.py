"""QR codes as files: SVG and PNG by segno, each of the planned size and with its quiet zone."""

from __future__ import annotations

import io

from tracechain.adapters.labels.masking import masked
from tracechain.domain.qr import QUIET_ZONE, Symbol


def svg(uri: str, symbol: Symbol) -> bytes:
    """An SVG of the planned size in millimetres."""
    out = io.BytesIO()
    masked(uri, symbol).save(
        out,
        kind="svg",
        scale=round(symbol.module_mm, 4),
        unit="mm",
        border=QUIET_ZONE,
        light="#fff",
    )
    return out.getvalue()


def png(uri: str, symbol: Symbol) -> bytes:
    """A PNG of one bit a pixel that says its resolution."""
    out = io.BytesIO()
    masked(uri, symbol).save(out, kind="png", scale=symbol.dots, dpi=symbol.dpi, border=QUIET_ZONE)
    return out.getvalue()
