"""Draws labels in the format of their plan: pure, the same in any process."""

from __future__ import annotations

from collections.abc import Sequence

from tracechain.adapters.labels import pdf, symbol, zpl
from tracechain.app.ports import FilePart
from tracechain.domain.label import Label, LabelFormat
from tracechain.domain.label_design import LabelPlan


def draw_labels(plan: LabelPlan, labels: Sequence[Label]) -> list[FilePart]:
    """See LabelPress.draw."""
    match plan.spec.format:
        case LabelFormat.SVG:
            return [
                FilePart(f"{one.serial}.svg", symbol.svg(one.uri, plan.symbol)) for one in labels
            ]
        case LabelFormat.PNG:
            return [
                FilePart(f"{one.serial}.png", symbol.png(one.uri, plan.symbol)) for one in labels
            ]
        case LabelFormat.PDF:
            return pdf.draw_pages(plan, labels)
        case LabelFormat.ZPL:
            return zpl.draw_rows(plan, labels)
