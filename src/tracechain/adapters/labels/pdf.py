"""Labels as PDF, by reportlab.

It keeps every page until its file is saved, a hundred megabytes for ten thousand labels: so a file
has few pages, and files are joined (joining.py). Fonts: see pdf_text.py.

ISO 32000-1:2008: 12.2 (viewer preferences).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from segno.utils import matrix_to_lines  # type: ignore[attr-defined]  # its stubs leave it out

from tracechain.adapters.labels.binding import NAME
from tracechain.adapters.labels.symbol import qr_code
from tracechain.adapters.pdf_text import draw_text, set_up
from tracechain.app.ports import FilePart
from tracechain.domain.label import Label
from tracechain.domain.label_design import Design, LabelPlan, Line
from tracechain.domain.qr import QUIET_ZONE

_FRAME_POINTS = 0.4


def draw_pages(plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
    """The pages that the labels fill, as a PDF; the same bytes for the same labels."""
    layout, design = plan.layout, plan.design
    assert layout is not None
    assert design is not None
    set_up()
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
    draw_text(canvas, line.x * mm, -line.y * mm, line.text, line.fitted)
