"""The readable part of a bundle: a PDF in Chinese and English with a timeline and a QR code.

It shows what the bundle opens, in the order of the log, and says on its first page what is proved
and what is not. The QR code leads to the page that verifies the bundle: paper proves nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from segno.utils import matrix_to_lines  # type: ignore[attr-defined]  # its stubs leave it out

from tracechain.adapters.pdf_text import draw_text, set_up, wrapped
from tracechain.domain.evidence import wording
from tracechain.domain.evidence.report import Report
from tracechain.domain.evidence.timeline import Entry
from tracechain.domain.log.fact import FactKind
from tracechain.domain.text import LocalizedText

_WIDTH, _HEIGHT = A4
_LEFT, _TOP, _BOTTOM = 18 * mm, _HEIGHT - 18 * mm, 20 * mm
_ACROSS = _WIDTH - 2 * _LEFT
_QR_SIDE = 28 * mm
_SMALL, _PLAIN, _LARGE = 7.5, 9.0, 15.0
_BEIJING = timezone(timedelta(hours=8))
_GREY, _INK, _RED = (0.4, 0.4, 0.4), (0.1, 0.1, 0.1), (0.75, 0.1, 0.1)


def draw(report: Report) -> bytes:
    """The PDF; the same bytes for the same report."""
    set_up()
    out = io.BytesIO()
    canvas = Canvas(
        out, pagesize=A4, pageCompression=1, invariant=1, pdfVersion=(1, 5), lang="zh-CN"
    )
    canvas.setTitle(f"存证证据 Evidence {report.evidence_id}")
    _Paper(canvas, report).draw()
    canvas.save()
    return out.getvalue()


class _Paper:
    """Where the pen is, and what is drawn from there on."""

    def __init__(self, canvas: Canvas, report: Report) -> None:
        self._canvas = canvas
        self._report = report
        self._y = _TOP
        self._page = 1

    def draw(self) -> None:
        self._head()
        self._texts(LocalizedText("已证明", "What is proved"), wording.PROVED)
        self._texts(LocalizedText("未证明", "What is not proved"), wording.NOT_PROVED)
        self._chains()
        self._title(LocalizedText("时间线（按日志顺序）", "Timeline, in the order of the log"))
        for number, entry in enumerate(self._report.story):
            self._entry(entry, is_last=number == len(self._report.story) - 1)
        self._foot()

    def _head(self) -> None:
        report = self._report
        self._qr(report.link)
        self._lines("产品追溯存证证据", _LARGE, width=_ACROSS - _QR_SIDE)
        self._lines("Evidence from the transparency log", 11, width=_ACROSS - _QR_SIDE)
        self._y -= 2 * mm
        title = " ".join(filter(None, (report.subject.title.zh, report.subject.title.en)))
        rows = (
            ("对象 Subject", f"{report.subject.kind.value}  {report.subject.name}"),
            ("产品 Product", title),
            ("证据编号 Id", report.evidence_id),
            ("出具给 Receiver", self._party(report.receiver)),
            ("出具时间 Time", _when(report.time)),
            ("日志 Log", report.origin),
            ("验证 Verify", f"{report.link}   tracechain evidence verify"),
        )
        for name, value in rows:
            if value:
                self._lines(f"{name}:  {value}", _PLAIN, width=_ACROSS - _QR_SIDE)
        self._lines(
            "本页供阅读；须以整个证据文件验证为准。 This page is for reading; only the whole file, "
            "verified, is evidence.",
            _SMALL, _RED, width=_ACROSS - _QR_SIDE,
        )  # fmt: skip

    def _qr(self, link: str) -> None:
        matrix = segno.make_qr(link, error="m").matrix
        module = _QR_SIDE / len(matrix)
        canvas = self._canvas
        canvas.saveState()
        canvas.translate(_WIDTH - _LEFT - _QR_SIDE, _TOP + 3 * mm)
        canvas.scale(module, -module)
        path = canvas.beginPath()
        for (left, y), (right, _) in matrix_to_lines(matrix, 0, 0):
            path.rect(left, y, right - left, 1)
        canvas.drawPath(path, stroke=0, fill=1)
        canvas.restoreState()

    def _texts(self, title: LocalizedText, texts: Iterable[LocalizedText]) -> None:
        self._title(title)
        for text in texts:
            self._lines(f"• {text.zh}", _PLAIN)
            self._lines(f"  {text.en}", _SMALL, _GREY)

    def _chains(self) -> None:
        self._title(LocalizedText("各链", "Chains"))
        for chain in self._report.chains:
            self._lines(f"• {chain.name}", _PLAIN)
            counts = (
                (chain.leaves, wording.ENTRIES),
                (chain.sealed, wording.SEALED),
                (chain.without_text, wording.WITHOUT_TEXT),
            )
            told = ",  ".join(f"{words.zh} {words.en}: {count}" for count, words in counts)
            self._lines(f"  {told}", _SMALL, _GREY)
        for name in self._report.unlogged:
            self._lines(f"• {name}:  日志中无记录 nothing in the log", _PLAIN, _GREY)

    def _entry(self, entry: Entry, *, is_last: bool) -> None:
        kind = wording.KINDS[entry.kind]
        words = f"{kind.zh} {kind.en}"
        if entry.step:
            words += f":  {entry.step}"
        elif entry.kind is FactKind.EVENT:
            words += f"  {wording.NO_BODY.zh} {wording.NO_BODY.en}"
        if entry.is_declared_wrong:
            words += "  (声明有误 declared erroneous)"
        lines = [(f"{_when(entry.time)}  #{entry.index}", _SMALL, _GREY), (words, _PLAIN, _INK)]
        if entry.event_time is not None:
            claimed = f"申报时间 claimed time {_when(entry.event_time)}"
            lines.append((claimed, _SMALL, _GREY))
        if entry.by:
            lines.append((f"{self._party(entry.by)}  {entry.place}".rstrip(), _SMALL, _INK))
        if entry.about:
            lines.append((entry.about, _SMALL, _GREY))
        height = sum(len(wrapped(t, size, _ACROSS - 8 * mm)) * size * 1.4 for t, size, _ in lines)
        self._room(height)
        canvas, top = self._canvas, self._y
        canvas.setFillColorRGB(*(_RED if entry.is_declared_wrong else _INK))
        canvas.circle(_LEFT + 2 * mm, top - 2 * mm, 1.2 * mm, stroke=0, fill=1)
        for text, size, colour in lines:
            self._lines(text, size, colour, left=8 * mm)
        if not is_last:
            canvas.setStrokeColorRGB(*_GREY)
            canvas.setLineWidth(0.5)
            canvas.line(_LEFT + 2 * mm, top - 4 * mm, _LEFT + 2 * mm, self._y - 1 * mm)
        self._y -= 2 * mm

    def _title(self, title: LocalizedText) -> None:
        self._room(16 * mm)
        self._y -= 3 * mm
        self._lines(f"{title.zh}  {title.en}", 11)
        self._y -= 1 * mm

    def _lines(
        self,
        text: str,
        size: float,
        colour: tuple[float, float, float] = _INK,
        *,
        left: float = 0.0,
        width: float = _ACROSS,
    ) -> None:
        for line in wrapped(text, size, width - left):
            self._room(size * 1.4)
            self._canvas.setFillColorRGB(*colour)
            draw_text(self._canvas, _LEFT + left, self._y - size, line, size)
            self._y -= size * 1.4

    def _room(self, height: float) -> None:
        """A new page where this would not fit; what fits on none is broken anyway."""
        if self._y - height < _BOTTOM and self._y < _TOP:
            self._foot()
            self._page += 1
            self._y = _TOP

    def _foot(self) -> None:
        self._canvas.setFillColorRGB(*_GREY)
        text = f"{self._report.evidence_id}   {self._page}"
        draw_text(self._canvas, _LEFT, _BOTTOM - 8 * mm, text, _SMALL)
        self._canvas.showPage()

    def _party(self, gln: str) -> str:
        name = self._report.parties.get(gln, "")
        return f"{name} {gln}".strip()


def _when(micros: int) -> str:
    """A time as it is in China, where these papers are read."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).astimezone(_BEIJING)
    return moment.strftime("%Y-%m-%d %H:%M:%S +08:00")
