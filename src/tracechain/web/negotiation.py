"""What a client would rather have: media types and languages by their weights (RFC 9110, 12.5).

A header that cannot be read says nothing; none makes an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tracechain.domain.region import Language

_MOST = 32
LANGUAGES: tuple[Language, ...] = ("zh", "en")


def media_type(accept: str, offers: Sequence[str]) -> str:
    """The offer that `accept` weighs most, the first of equals; empty where it takes none."""
    return _media_type(accept[:1024], tuple(offers))


@lru_cache(maxsize=1024)
def _media_type(accept: str, offers: tuple[str, ...]) -> str:
    ranges = weights(accept)
    if not ranges:
        return offers[0]
    best, weight = "", 0.0
    for offer in offers:
        kind = offer.split("/", 1)[0]
        # The most specific range that fits decides, not the heaviest.
        found = next((ranges[name] for name in (offer, f"{kind}/*", "*/*") if name in ranges), 0.0)
        if found > weight:
            best, weight = offer, found
    return best


def named(asked: str) -> Language | None:
    """The language that is asked for by its name; None for any other text."""
    return next((lang for lang in LANGUAGES if lang == asked), None)


@lru_cache(maxsize=1024)
def language(accept: str) -> Language:
    """`zh` or `en`: what `accept` weighs most, Chinese of equals and where it names neither."""
    best, weight = LANGUAGES[0], 0.0
    ranges = weights(accept[:1024])
    for offer in LANGUAGES:
        found = max(
            (w for tag, w in ranges.items() if tag.split("-", 1)[0] == offer),
            default=ranges.get("*", 0.0) / 1000,
        )
        if found > weight:
            best, weight = offer, found
    return best


def weights(header: str) -> dict[str, float]:
    """What a header lists, in lower case, with its weights."""
    found: dict[str, float] = {}
    for item in header.split(",")[:_MOST]:
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value.strip())
        if name and weight >= 0:
            found[name] = max(weight, found.get(name, 0.0))
    return found


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if 0 <= value <= 1 else -1.0
