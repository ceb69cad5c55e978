"""Where everything goes on a label, and how large it is.

Promises that what is drawn lies within the label and outside the quiet zone of its QR code, that
codes and dates are never cut or smaller than can be read, and that the QR code gets all the room
that this leaves. A product's name may be cut, with a warning. Measures are millimetres from the
label's upper left corner, text sizes are points; a line's `y` is its baseline.

GS1 General Specifications, human readable interpretation: AIs in brackets, dates as YYMMDD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.label import Label, LabelFormat, LabelSpec, LabelText, LabelWarning, Layout
from tracechain.domain.qr import Symbol, fitting_symbol, free_symbol

MARGIN = 1.5
GAP = 1.0
SMALLEST_PT, LARGEST_PT = 5.0, 9.0
_STEP_PT = 0.25
_POINT = 25.4 / 72
_LEADING = 1.25
_ASCENT = 0.95
_PIN_SCALE = 1.4
_PANEL_LINES = 3.4
_PANEL_EM = 8.6
# Thirteen characters of a serial: two in a hundred are wider, and drawn a little smaller.
_SERIAL_EM = 9.2
# More is a file that viewers stumble over; it takes some hundred megabytes to make.
PDF_PAGES = 10_000
PIN_CAPTION = "刮开验真 PIN"
PIN_CAPTION_ASCII = "Scratch for PIN"

# Advance widths of Helvetica from U+0020 to U+007E, in thousandths of the size.
_HELVETICA = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; it is drawn smaller where it would else be wider than `room`."""

    x: float
    y: float
    size: float
    room: float
    text: str

    @property
    def fitted(self) -> float:
        """The size to draw it in, in points."""
        width = text_em(self.text) * self.size * _POINT
        return self.size if width <= self.room else self.size * self.room / width


@dataclass(frozen=True, slots=True)
class Panel:
    """The frame under the scratch layer."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Design:
    """One label of a batch; `serial` and `pin` are lines whose text differs on each."""

    qr_x: float
    qr_y: float
    fixed: tuple[Line, ...] = ()
    serial: Line | None = None
    panel: Panel | None = None
    pin: Line | None = None

    def lines(self, label: Label) -> list[Line]:
        """All lines of one label, downwards."""
        lines = list(self.fixed)
        if self.serial is not None:
            at = self.serial
            lines.append(Line(at.x, at.y, at.size, at.room, at.text + label.serial))
        if self.pin is not None and label.pin:
            at, half = self.pin, len(label.pin) // 2
            text = f"{label.pin[:half]} {label.pin[half:]}"
            lines.append(Line(at.x, at.y, at.size, at.room, text))
        return sorted(lines, key=lambda line: line.y)


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How the labels of an order will look, decided before the first is drawn.

    `layout` and `design` are there for formats that have pages.
    """

    spec: LabelSpec
    symbol: Symbol
    layout: Layout | None
    design: Design | None
    warnings: tuple[LabelWarning, ...]

    def check_count(self, count: int) -> None:
        """Raises InvalidArgument INVALID_QUANTITY for more labels than a file may have."""
        most = PDF_PAGES * self.layout.per_page if self.layout else count
        if self.spec.format is LabelFormat.PDF and count > most:
            raise InvalidArgument.of(
                "count",
                "INVALID_QUANTITY",
                f"is {count}; a PDF has up to {PDF_PAGES} pages, {most} labels of this layout: "
                "ask for several, by offset and count",
            )


def plan_labels(spec: LabelSpec, text: LabelText, code_length: int) -> LabelPlan:
    """Decides how labels look. Raises InvalidArgument: LABEL_TOO_SMALL, NOT_FOR_FORMAT,
    INVALID_PRINT_SIZE."""
    spec = spec.checked()
    if spec.layout is None:
        symbol = free_symbol(code_length, spec.level, spec.module_mm, spec.dpi)
        return LabelPlan(spec, symbol, None, None, _too_small(symbol))
    content, names, warnings = _Content(), list[str](), list[LabelWarning]()
    if spec.text:
        content = _Content((f"(01) {text.gtin}",), True, _behind(text))
        names = [text.product.zh, text.product.en]
        if spec.format is LabelFormat.ZPL and not spec.printer_font:
            # A printer's own fonts are Latin; what they do not know they leave out.
            kept = [name for name in names if all(c < "\u0250" for c in name)]
            if kept != names:
                warnings.append(LabelWarning.NAME_NOT_PRINTED)
            names = kept
    names = [name for name in names if name]
    symbol, design, is_cut = _Composer(spec, content, names, code_length).compose()
    if is_cut:
        warnings.append(LabelWarning.NAME_CUT)
    return LabelPlan(spec, symbol, spec.layout, design, (*_too_small(symbol), *warnings))


def text_em(text: str) -> float:
    """Width of a text at size 1: exact for ASCII in Helvetica, else no less than it is."""
    return sum(_HELVETICA[ord(c) - 32] / 1000 if " " <= c <= "~" else 1.0 for c in text)


@dataclass(frozen=True, slots=True)
class _Content:
    """Lines that are never cut: before the serial, whether there is one, behind it."""

    before: tuple[str, ...] = ()
    serial: bool = False
    behind: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.before) + self.serial + len(self.behind)

    @property
    def em(self) -> float:
        widest = max((text_em(line) for line in self.before + self.behind), default=0.0)
        return max(widest, text_em("(21) ") + _SERIAL_EM) if self.serial else widest


def _behind(text: LabelText) -> tuple[str, ...]:
    day = text.expiration_date.replace("-", "")[2:]
    return (f"(10) {text.lot}", *([f"(17) {day}"] if day else []))


def _too_small(symbol: Symbol) -> tuple[LabelWarning, ...]:
    return (LabelWarning.TOO_SMALL_TO_SCAN,) if symbol.is_small else ()


class _Composer:
    """Puts text beside the QR code or below it, whichever leaves the code more room."""

    def __init__(
        self, spec: LabelSpec, content: _Content, names: Sequence[str], code_length: int
    ) -> None:
        assert spec.layout is not None
        self._spec, self._content, self._names = spec, content, names
        self._code_length = code_length
        self._caption = PIN_CAPTION
        if spec.format is LabelFormat.ZPL and not spec.printer_font:
            self._caption = PIN_CAPTION_ASCII
        self._width = spec.layout.label_width - 2 * MARGIN
        self._height = spec.layout.label_height - 2 * MARGIN

    def compose(self) -> tuple[Symbol, Design, bool]:
        """The symbol, the design, and whether a name was cut."""
        need_w, need_h = self._needs(SMALLEST_PT)
        gap = GAP if need_h else 0.0
        beside = min(self._height, self._width - gap - need_w) if need_h <= self._height else 0.0
        below = min(self._width, self._height - gap - need_h) if need_w <= self._width else 0.0
        box = max(beside, below)
        spec = self._spec
        symbol = fitting_symbol(
            self._code_length, spec.level, spec.module_mm, spec.dpi, max(box, 0.0)
        )
        side = symbol.side_mm
        if not need_h:
            return symbol, Design(*self._middle(side)), False
        if beside >= below:
            x, y = MARGIN + side + gap, MARGIN
            room_w, room_h = self._width - side - gap, self._height
            qr = MARGIN, MARGIN + (self._height - side) / 2
        else:
            x, y = MARGIN, MARGIN + side + gap
            room_w, room_h = self._width, self._height - side - gap
            qr = MARGIN + (self._width - side) / 2, MARGIN
        size = LARGEST_PT
        while size > SMALLEST_PT:
            need_w, need_h = self._needs(size)
            if need_w <= room_w and need_h <= room_h:
                break
            size -= _STEP_PT
        return symbol, *self._written(qr, x, y, room_w, size)

    def _middle(self, side: float) -> tuple[float, float]:
        return MARGIN + (self._width - side) / 2, MARGIN + (self._height - side) / 2

    def _needs(self, size: float) -> tuple[float, float]:
        """Width and height of the text at a size; a name takes what width there is."""
        lines: float = len(self._names) + self._content.count
        em = self._content.em
        if self._spec.pins:
            lines, em = lines + _PANEL_LINES, max(em, _PANEL_EM)
        return em * size * _POINT, lines * size * _LEADING * _POINT

    def _written(
        self, qr: tuple[float, float], x: float, y: float, room: float, size: float
    ) -> tuple[Design, bool]:
        step = size * _LEADING * _POINT
        content = self._content
        names = [_cut(name, room / (size * _POINT)) for name in self._names]
        texts = [*names, *content.before, *(["(21) "] if content.serial else []), *content.behind]
        lines = [
            Line(x, y + i * step + size * _ASCENT * _POINT, size, room, text)
            for i, text in enumerate(texts)
        ]
        serial = lines.pop(len(names) + len(content.before)) if content.serial else None
        panel = pin = None
        if self._spec.pins:
            top = y + len(texts) * step
            lines.append(Line(x, top + size * _ASCENT * _POINT, size, room, self._caption))
            panel = Panel(x, top + 1.15 * step, room, 2.1 * step)
            pin_size = size * _PIN_SCALE
            middle = panel.y + panel.height / 2 + pin_size * 0.36 * _POINT
            pin = Line(x + 0.5 * size * _POINT, middle, pin_size, room - size * _POINT, "")
        is_cut = names != list(self._names)
        return Design(*qr, tuple(lines), serial, panel, pin), is_cut


def _cut(text: str, room_em: float) -> str:
    """`text`, or as much of its beginning as there is room for, and an ellipsis."""
    if text_em(text) <= room_em:
        return text
    kept = text
    while kept and text_em(kept) + 1.0 > room_em:
        kept = kept[:-1]
    return kept.rstrip() + "…"
