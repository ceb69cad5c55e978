"""A small ZPL II interpreter: it places what a label printer would, dot by dot.

It knows the commands that our labels use and refuses any other, so that a command with a spelling
mistake is a failed test and not an empty label. Text is not drawn but listed, with its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

_COMMAND = re.compile(r"\^(FO|FT|FS|FH|FD|GFA,|GB|CI|PW|LL|LH|A0N|A@N|XZ)([^^]*)")
_ESCAPE = re.compile(r"((?:\\[0-9A-F]{2})+)")


@dataclass
class ZplLabel:
    """What one ^XA…^XZ prints."""

    image: Image.Image
    texts: list[tuple[int, int, int, str]] = field(default_factory=list)
    fonts: set[str] = field(default_factory=set)


def print_zpl(data: bytes) -> list[ZplLabel]:
    """The labels that the commands print. Raises ValueError for what is no command of ours."""
    labels = []
    text = data.decode("utf-8")
    for form in text.split("^XA")[1:]:
        body = form.replace("\n", "")
        if not body.endswith("^XZ") or "".join(m[0] for m in _COMMAND.finditer(body)) != body:
            raise ValueError(f"these are not all commands: {body[:200]}")
        labels.append(_print(body))
    if text.split("^XA")[0]:
        raise ValueError("something stands before ^XA")
    return labels


def _print(body: str) -> ZplLabel:
    commands = [(m[1], m[2]) for m in _COMMAND.finditer(body)]
    sizes = {name: int(value) for name, value in commands if name in ("PW", "LL")}
    assert ("CI", "28") in commands
    label = ZplLabel(Image.new("1", (sizes["PW"], sizes["LL"]), 1))
    pen = ImageDraw.Draw(label.image)
    x = y = size = 0
    is_escaped = False
    for name, value in commands:
        if name in ("FO", "FT"):
            x, y = map(int, value.split(","))
        elif name in ("A0N", "A@N"):
            parts = value.strip(",").split(",")
            size = int(parts[0])
            label.fonts.add(parts[2] if name == "A@N" else "0")
        elif name == "FH":
            is_escaped = value == "\\"
        elif name == "FD":
            label.texts.append((x, y, size, _unescaped(value) if is_escaped else value))
        elif name == "GB":
            width, height, thick = map(int, value.split(","))
            pen.rectangle((x, y, x + width - 1, y + height - 1), outline=0, width=thick)
        elif name == "GFA,":
            label.image.paste(_graphic(value), (x, y))
        elif name == "FS":
            is_escaped = False
    return label


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: bytes.fromhex(m[1].replace("\\", "")).decode("utf-8"), text)


def _graphic(value: str) -> Image.Image:
    """^GFA with the compression that we use: `:` repeats the row above."""
    total, stored, wide, data = value.split(",", 3)
    rows: list[bytes] = []
    at, hexes = 0, 2 * int(wide)
    while at < len(data):
        if data[at] == ":":
            rows.append(rows[-1])
            at += 1
        else:
            rows.append(bytes.fromhex(data[at : at + hexes]))
            at += hexes
    pixels = b"".join(rows)
    if not len(pixels) == int(total) == int(stored):
        raise ValueError(f"the picture has {len(pixels)} bytes and says {total}")
    # A one is a dot that is printed, so dark; Pillow has it the other way.
    flipped = bytes(255 - byte for byte in pixels)
    return Image.frombytes("1", (8 * int(wide), len(rows)), flipped)
