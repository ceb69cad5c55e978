"""Labels as PDF, by reportlab.

It keeps every page until its file is saved, a hundred megabytes for ten thousand labels: so a file
has few pages, and files are joined (joining.py). Fonts are not embedded: Helvetica is one of the
fourteen that every reader has; STSong-Light is the standard name that readers on systems with a
Chinese font replace by theirs (without one, Chinese is blank; the QR code and all that is Latin
are not touched by that).

ISO 32000-1:2008: 9.6.2.2 and 9.7.5.2 (fonts and CMaps), 12.2 (viewer preferences).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from itertools import groupby

from reportlab import rl_config
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from segno.utils import matrix_to_lines  # type: ignore[attr-defined]  # its stubs leave it out

from tracechain.adapters.labels.binding import NAME
from tracechain.adapters.labels.symbol import qr_code
from tracechain.app.ports import FilePart
from tracechain.domain.label import Label
from tracechain.domain.label_design import Design, LabelPlan, Line
from tracechain.domain.qr import QUIET_ZONE

_CHINESE = "STSong-Light"
# What Helvetica has in WinAnsiEncoding.
_LATIN = frozenset(bytes(range(0x20, 0x100)).decode("cp1252", "ignore")) - {"\xa0", "\xad", "\x7f"}
_FRAME_POINTS = 0.4


def draw_pages(plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
    """The pages that the labels fill, as a PDF; the same bytes for the same labels."""
    layout, design = plan.layout, plan.design
    assert layout is not None
    assert design is not None
    _set_up()
    out = io.BytesIO()
    canvas = Canvas(
        out,
        pagesize=(layout.page_width * mm, layout.page_height * mm),
        pageCompression=1,
        invariant=1,
        pdfVersion=(1, 5),
        lang="zh-CN",
    )
    # A printing dialogue that shrinks to fit would move every label off its sticker.
    canvas.setViewerPreference("PrintScaling", "None")
    for start in range(0, len(labels), layout.per_page):
        for number, label in enumerate(labels[start : start + layout.per_page]):
            x, y = layout.place(number)
            canvas.saveState()
            canvas.translate(x * mm, (layout.page_height - y) * mm)
            _draw_label(canvas, plan, design, label)
            canvas.restoreState()
        canvas.showPage()
    canvas.save()
    return [FilePart(NAME, out.getvalue())]


@cache
def _set_up() -> None:
    font = UnicodeCIDFont(_CHINESE)
    # reportlab's choice, UniGB-UCS2-H, ends with the 65,536th character.
    font.encodingName = "UniGB-UTF16-H"
    pdfmetrics.registerFont(font)
    # Else streams are made printable, by a quarter larger.
    rl_config.useA85 = 0


def _draw_label(canvas: Canvas, plan: LabelPlan, design: Design, label: Label) -> None:
    """One label; the origin is its upper left corner, y goes up."""
    symbol = plan.symbol
    module = symbol.module_mm * mm
    canvas.saveState()
    # In modules, downwards. One path: pieces that touch leave no hairline between them.
    canvas.translate(
        design.qr_x * mm + QUIET_ZONE * module, -design.qr_y * mm - QUIET_ZONE * module
    )
    canvas.scale(module, -module)
    path = canvas.beginPath()
    for (left, y), (right, _) in matrix_to_lines(qr_code(label.uri, symbol).matrix, 0, 0):
        path.rect(left, y, right - left, 1)
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.restoreState()
    if design.panel is not None:
        panel = design.panel
        canvas.setLineWidth(_FRAME_POINTS)
        canvas.rect(
            panel.x * mm, -(panel.y + panel.height) * mm, panel.width * mm, panel.height * mm
        )
    for line in design.lines(label):
        _draw_line(canvas, line)


def _draw_line(canvas: Canvas, line: Line) -> None:
    text = canvas.beginText(line.x * mm, -line.y * mm)
    for is_latin, run in groupby(line.text, _LATIN.__contains__):
        text.setFont("Helvetica" if is_latin else _CHINESE, line.fitted)
        text.textOut("".join(run))
    canvas.drawText(text)
