"""QR codes by segno: as modules, and as SVG and PNG of the planned size with its quiet zone."""

from __future__ import annotations

import io

import segno

from tracechain.domain.qr import QUIET_ZONE, Symbol


def qr_code(uri: str, symbol: Symbol) -> segno.QRCode:
    """The code of the planned version and level; segno takes the mask of the lowest penalty
    (ISO/IEC 18004:2024, 7.8.3)."""
    return segno.make_qr(
        uri, version=symbol.version, error=symbol.level.value, mode="byte", boost_error=False
    )


def svg(uri: str, symbol: Symbol) -> bytes:
    """An SVG of the planned size in millimetres."""
    out = io.BytesIO()
    qr_code(uri, symbol).save(
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
    qr_code(uri, symbol).save(out, kind="png", scale=symbol.dots, dpi=symbol.dpi, border=QUIET_ZONE)
    return out.getvalue()
