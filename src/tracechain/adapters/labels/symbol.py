"""QR codes by segno, in the version and at the level that a plan names.

The mask with the lowest penalty is chosen for each symbol, as ISO/IEC 18004:2024, 7.8.3 asks; that
takes most of the time that a label takes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import segno

from tracechain.domain.qr import MM_PER_INCH, QUIET_ZONE, Symbol

Rows = Sequence[bytes | bytearray]


def draw(uri: str, symbol: Symbol) -> segno.QRCode:
    """The QR code of a text that is planned to be that large."""
    return segno.make_qr(
        uri, version=symbol.version, error=symbol.level.value, mode="byte", boost_error=False
    )


def rows(uri: str, symbol: Symbol) -> Rows:
    """Its modules, row by row, 1 for a dark one; without the quiet zone."""
    return draw(uri, symbol).matrix


def svg(uri: str, symbol: Symbol) -> bytes:
    """An SVG of the planned size in millimetres, quiet zone included."""
    out = io.BytesIO()
    draw(uri, symbol).save(
        out, kind="svg", scale=round(symbol.module_mm, 4), unit="mm", border=QUIET_ZONE,
        light="#fff",
    )  # fmt: skip
    return out.getvalue()


def png(uri: str, symbol: Symbol) -> bytes:
    """A PNG of one bit a pixel that says its resolution, quiet zone included."""
    out = io.BytesIO()
    draw(uri, symbol).save(out, kind="png", scale=symbol.dots, dpi=symbol.dpi, border=QUIET_ZONE)
    return out.getvalue()


def points(millimetres: float) -> float:
    """Millimetres as points of 1/72 inch."""
    return millimetres * 72 / MM_PER_INCH
