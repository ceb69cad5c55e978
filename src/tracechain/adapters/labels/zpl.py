"""Labels as ZPL II for label printers.

The QR code is sent as a picture (^GFA), dot by dot, and not as ^BQ: with ^BQ each firmware chooses
version, mask and place for itself (^BQ has no parameter for the version, and is moved by ^BY), so
what is printed would not be what was planned and tested. Rows that are like the one before are one
character (`:`), so a picture is no larger than its modules.

Zebra, ZPL II Programming Guide: ^GF (and its compression), ^FT, ^A0, ^A@, ^CI28, ^FH, ^PW, ^LL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracechain.adapters.labels.symbol import qr_code
from tracechain.app.ports import FilePart
from tracechain.domain.label import Label
from tracechain.domain.label_design import Design, LabelPlan, Line
from tracechain.domain.qr import MM_PER_INCH, QUIET_ZONE

NAME = "labels.zpl"
_POINTS_PER_INCH = 72
# Commands begin with these, and the escape must be escaped itself; UTF-8 passes (^CI28).
_ESCAPES = {ord(c): f"\\{ord(c):02X}" for c in "^~\\"}


def draw_rows(plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
    """The commands that print the labels, one ^XA…^XZ for each row of the roll."""
    layout, design = plan.layout, plan.design
    assert layout is not None
    assert design is not None
    commands: list[str] = []
    dots = plan.spec.dpi / MM_PER_INCH
    head = f"^XA^CI28^PW{layout.page_width * dots:.0f}^LL{layout.page_height * dots:.0f}^LH0,0\n"
    for start in range(0, len(labels), layout.per_page):
        commands.append(head)
        for number, label in enumerate(labels[start : start + layout.per_page]):
            commands += _label(plan, design, label, *layout.place(number))
        commands.append("^XZ\n")
    return [FilePart(NAME, "".join(commands).encode())]


def _label(plan: LabelPlan, design: Design, label: Label, x: float, y: float) -> Iterator[str]:
    dots = plan.spec.dpi / MM_PER_INCH
    symbol = plan.symbol
    quiet = QUIET_ZONE * symbol.dots
    left, top = round((x + design.qr_x) * dots) + quiet, round((y + design.qr_y) * dots) + quiet
    modules = qr_code(label.uri, symbol).matrix
    yield f"^FO{left},{top}{_graphic(modules, symbol.dots)}^FS\n"
    if design.panel is not None:
        panel = design.panel
        yield (
            f"^FO{(x + panel.x) * dots:.0f},{(y + panel.y) * dots:.0f}"
            f"^GB{panel.width * dots:.0f},{panel.height * dots:.0f},1^FS\n"
        )
    for line in design.lines(label):
        yield _text(line, x, y, plan)


def _graphic(modules: Sequence[bytearray], scale: int) -> str:
    """A picture in which each module is a square of `scale` dots."""
    wide = (len(modules) * scale + 7) // 8
    lines = []
    for row in modules:
        bits = "".join(str(module) * scale for module in row).ljust(wide * 8, "0")
        lines.append(f"{int(bits, 2):0{wide * 2}X}{':' * (scale - 1)}")
    total = wide * len(modules) * scale
    return f"^GFA,{total},{total},{wide},{''.join(lines)}"


def _text(line: Line, x: float, y: float, plan: LabelPlan) -> str:
    dots = plan.spec.dpi / MM_PER_INCH
    height = round(line.fitted * plan.spec.dpi / _POINTS_PER_INCH)
    font = f"^A@N,{height},{height},{plan.spec.printer_font}"
    if not plan.spec.printer_font:
        font = f"^A0N,{height},{height}"
    return (
        f"^FT{(x + line.x) * dots:.0f},{(y + line.y) * dots:.0f}{font}"
        f"^FH\\^FD{line.text.translate(_ESCAPES)}^FS\n"
    )
