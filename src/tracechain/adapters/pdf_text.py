"""Text of two scripts in PDFs by reportlab.

Fonts are not embedded: Helvetica is one of the fourteen that every reader has; STSong-Light is the
standard name that readers on systems with a Chinese font replace by theirs (without one, Chinese is
blank; what is Latin, and every drawing, is not touched by that).

ISO 32000-1:2008: 9.6.2.2 and 9.7.5.2 (fonts and CMaps).
"""

from __future__ import annotations

from functools import cache
from itertools import groupby

from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

_CHINESE = "STSong-Light"
# What Helvetica has in WinAnsiEncoding.
_LATIN = frozenset(bytes(range(0x20, 0x100)).decode("cp1252", "ignore")) - {"\xa0", "\xad", "\x7f"}


@cache
def set_up() -> None:
    """Once, before the first canvas."""
    font = UnicodeCIDFont(_CHINESE)
    # reportlab's choice, UniGB-UCS2-H, ends with the 65,536th character.
    font.encodingName = "UniGB-UTF16-H"
    pdfmetrics.registerFont(font)
    # Else streams are made printable, by a quarter larger.
    rl_config.useA85 = 0


def draw_text(canvas: Canvas, x: float, y: float, line: str, size: float) -> None:
    """One line with its baseline there, in points."""
    text = canvas.beginText(x, y)
    for font, run in _runs(line):
        text.setFont(font, size)
        text.textOut(run)
    canvas.drawText(text)


def wrapped(text: str, size: float, width: float) -> list[str]:
    """The lines that a text takes in this width, broken anywhere: Chinese has no blanks, and an
    identifier none either."""
    lines, line, taken = [], "", 0.0
    for font, run in _runs(text):
        for character in run:
            step = pdfmetrics.stringWidth(character, font, size)
            if line and taken + step > width:
                lines.append(line)
                line, taken = "", 0.0
            line, taken = line + character, taken + step
    return [*lines, line]


def _runs(text: str) -> list[tuple[str, str]]:
    return [
        ("Helvetica" if is_latin else _CHINESE, "".join(run))
        for is_latin, run in groupby(text, _LATIN.__contains__)
    ]
