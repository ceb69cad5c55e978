"""A label: what is on it, the material that it is printed on, and in which form it is wanted.

Promises that a layout's labels lie within their page and do not overlap, and that an order says
nothing that its format has no place for: an option that is silently left out is noticed when the
roll is printed. Measures are millimetres, from the upper left corner.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.qr import ErrorCorrection
from tracechain.domain.text import LocalizedText, bounded

A4_MM = (210.0, 297.0)
LABEL_MM = (8.0, 300.0)
PAGE_MM = (8.0, 1500.0)
_MOST_ACROSS = 50


class LabelFormat(StrEnum):
    """SVG and PNG are files of one QR code each; PDF and ZPL are whole labels."""

    SVG = "SVG"
    PNG = "PNG"
    PDF = "PDF"
    ZPL = "ZPL"

    @property
    def has_pages(self) -> bool:
        """True for labels on a material, with text."""
        return self in (LabelFormat.PDF, LabelFormat.ZPL)


class LabelWarning(StrEnum):
    """What is printed all the same, and had better be looked at first."""

    TOO_SMALL_TO_SCAN = "TOO_SMALL_TO_SCAN"
    NAME_CUT = "NAME_CUT"
    NAME_NOT_PRINTED = "NAME_NOT_PRINTED"


WARNING_WORDS = {
    LabelWarning.TOO_SMALL_TO_SCAN: LocalizedText(
        "二维码模块小于 GS1 要求的 0.396 毫米，部分手机可能无法识读",
        "modules are smaller than the 0.396 mm that GS1 asks for: some phones will not read it",
    ),
    LabelWarning.NAME_CUT: LocalizedText(
        "标签放不下完整品名，已截断", "the product's name does not fit and was cut"
    ),
    LabelWarning.NAME_NOT_PRINTED: LocalizedText(
        "打印机自带字体没有中文，未印中文品名；请指定打印机中的中文字体",
        "printers have no Chinese font of their own: name one that yours holds, or the Chinese "
        "name is left out",
    ),
}


@dataclass(frozen=True, slots=True)
class Label:
    """What differs from label to label. `pin` is empty where none is printed."""

    uri: str
    serial: str
    pin: str = ""


@dataclass(frozen=True, slots=True)
class LabelText:
    """What all labels of a batch say; `expiration_date` is YYYY-MM-DD or empty."""

    gtin: str
    lot: str
    expiration_date: str
    product: LocalizedText


@dataclass(frozen=True, slots=True)
class Layout:
    """Labels on a page: a grid in its middle. A roll is a page with one row of labels."""

    label_width: float
    label_height: float
    columns: int = 1
    rows: int = 1
    gap_x: float = 0.0
    gap_y: float = 0.0
    page_width: float = 0.0
    page_height: float = 0.0

    @property
    def per_page(self) -> int:
        """Labels of a page."""
        return self.columns * self.rows

    def place(self, number: int) -> tuple[float, float]:
        """Where the label of this number on its page begins; rows are filled first."""
        row, column = divmod(number, self.columns)
        width, height = self._grid()
        return (
            (self.page_width - width) / 2 + column * (self.label_width + self.gap_x),
            (self.page_height - height) / 2 + row * (self.label_height + self.gap_y),
        )

    def checked(self) -> Layout:
        """The same layout. Raises InvalidArgument INVALID_LAYOUT where it cannot be."""
        for name, value, (low, high) in (
            ("the label's width", self.label_width, LABEL_MM),
            ("the label's height", self.label_height, LABEL_MM),
            ("the page's width", self.page_width, PAGE_MM),
            ("the page's height", self.page_height, PAGE_MM),
            ("the gap", self.gap_x, (0, LABEL_MM[1])),
            ("the gap", self.gap_y, (0, LABEL_MM[1])),
            ("the number of columns", self.columns, (1, _MOST_ACROSS)),
            ("the number of rows", self.rows, (1, _MOST_ACROSS)),
        ):
            if not (math.isfinite(value) and low <= value <= high):
                raise _invalid(f"{name} is {value:g}, must be {low:g} to {high:g}")
        width, height = self._grid()
        # A tenth of a millimetre is forgiven: sheets are described in round numbers.
        if width > self.page_width + 0.1 or height > self.page_height + 0.1:
            raise _invalid(
                f"{self.columns} x {self.rows} labels need {width:g} x {height:g} mm, the page "
                f"has {self.page_width:g} x {self.page_height:g}"
            )
        return self

    def _grid(self) -> tuple[float, float]:
        return (
            self.columns * self.label_width + (self.columns - 1) * self.gap_x,
            self.rows * self.label_height + (self.rows - 1) * self.gap_y,
        )


# Sheets that every stationer has.
LAYOUTS = {
    "a4-2x7": Layout(99.1, 38.1, 2, 7, 2.5, 0.0, *A4_MM),
    "a4-3x7": Layout(63.5, 38.1, 3, 7, 2.54, 0.0, *A4_MM),
    "a4-3x8": Layout(63.5, 33.9, 3, 8, 2.54, 0.0, *A4_MM),
    "a4-4x10": Layout(48.5, 25.4, 4, 10, 0.0, 0.0, *A4_MM),
    "a4-5x13": Layout(38.1, 21.2, 5, 13, 2.5, 0.0, *A4_MM),
}
LAYOUT_HELP = (
    f"{', '.join(LAYOUTS)}; 60x40 for a roll of labels of 60 x 40 mm; 50x30:3x9 for a grid on A4, "
    "50x30:3x9+2x1@200x300 with gaps of 2 and 1 mm on a page of 200 x 300 mm."
)
_NUMBER = r"([0-9]{1,4}(?:\.[0-9]{1,3})?)"
_MEASURES = re.compile(
    rf"{_NUMBER}x{_NUMBER}(?::([0-9]{{1,3}})x([0-9]{{1,3}})(?:\+{_NUMBER}x{_NUMBER})?"
    rf"(?:@{_NUMBER}x{_NUMBER})?)?"
)


def read_layout(text: str) -> Layout:
    """The layout that a text names or describes (see LAYOUT_HELP).

    Raises InvalidArgument: UNKNOWN_LAYOUT for neither, INVALID_LAYOUT for one that cannot be.
    """
    if text in LAYOUTS:
        return LAYOUTS[text]
    found = _MEASURES.fullmatch(text)
    if found is None:
        raise InvalidArgument.of(
            "layout", "UNKNOWN_LAYOUT", f"{text[:40]!r} is none; there are {LAYOUT_HELP}"
        )
    width, height, columns, rows, gap_x, gap_y, page_width, page_height = found.groups()
    page = A4_MM if columns else (float(width), float(height))
    if page_width:
        page = float(page_width), float(page_height)
    return Layout(
        float(width), float(height), int(columns or 1), int(rows or 1),
        float(gap_x or 0), float(gap_y or 0), *page,
    ).checked()  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """In which form labels are wanted. `level` and `module_mm` None: chosen; `dpi` 0: usual."""

    format: LabelFormat
    layout: Layout | None = None
    level: ErrorCorrection | None = None
    module_mm: float | None = None
    dpi: int = 0
    text: bool = True
    pins: bool = False
    printer_font: str = ""

    def checked(self) -> LabelSpec:
        """The same with its defaults filled in. Raises InvalidArgument NOT_FOR_FORMAT for what
        the format has no place for, INVALID_TEXT for a font that is no name of one."""
        if not self.format.has_pages:
            if self.layout is not None:
                raise self._no_place("layout", "one QR code each, without a page")
            if self.pins:
                raise self._no_place("include_pins", "the QR code alone")
        if self.printer_font:
            if self.format is not LabelFormat.ZPL:
                raise self._no_place("printer_font", "text without a printer's fonts")
            bounded(self.printer_font, "printer_font", 32)
            if not _FONT.fullmatch(self.printer_font):
                raise InvalidArgument.of(
                    "printer_font", "INVALID_TEXT", "is not of the form E:SIMSUN.TTF"
                )
        layout = self.layout
        if self.format.has_pages and layout is None:
            layout = read_layout(_USUAL_LAYOUT[self.format])
        if self.format is LabelFormat.ZPL and layout is not None and layout.rows > 1:
            raise self._no_place("layout", "labels of a roll, one row at a time")
        return replace(self, layout=layout, dpi=self.dpi or _USUAL_DPI[self.format])

    def _no_place(self, field: str, holds: str) -> InvalidArgument:
        return InvalidArgument.of(field, "NOT_FOR_FORMAT", f"{self.format} holds {holds}")


_FONT = re.compile(r"[A-Z]:[A-Za-z0-9_-]{1,16}\.[A-Za-z]{3}")
_USUAL_LAYOUT = {LabelFormat.PDF: "a4-3x8", LabelFormat.ZPL: "60x40"}
# What office lasers, screens and the common label printers have.
_USUAL_DPI = {
    LabelFormat.SVG: 600,
    LabelFormat.PNG: 300,
    LabelFormat.PDF: 600,
    LabelFormat.ZPL: 203,
}


def _invalid(description: str) -> InvalidArgument:
    return InvalidArgument.of("layout", "INVALID_LAYOUT", description)
