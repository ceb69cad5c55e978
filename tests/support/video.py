"""A film of QR codes for a camera that is not there: what Chromium's fake device plays.

YUV4MPEG2 (mjpegtools' yuv4mpeg(5)): a head, then raw frames, luma first, and two planes of colour
that stay grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import segno

WIDTH, HEIGHT = 640, 480
_PAPER, _INK, _GREY = 235, 16, 128
_QUIET = 4


def picture(text: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """The luma of a QR code in the middle of a white sheet, a byte a pixel."""
    code = segno.make_qr(text, error="m")
    matrix = [bytes(row) for row in code.matrix]
    module = min(width, height) // (len(matrix) + 2 * _QUIET)
    side = module * len(matrix)
    left, top = (width - side) // 2, (height - side) // 2
    blank = bytes([_PAPER]) * width
    lines = []
    for row in matrix:
        dots = b"".join(bytes([_INK if dark else _PAPER]) * module for dark in row)
        line = bytes([_PAPER]) * left + dots
        lines += [line + bytes([_PAPER]) * (width - len(line))] * module
    return b"".join([blank] * top + lines + [blank] * (height - top - side))


def write_film(path: Path, scenes: Sequence[tuple[str, int]], per_second: int = 5) -> None:
    """Films each text for so many frames; Chromium plays it over and over."""
    colour = bytes([_GREY]) * (WIDTH * HEIGHT // 2)
    with path.open("wb") as film:
        film.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{per_second}:1 Ip A1:1 C420jpeg\n".encode())
        for text, frames in scenes:
            frame = b"FRAME\n" + picture(text) + colour
            film.write(frame * frames)
