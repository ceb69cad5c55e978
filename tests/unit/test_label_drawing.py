"""Labels as they are seen: drawn by programs of others, and read back by a decoder of others."""

from __future__ import annotations

import io
from dataclasses import replace

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageFilter

from tests.support.labels import (
    TEXT,
    codes_in,
    damaged,
    files_of,
    made_labels,
    pdf_images,
    planned,
    svg_image,
    symbol_image,
)
from tests.support.zpl import print_zpl
from tracechain.domain.label import LabelFormat
from tracechain.domain.label_design import LabelPlan, text_em
from tracechain.domain.qr import ErrorCorrection
from tracechain.domain.text import LocalizedText

LEVELS = tuple(ErrorCorrection)
MM = 72 / 25.4


def png_of(plan: LabelPlan, number: int) -> tuple[str, Image.Image]:
    """The text and the picture of one code, at eight pixels a module."""
    label = made_labels(number + 1)[number]
    (data,) = files_of(plan, [label]).values()
    return label.uri, symbol_image(plan.symbol, Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("level", [None, *LEVELS])
@pytest.mark.parametrize("token", [90, 16], ids=["signed", "compact"])
def test_svg_and_png_are_read_back_and_have_their_size(
    level: ErrorCorrection | None, token: int
) -> None:
    labels = made_labels(2, token=token)
    length = len(labels[0].uri)
    vector = planned(LabelFormat.SVG, length=length, level=level)
    for label, (name, data) in zip(labels, files_of(vector, labels).items(), strict=True):
        assert name == f"{label.serial}.svg"
        image = svg_image(data)
        assert image.width == pytest.approx(vector.symbol.side_mm / 25.4 * 300, abs=1)
        assert codes_in(image) == [label.uri]
    pixels = planned(LabelFormat.PNG, length=length, level=level, dpi=203)
    for label, (name, data) in zip(labels, files_of(pixels, labels).items(), strict=True):
        assert name == f"{label.serial}.png"
        picture = Image.open(io.BytesIO(data))
        assert picture.size == ((pixels.symbol.modules + 8) * pixels.symbol.dots,) * 2
        assert picture.info["dpi"] == pytest.approx((203, 203), abs=0.1)
        assert codes_in(picture.convert("L")) == [label.uri]
        quiet = 4 * pixels.symbol.dots
        assert picture.convert("L").crop((0, 0, picture.width, quiet)).getextrema() == (255, 255)


@pytest.mark.parametrize("layout", ["a4-3x8", "30x50", "60x40:2x2+3x3@130x90"])
def test_every_code_of_a_pdf_is_read_back_page_by_page(layout: str) -> None:
    labels = made_labels(30)
    plan = planned(LabelFormat.PDF, layout, pins=True)
    assert plan.layout is not None
    per_page = plan.layout.per_page
    # Drawn in two parts that end with whole pages, as a long order is.
    half = -(-15 // per_page) * per_page
    (data,) = files_of(plan, labels[:half], labels[half:]).values()
    pages = pdf_images(data)
    assert len(pages) == -(-30 // per_page)
    for number, page in enumerate(pages):
        on_it = labels[number * per_page : (number + 1) * per_page]
        assert sorted(codes_in(page)) == sorted(label.uri for label in on_it)


def test_a_pdf_has_its_text_in_both_languages_where_it_was_planned() -> None:
    labels = made_labels(2)
    text = replace(TEXT, product=LocalizedText("窖藏\U00020bb7酒 52度", "Café (52%) \\ “Liao”"))
    plan = planned(LabelFormat.PDF, "70x40", words=text, pins=True)
    (data,) = files_of(plan, labels).values()
    with pypdfium2.PdfDocument(data) as document:
        assert document[0].get_size() == pytest.approx((70 * MM, 40 * MM), abs=0.01)
        for label, page in zip(labels, document, strict=True):
            found = page.get_textpage()
            text_of = "".join(found.get_text_bounded().split())
            for line in (
                "窖藏\U00020bb7酒52度", "Café(52%)\\“Liao”", "(01)06901234500110",
                f"(21){label.serial}", "(10)LH-0714A", "(17)280714", label.pin,
            ):  # fmt: skip
                assert line in text_of
            assert plan.design is not None
            gtin = next(line for line in plan.design.fixed if line.text.startswith("(01)"))
            left, bottom, right, _ = found.get_charbox(
                found.search("(01)").get_next()[0], loose=True
            )
            assert left == pytest.approx(gtin.x * MM, abs=0.5)
            assert right > left
            assert bottom == pytest.approx((40 - gtin.y) * MM, abs=0.3 * gtin.size)


def test_widths_of_text_are_those_that_a_viewer_measures() -> None:
    plan = planned(LabelFormat.PDF, "70x40")
    (data,) = files_of(plan, made_labels(1)).values()
    assert plan.design is not None
    line = next(line for line in plan.design.fixed if line.text.startswith("(01)"))
    with pypdfium2.PdfDocument(data) as document:
        found = document[0].get_textpage()
        first, count = found.search(line.text).get_next()
        left = found.get_charbox(first, loose=True)[0]
        right = found.get_charbox(first + count - 1, loose=True)[2]
    assert right - left == pytest.approx(text_em(line.text) * line.fitted, rel=0.02)


def test_a_pdf_is_the_same_each_time_and_prints_as_it_is() -> None:
    plan, labels = planned(LabelFormat.PDF, pins=True), made_labels(50)
    data = files_of(plan, labels[:48], labels[48:])["labels.pdf"]
    assert files_of(plan, labels[:48], labels[48:]) == {"labels.pdf": data}
    with pikepdf.open(io.BytesIO(data)) as document:
        assert document.Root.ViewerPreferences.PrintScaling == "/None"
        assert str(document.Root.Lang) == "zh-CN"
        # Nothing of "untitled" by "anonymous", which libraries write.
        assert set(document.docinfo) <= {"/ModDate"}
        for page, count in zip(document.pages, (24, 24, 2), strict=True):
            fonts = page.Resources.Font
            named = {str(fonts[name].BaseFont) for name in fonts.keys()}  # noqa: SIM118
            assert named == {"/Helvetica", "/STSong-Light"}
            # One path a code: no more is filled on the page.
            drawn = [str(step.operator) for step in pikepdf.parse_content_stream(page)]
            assert sum(drawn.count(fill) for fill in ("f", "f*", "F", "B", "b")) == count
            assert drawn.count("re") > count * 400


@pytest.mark.parametrize(
    ("dpi", "layout"), [(203, "60x40"), (300, "40x60"), (203, "50x40:2x1+2x0@104x40")]
)
def test_zpl_prints_the_planned_dots_and_every_code_is_read_back(dpi: int, layout: str) -> None:
    labels = made_labels(5)
    plan = planned(LabelFormat.ZPL, layout, dpi=dpi, pins=True)
    assert plan.layout is not None
    (data,) = files_of(plan, labels[:4], labels[4:]).values()
    printed = print_zpl(data)
    across = plan.layout.columns
    assert len(printed) == -(-5 // across)
    for number, row in enumerate(printed):
        on_it = labels[number * across : (number + 1) * across]
        assert row.image.width == round(plan.layout.page_width * dpi / 25.4)
        assert codes_in(row.image.convert("L")) == [label.uri for label in on_it]
        shown = [text for *_, text in row.texts]
        for label in on_it:
            assert f"(21) {label.serial}" in shown
            assert f"{label.pin[:4]} {label.pin[4:]}" in shown
        assert all(0 <= x < row.image.width and 0 < y <= row.image.height for x, y, *_ in row.texts)


def test_zpl_text_is_no_command() -> None:
    nasty = replace(TEXT, product=LocalizedText("白酒^XZ~JA\\5E", "A^FO0,0^GB9,9,9~"))
    plan = planned(LabelFormat.ZPL, "100x60", words=nasty, printer_font="E:SIMSUN.TTF")
    (printed,) = print_zpl(files_of(plan, made_labels(1))["labels.zpl"])
    shown = [text for *_, text in printed.texts]
    assert shown[:2] == ["白酒^XZ~JA\\5E", "A^FO0,0^GB9,9,9~"]
    assert printed.fonts == {"E:SIMSUN.TTF"}


@pytest.mark.parametrize("level", LEVELS)
def test_codes_are_read_when_turned(level: ErrorCorrection) -> None:
    plan = planned(LabelFormat.PNG, level=level)
    for number, angle in enumerate((7, 45, 90, 133, 180, 211, 270, 338)):
        uri, image = png_of(plan, number % 3)
        turned = image.rotate(angle, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
        assert codes_in(turned) == [uri], angle


@pytest.mark.parametrize("level", LEVELS)
def test_codes_are_read_when_out_of_focus(level: ErrorCorrection) -> None:
    """A blur of a standard deviation of 0.35 modules, turned besides."""
    plan = planned(LabelFormat.PNG, level=level)
    for number, angle in enumerate((0, 12, 77)):
        uri, image = png_of(plan, number)
        turned = image.rotate(angle, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
        assert codes_in(turned.filter(ImageFilter.GaussianBlur(0.35 * 8))) == [uri], angle


@pytest.mark.parametrize(
    ("level", "least", "most"), [("L", 0, 1), ("M", 19, 20), ("Q", 19, 20), ("H", 18, 20)]
)
def test_a_tenth_may_be_lost_at_the_levels_that_allow_it(level: str, least: int, most: int) -> None:
    """Twenty blots over a tenth of the symbol. L corrects 7 % and must fail: the blots are real."""
    plan = planned(LabelFormat.PNG, level=ErrorCorrection(level))
    read = 0
    for seed in range(20):
        uri, image = png_of(plan, seed % 4)
        read += codes_in(damaged(image, plan.symbol, 0.10, seed)) == [uri]
    assert least <= read <= most


def test_a_sheet_is_small() -> None:
    """A QR code is one path, compressed with the text of its page: some two kilobytes a label."""
    plan = planned(LabelFormat.PDF, pins=True)
    (data,) = files_of(plan, made_labels(24)).values()
    assert len(data) / 24 < 3000
