"""A small map: where goods have been, drawn from the seats of provinces and of some prefectures.

It is a scheme and no survey: dots at about the right places, and the way between them. Nothing
is fetched for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from markupsafe import Markup, escape

from tracechain.domain.region import Language, Region

# Longitude and latitude in tenths of a degree, by the first digits of the division.
_SEATS = {
    "11": (1164, 399), "12": (1172, 391), "13": (1145, 380), "14": (1125, 379),
    "15": (1117, 408), "21": (1234, 418), "22": (1253, 439), "23": (1266, 458),
    "31": (1215, 312), "32": (1188, 321), "33": (1202, 303), "34": (1173, 318),
    "35": (1193, 261), "36": (1159, 287), "37": (1170, 367), "41": (1136, 347),
    "42": (1143, 306), "43": (1130, 282), "44": (1133, 231), "45": (1083, 228),
    "46": (1103, 200), "50": (1065, 296), "51": (1041, 307), "52": (1067, 266),
    "53": (1027, 250), "54": (911, 297), "61": (1089, 343), "62": (1038, 361),
    "63": (1018, 366), "64": (1063, 385), "65": (876, 438), "71": (1215, 250),
    "81": (1142, 223), "82": (1135, 222),
    "2102": (1216, 389), "2103": (1230, 411), "2104": (1239, 419), "2105": (1238, 413),
    "2106": (1244, 401), "2107": (1211, 411), "2108": (1222, 407), "2109": (1217, 420),
    "2110": (1232, 413), "2111": (1221, 411), "2112": (1238, 423), "2113": (1204, 416),
    "2114": (1208, 407),
}  # fmt: skip
# A degree of latitude is longer than one of longitude at these latitudes.
_STRETCH = 1.25
_LEAST = 60.0


def seat(region: str) -> tuple[float, float] | None:
    """Where a division is drawn; its province's place where its own is not known."""
    found = _SEATS.get(region[:4]) or _SEATS.get(region[:2])
    return (float(found[0]), -found[1] * _STRETCH) if found else None


def draw(regions: Sequence[str], lang: Language) -> Markup:
    """The way through these divisions as SVG; empty where there is nothing to draw."""
    way = [r for i, r in enumerate(regions) if seat(r) and (i == 0 or regions[i - 1] != r)]
    points = {region: place for region in way if (place := seat(region))}
    if not points:
        return Markup()
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    span = max(max(xs) - min(xs), (max(ys) - min(ys)) * 1.6, _LEAST) * 1.5
    width, height = span, span / 1.6
    left = (min(xs) + max(xs) - width) / 2
    top = (min(ys) + max(ys) - height) / 2
    unit = width / 100
    parts = [
        f'<circle cx="{x}" cy="{-y * _STRETCH:.0f}" r="{unit * 0.6:.1f}"/>'
        for x, y in _SEATS.values()
        if left < x < left + width and top < -y * _STRETCH < top + height
    ]
    lines = " ".join(f"{x:.0f},{y:.0f}" for x, y in (points[region] for region in way))
    names = _names(points, unit, left + width * 0.7, lang)
    said = ", ".join(Region(region).display(lang) for region in points)
    label = ("示意图：" if lang == "zh" else "Sketch: ") + said
    return Markup(
        f'<svg class="map" role="img" aria-label="{escape(label)}" '
        f'viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}">'
        f'<g class="dots">{"".join(parts)}</g>'
        f'<polyline points="{lines}" stroke-width="{unit * 0.8:.1f}"/>{"".join(names)}</svg>'
    )


def _names(
    points: dict[str, tuple[float, float]], unit: float, edge: float, lang: Language
) -> list[str]:
    """A dot and a name each, to the left of it beyond `edge`; a name that would lie on another is
    left out."""
    drawn: list[str] = []
    placed: list[tuple[float, float]] = []
    for code, (x, y) in points.items():
        drawn.append(f'<circle class="stop" cx="{x:.0f}" cy="{y:.0f}" r="{unit * 1.5:.1f}"/>')
        if any(hypot((x - a) / 2, y - b) < 5 * unit for a, b in placed):
            continue
        placed.append((x, y))
        region = Region(code)
        name = region.name(lang) or region.province.name(lang) or ""
        turn, aside = (' text-anchor="end"', -2) if x > edge else ("", 2)
        drawn.append(
            f'<text x="{x + aside * unit:.1f}" y="{y - 1.5 * unit:.1f}"{turn} '
            f'font-size="{unit * 4.5:.1f}">{escape(name)}</text>'
        )
    return drawn
