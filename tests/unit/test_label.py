"""Layouts, what a format has no place for, and where things go on a label."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labels import TEXT, made_labels, outcome, planned
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.label import (
    LAYOUTS,
    LabelFormat,
    LabelSpec,
    LabelWarning,
    read_layout,
)
from tracechain.domain.label_design import MARGIN, SMALLEST_PT, text_em
from tracechain.domain.text import LocalizedText

POINT = 25.4 / 72


def reason_of(error: pytest.ExceptionInfo[InvalidArgument]) -> tuple[str, str]:
    (violation,) = error.value.violations
    return violation.field, violation.reason


@pytest.mark.parametrize(
    "text", [*LAYOUTS, "60x40", "50x30:3x9", "20x10:4x1+2x0@95x12", "25.4x12.7:2x4"]
)
def test_labels_of_a_layout_lie_on_their_page_and_apart(text: str) -> None:
    layout = read_layout(text)
    places = [layout.place(number) for number in range(layout.per_page)]
    assert len(set(places)) == layout.columns * layout.rows
    for x, y in places:
        assert -0.06 <= x <= layout.page_width - layout.label_width + 0.06
        assert -0.06 <= y <= layout.page_height - layout.label_height + 0.06
    for (ax, ay), (bx, by) in itertools.combinations(places, 2):
        assert (
            abs(ax - bx) >= layout.label_width - 1e-6 or abs(ay - by) >= layout.label_height - 1e-6
        )
    # Rows are filled first, as a printed sheet is read.
    assert places == sorted(places, key=lambda place: (place[1], place[0]))


def test_a_layout_is_read_as_it_is_written() -> None:
    layout = read_layout("50x30:3x9+2x1.5@200x300")
    assert (layout.columns, layout.rows, layout.gap_x, layout.gap_y) == (3, 9, 2, 1.5)
    assert (layout.page_width, layout.page_height) == (200, 300)
    # The grid of 154 x 282 mm is in the middle; the fifth label is the second of its second row.
    assert layout.place(4) == (23 + 52, 9 + 31.5)
    roll = read_layout("60x40")
    assert (roll.page_width, roll.page_height, roll.per_page) == (60, 40, 1)
    assert roll.place(0) == (0, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a4-9x9", "UNKNOWN_LAYOUT"), ("60", "UNKNOWN_LAYOUT"), ("60x", "UNKNOWN_LAYOUT"),
        ("-60x40", "UNKNOWN_LAYOUT"), ("60x40:3", "UNKNOWN_LAYOUT"),
        ("60x40@210x297", "UNKNOWN_LAYOUT"),
        ("nanxinf", "UNKNOWN_LAYOUT"), ("6٠x40", "UNKNOWN_LAYOUT"), ("60x40\n", "UNKNOWN_LAYOUT"),
        ("7.9x40", "INVALID_LAYOUT"), ("60x301", "INVALID_LAYOUT"), ("60x40:0x3", "INVALID_LAYOUT"),
        ("60x40:4x3", "INVALID_LAYOUT"), ("60x40:3x8", "INVALID_LAYOUT"),
        ("60x40:3x3+20x0", "INVALID_LAYOUT"), ("10x10:51x1@1500x300", "INVALID_LAYOUT"),
        ("60x40:1x1@2000x300", "INVALID_LAYOUT"),
    ],
)  # fmt: skip
def test_a_layout_that_cannot_be_says_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        read_layout(text)
    assert reason_of(error) == ("layout", reason)


@pytest.mark.parametrize(
    ("format", "given", "field", "reason"),
    [
        (LabelFormat.SVG, {"layout": LAYOUTS["a4-3x8"]}, "layout", "NOT_FOR_FORMAT"),
        (LabelFormat.PNG, {"pins": True}, "include_pins", "NOT_FOR_FORMAT"),
        (LabelFormat.PDF, {"printer_font": "E:A.TTF"}, "printer_font", "NOT_FOR_FORMAT"),
        (LabelFormat.ZPL, {"layout": LAYOUTS["a4-3x8"]}, "layout", "NOT_FOR_FORMAT"),
        (LabelFormat.ZPL, {"printer_font": "E:A.TTF^XZ"}, "printer_font", "INVALID_TEXT"),
        (LabelFormat.ZPL, {"printer_font": "E:" + "A" * 60}, "printer_font", "TEXT_TOO_LONG"),
    ],
)  # fmt: skip
def test_what_a_format_has_no_place_for_is_refused(
    format: LabelFormat, given: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidArgument) as error:
        LabelSpec(format, **given).checked()
    assert reason_of(error) == (field, reason)


@given(
    width=st.floats(20, 120),
    height=st.floats(15, 120),
    zh=st.text(st.sampled_from("浓香型白酒52度 A"), min_size=1, max_size=60),
    en=st.text(st.sampled_from("Baijiu W"), max_size=60),
    lot=st.text(st.sampled_from("LH-07W/_"), min_size=1, max_size=20),
    pins=st.booleans(),
    text=st.booleans(),
    length=st.sampled_from([84, 158]),
)
def test_everything_lies_within_the_label_and_beside_the_quiet_zone(
    width: float, height: float, zh: str, en: str, lot: str, pins: bool, text: bool, length: int
) -> None:
    words = replace(TEXT, lot=lot, product=LocalizedText(zh.strip() or "酒", en.strip()))
    layout = f"{width:.2f}x{height:.2f}"
    plan = outcome(lambda: planned(LabelFormat.PDF, layout, length, words, pins=pins, text=text))
    if isinstance(plan, InvalidArgument):
        assert plan.reason == "LABEL_TOO_SMALL"
        return
    assert plan.layout is not None
    assert plan.design is not None
    design, side = plan.design, plan.symbol.side_mm
    boxes = [(design.qr_x, design.qr_y, design.qr_x + side, design.qr_y + side)]
    (label,) = made_labels(1)
    for line in design.lines(label):
        size = line.fitted
        drawn = text_em(line.text) * size * POINT
        boxes.append(
            (line.x, line.y - 0.75 * size * POINT, line.x + drawn, line.y + 0.25 * size * POINT)
        )
        assert size >= SMALLEST_PT * 0.8
    for left, top, right, bottom in boxes:
        assert left >= MARGIN - 1e-6
        assert top >= MARGIN - 1e-6
        assert right <= plan.layout.label_width - MARGIN + 1e-6
        assert bottom <= plan.layout.label_height - MARGIN + 1e-6
    for (al, at, ar, ab), (bl, bt, br, bb) in itertools.combinations(boxes, 2):
        assert min(ar, br) - max(al, bl) < 1e-6 or min(ab, bb) - max(at, bt) < 1e-6
    shown = [line.text for line in design.lines(label)]
    if text:
        # What identifies the unit is never cut.
        needed = {"(01) 06901234500110", f"(21) {label.serial}", f"(10) {lot}", "(17) 280714"}
        assert needed <= set(shown)
    assert (f"{label.pin[:4]} {label.pin[4:]}" in shown) is pins
    assert (design.panel is not None) is pins


def test_a_name_that_is_too_long_is_cut_with_a_warning() -> None:
    long = replace(TEXT, product=LocalizedText("酒" * 200, "Baijiu"))
    plan = planned(LabelFormat.PDF, "60x40", words=long)
    assert plan.warnings == (LabelWarning.NAME_CUT,)
    assert plan.design is not None
    name = plan.design.fixed[0].text
    assert name.startswith("酒酒")
    assert name.endswith("…")
    assert planned(LabelFormat.PDF, "60x40").warnings == ()


def test_a_printer_without_a_font_leaves_chinese_out_and_says_so() -> None:
    plan = planned(LabelFormat.ZPL, pins=True)
    assert plan.warnings == (LabelWarning.NAME_NOT_PRINTED,)
    assert plan.design is not None
    (label,) = made_labels(1)
    assert all(line.text.isascii() for line in plan.design.lines(label))
    named = planned(LabelFormat.ZPL, printer_font="E:SIMSUN.TTF")
    assert named.warnings == ()
    assert named.design is not None
    assert named.design.fixed[0].text == TEXT.product.zh


def test_a_label_on_which_codes_are_too_small_to_scan_is_warned_of() -> None:
    assert planned(LabelFormat.PDF, "45x23").warnings == (LabelWarning.TOO_SMALL_TO_SCAN,)
    # The same label without text, and the same with compact codes, are good.
    assert planned(LabelFormat.PDF, "45x28", text=False).warnings == ()
    assert planned(LabelFormat.PDF, "45x23", length=84).warnings == ()
    with pytest.raises(InvalidArgument) as error:
        planned(LabelFormat.PDF, "20x15")
    assert reason_of(error) == ("layout", "LABEL_TOO_SMALL")


@pytest.mark.parametrize(("layout", "most"), [("a4-3x8", 240_000), ("60x40", 10_000)])
def test_a_pdf_has_so_many_pages_and_other_formats_have_no_end(layout: str, most: int) -> None:
    plan = planned(LabelFormat.PDF, layout)
    plan.check_count(most)
    with pytest.raises(InvalidArgument, match=f"{most} labels of this layout") as error:
        plan.check_count(most + 1)
    assert reason_of(error) == ("count", "INVALID_QUANTITY")
    for format in (LabelFormat.ZPL, LabelFormat.SVG):
        planned(format).check_count(10_000_000)


def test_a_batch_that_does_not_expire_has_no_day() -> None:
    plan = planned(LabelFormat.PDF, words=replace(TEXT, expiration_date=""))
    (label,) = made_labels(1)
    assert plan.design is not None
    assert not any(line.text.startswith("(17)") for line in plan.design.lines(label))
