"""Labels as one PDF, written page by page.

Libraries that make PDFs keep every page until the file is closed, and a batch has thousands. What
labels need of the format is little: filled rectangles, two fonts, pages; so it is written here,
and of a page that is written only its place in the file is kept. Fonts are not embedded: Helvetica
is one of the fourteen that every reader has; STSong-Light is the standard name that readers on
systems with a Chinese font replace by theirs (without one, Chinese is blank; the QR code and all
that is Latin are not touched by that).

ISO 32000-1:2008: 7.5 (file structure), 8.5 (paths), 9.6.2.2 and 9.7.5.2 (fonts and CMaps).
"""

from __future__ import annotations

import re
import zlib
from array import array
from collections.abc import Iterator, Sequence

from tracechain.adapters.labels.masking import masked_rows
from tracechain.app.ports import FilePart
from tracechain.domain.label import Label
from tracechain.domain.label_design import Design, LabelPlan, Line
from tracechain.domain.qr import MM_PER_INCH, QUIET_ZONE

NAME = "labels.pdf"
_DARK = re.compile("1+")
# What WinAnsiEncoding and the code page have in common, and Chinese, by turns.
_RUNS = re.compile("[\x20-\x7e\xa1-\xff…–—‘’“”•™€]+|[^\x20-\x7e\xa1-\xff…–—‘’“”•™€]+")
_CATALOG, _PAGES, _LATIN, _CHINESE, _FIRST_PAGE = 1, 2, 3, 4, 7
_FRAME_POINTS = 0.4


def draw_pages(plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
    """The content of each page that the labels fill, compressed."""
    layout, design = plan.layout, plan.design
    assert layout is not None
    assert design is not None
    pages = []
    for start in range(0, len(labels), layout.per_page):
        content: list[str] = []
        for number, label in enumerate(labels[start : start + layout.per_page]):
            x, y = layout.place(number)
            content.append(f"q 1 0 0 1 {points(x):.3f} {points(layout.page_height - y):.3f} cm")
            content += _label(plan, design, label)
            content.append("Q")
        pages.append(FilePart(NAME, zlib.compress("\n".join(content).encode("ascii"), 6)))
    return pages


def _label(plan: LabelPlan, design: Design, label: Label) -> Iterator[str]:
    """One label; the origin is its upper left corner, y goes up."""
    symbol = plan.symbol
    _, rows = masked_rows(label.uri, symbol)
    module = points(symbol.module_mm)
    left = points(design.qr_x) + QUIET_ZONE * module
    top = -points(design.qr_y) - QUIET_ZONE * module
    # In modules, downwards. One path: pieces that touch leave no hairline between them.
    yield f"q {module:.5f} 0 0 {-module:.5f} {left:.3f} {top:.3f} cm"
    yield " ".join(
        f"{dark.start()} {y} {dark.end() - dark.start()} 1 re"
        for y, row in enumerate(rows)
        for dark in _DARK.finditer(row)
    )
    yield "f Q"
    if design.panel is not None:
        panel = design.panel
        x, y = points(panel.x), -points(panel.y + panel.height)
        yield (
            f"{_FRAME_POINTS} w {x:.2f} {y:.2f} {points(panel.width):.2f} "
            f"{points(panel.height):.2f} re S"
        )
    for line in design.lines(label):
        yield _text(line)


def _text(line: Line) -> str:
    size = line.fitted
    shown = []
    for run in _RUNS.findall(line.text):
        if run[0] in _WIN_ANSI:
            shown.append(f"/L {size:.2f} Tf <{run.encode('cp1252').hex()}> Tj")
        else:
            shown.append(f"/C {size:.2f} Tf <{run.encode('utf-16-be').hex()}> Tj")
    return f"BT {points(line.x):.2f} {-points(line.y):.2f} Td {' '.join(shown)} ET"


_WIN_ANSI = frozenset([*map(chr, range(0x20, 0x7F)), *map(chr, range(0xA1, 0x100)), *"…–—‘’“”•™€"])


def points(millimetres: float) -> float:
    """Millimetres as points of 1/72 inch."""
    return millimetres * 72 / MM_PER_INCH


class PdfBinding:
    """The file: a head, the pages, and at the end where everything lies. See LabelBinding."""

    def __init__(self, plan: LabelPlan) -> None:
        assert plan.layout is not None
        width, height = points(plan.layout.page_width), points(plan.layout.page_height)
        self._media = f"[0 0 {width:.3f} {height:.3f}]"
        self._offsets = array("Q", [0] * _FIRST_PAGE)
        self._at = 0

    def add(self, drawn: Sequence[FilePart]) -> list[FilePart]:
        """See LabelBinding."""
        parts: list[bytes] = []
        if self._at == 0:
            parts.append(self._wrote(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"))
            parts += [self._object(number, text) for number, text in _HEAD.items()]
        for _, content in drawn:
            page = len(self._offsets)
            self._offsets.extend((0, 0))
            parts.append(
                self._object(
                    page,
                    f"<</Type/Page/Parent {_PAGES} 0 R/MediaBox{self._media}/Contents {page + 1} "
                    f"0 R/Resources<</Font<</L {_LATIN} 0 R/C {_CHINESE} 0 R>>>>>>",
                )
            )
            head = f"<</Length {len(content)}/Filter/FlateDecode>>\nstream\n"
            parts.append(self._object(page + 1, head.encode() + content + b"\nendstream"))
        return [FilePart(NAME, b"".join(parts))]

    def end(self) -> list[FilePart]:
        """See LabelBinding."""
        pages = range(_FIRST_PAGE, len(self._offsets), 2)
        kids = " ".join(f"{page} 0 R" for page in pages)
        last = self._object(_PAGES, f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>")
        where = self._at
        table = "".join(f"{offset:010} 00000 n \n" for offset in self._offsets[1:])
        count = len(self._offsets)
        tail = (
            f"xref\n0 {count}\n0000000000 65535 f \n{table}"
            f"trailer\n<</Size {count}/Root {_CATALOG} 0 R>>\nstartxref\n{where}\n%%EOF\n"
        )
        return [FilePart(NAME, last + tail.encode())]

    def _object(self, number: int, body: str | bytes) -> bytes:
        self._offsets[number] = self._at
        data = body.encode("ascii") if isinstance(body, str) else body
        return self._wrote(b"%d 0 obj\n%b\nendobj\n" % (number, data))

    def _wrote(self, data: bytes) -> bytes:
        self._at += len(data)
        return data


_HEAD = {
    _CATALOG: f"<</Type/Catalog/Pages {_PAGES} 0 R/Lang(zh-CN)"
    # A printing dialogue that shrinks to fit would move every label off its sticker.
    "/ViewerPreferences<</PrintScaling/None>>>>",
    _LATIN: "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    _CHINESE: "<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UTF16-H"
    "/DescendantFonts[5 0 R]>>",
    5: "<</Type/Font/Subtype/CIDFontType0/BaseFont/STSong-Light/DW 1000/FontDescriptor 6 0 R"
    "/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)/Supplement 4>>>>",
    6: "<</Type/FontDescriptor/FontName/STSong-Light/Flags 6/FontBBox[-25 -254 1000 880]"
    "/ItalicAngle 0/Ascent 880/Descent -120/CapHeight 880/StemV 93>>",
}
