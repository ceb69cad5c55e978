"""Text that people wrote: present where it must be, bounded, without control characters.

What passes here may be stored, logged and printed as it is.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from tracechain.domain.errors import InvalidArgument

_CONTROLS = frozenset(("Cc", "Cs", "Zl", "Zp"))
# Embeddings, overrides and isolates (UAX #9, table 4): with them a name reads as another one.
_TURNS = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def bounded(text: str, field: str, limit: int, *, required: bool = False) -> str:
    """`text` stripped of outer blanks, at most `limit` characters.

    Raises InvalidArgument: MISSING_FIELD, TEXT_TOO_LONG, INVALID_TEXT (control characters, and
    such as end a line or turn the direction of what stands around the text).
    """
    stripped = text.strip()
    if not stripped and required:
        raise InvalidArgument.of(field, "MISSING_FIELD", "is required")
    if len(stripped) > limit:
        raise InvalidArgument.of(
            field, "TEXT_TOO_LONG", f"has {len(stripped)} characters, at most {limit} are taken"
        )
    if not stripped.isprintable() and any(
        unicodedata.category(c) in _CONTROLS or unicodedata.bidirectional(c) in _TURNS
        for c in stripped
    ):
        raise InvalidArgument.of(field, "INVALID_TEXT", "holds control characters")
    return stripped


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """A text in Chinese and English; English may be empty."""

    zh: str = ""
    en: str = ""

    def checked(self, field: str, limit: int = 200) -> LocalizedText:
        """The same text, bounded; Chinese is required. Raises as `bounded` does."""
        return LocalizedText(
            bounded(self.zh, f"{field}.zh", limit, required=True),
            bounded(self.en, f"{field}.en", limit),
        )
