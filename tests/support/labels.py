"""Labels made for tests, turned into pictures by programs that did not make them, and read back."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pypdfium2
import resvg_py
import zxingcpp
from PIL import Image, ImageDraw

from tracechain.adapters.labels.drawing import draw_labels
from tracechain.adapters.labels.joining import join_pages
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.label import Label, LabelFormat, LabelSpec, LabelText, read_layout
from tracechain.domain.label_design import LabelPlan, plan_labels
from tracechain.domain.qr import QUIET_ZONE, Symbol
from tracechain.domain.text import LocalizedText

GTIN = "06901234500110"
TEXT = LabelText(
    GTIN, "LH-0714A", "2028-07-14", LocalizedText("辽河老窖 浓香型白酒", "Liaohe Baijiu")
)
T = TypeVar("T")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def made_labels(count: int, seed: int = 1, token: int = 90) -> list[Label]:
    """Labels of codes that look like ours, the same for the same seed."""
    chance = random.Random(seed)

    def some(alphabet: str, length: int) -> str:
        return "".join(chance.choices(alphabet, k=length))

    labels = []
    for _ in range(count):
        serial = some(_ALPHABET, 13)
        uri = f"https://id.tracechain.example/01/{GTIN}/21/{serial}?91={some(_TOKEN, token)}"
        labels.append(Label(uri, serial, some(_ALPHABET, 8)))
    return labels


def planned(
    format: LabelFormat,
    layout: str = "",
    length: int = 158,
    words: LabelText = TEXT,
    **spec: object,
) -> LabelPlan:
    """A plan of the labels above."""
    chosen = read_layout(layout) if layout else None
    return plan_labels(LabelSpec(format, chosen, **spec), words, length)  # type: ignore[arg-type]


def files_of(plan: LabelPlan, *chunks: Sequence[Label]) -> dict[str, bytes]:
    """The files of labels that are drawn chunk by chunk."""
    parts = [part for chunk in chunks for part in draw_labels(plan, chunk)]
    if plan.spec.format is LabelFormat.PDF:
        return {"labels.pdf": joined([data for _, data in parts])}
    files: dict[str, bytes] = {}
    for name, data in parts:
        files[name] = files.get(name, b"") + data
    return files


def joined(parts: Sequence[bytes]) -> bytes:
    """One PDF of several."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.pdf") for number in range(len(parts))]
        for path, data in zip(paths, parts, strict=True):
            path.write_bytes(data)
        whole = Path(folder, "whole.pdf")
        join_pages(paths, whole)
        return whole.read_bytes()


def svg_image(data: bytes, dpi: int = 300) -> Image.Image:
    """An SVG as a browser draws it."""
    drawn = resvg_py.svg_to_bytes(svg_string=data.decode(), dpi=dpi, skip_system_fonts=True)
    return Image.open(io.BytesIO(drawn)).convert("L")


def pdf_images(data: bytes, dpi: int = 300) -> list[Image.Image]:
    """The pages of a PDF as a viewer draws them."""
    with pypdfium2.PdfDocument(data) as document:
        return [page.render(scale=dpi / 72).to_pil().convert("L") for page in document]


def codes_in(image: Image.Image) -> list[str]:
    """The texts of all QR codes in a picture."""
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
    return [one.text for one in found]


def symbol_image(symbol: Symbol, image: Image.Image) -> Image.Image:
    """The picture of one QR code at eight pixels a module, quiet zone included."""
    side = (symbol.modules + 2 * QUIET_ZONE) * 8
    return image.convert("L").resize((side, side), Image.Resampling.NEAREST)


def damaged(image: Image.Image, symbol: Symbol, share: float, seed: int) -> Image.Image:
    """The same with a blot over this share of the symbol, anywhere but on its finder patterns.

    What no error correction repairs is a finder pattern: without one nothing is found.
    """
    chance = random.Random(seed)
    module = image.width / (symbol.modules + 2 * QUIET_ZONE)
    radius = symbol.modules * math.sqrt(share / math.pi)
    side, finder = symbol.modules, 8 + radius
    while True:
        x, y = (chance.uniform(radius, side - radius) for _ in range(2))
        corners = ((0, 0), (side, 0), (0, side))
        if all(abs(x - cx) > finder or abs(y - cy) > finder for cx, cy in corners):
            break
    spoiled = image.copy()
    centre_x, centre_y, r = ((v + QUIET_ZONE) * module for v in (x, y, radius - QUIET_ZONE))
    ImageDraw.Draw(spoiled).ellipse(
        (centre_x - r, centre_y - r, centre_x + r, centre_y + r), fill=chance.choice((0, 255))
    )
    return spoiled


def outcome(make: Callable[[], T]) -> T | InvalidArgument:
    """What a call gives, or the InvalidArgument that it raises."""
    try:
        return make()
    except InvalidArgument as error:
        return error
