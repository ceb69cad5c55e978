"""Pages: sizes in their bounds, and tokens that say where the next one starts.

A token is opaque to callers and good for the list that gave it only. It holds no secret: what a
caller may see is decided at each call.
"""

from __future__ import annotations

import base64
import binascii

from tracechain.domain.errors import InvalidArgument

DEFAULT_SIZE = 100
MAX_SIZE = 1000


def size(asked: int, default: int = DEFAULT_SIZE) -> int:
    """The size of a page: `asked`, or the default for 0. Raises InvalidArgument."""
    if asked < 0:
        raise InvalidArgument.of("page_size", "INVALID_PAGE_SIZE", "is negative")
    return min(asked, MAX_SIZE) or default


def token(kind: str, after: str) -> str:
    """A token for the page behind `after` in the list named `kind`."""
    return base64.urlsafe_b64encode(f"{kind}\x00{after}".encode()).decode().rstrip("=")


def after(kind: str, text: str) -> str:
    """What `token` was made from; empty for an empty text. Raises InvalidArgument."""
    if not text:
        return ""
    try:
        padded = text + "=" * (-len(text) % 4)
        given, separator, value = (
            base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition("\x00")
        )
    except (binascii.Error, ValueError):
        given, separator, value = "", "", ""
    # No list has a place with U+0000 in its name, and not every store can look for one.
    if not separator or given != kind or "\x00" in value:
        raise InvalidArgument.of("page_token", "INVALID_PAGE_TOKEN", "is none of this list's")
    return value


def after_number(kind: str, text: str) -> int:
    """The same for lists whose places are numbers; 0 for an empty text."""
    value = after(kind, text)
    if value and not (value.isdigit() and value.isascii() and len(value) < 19):
        raise InvalidArgument.of("page_token", "INVALID_PAGE_TOKEN", "is none of this list's")
    return int(value or 0)
