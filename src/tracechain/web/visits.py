"""Who looks at the page of a code: a person whose look is a scan, or a program that fetches it
ahead of time, for a preview or for an index.

Promises that a scan is recorded for people alone: were the preview that a chat makes of a link
counted, each bottle whose link was sent to a friend would look copied.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from starlette.types import Scope

_FETCHERS = re.compile(
    rb"bot\b|bot/|crawler|spider|slurp|preview|externalhit|embed|whatsapp/|skypeuri|vkshare|"
    rb"snippet|scraper|archiver",
    re.IGNORECASE,
)
_AHEAD = (b"purpose", b"sec-purpose", b"x-purpose", b"x-moz")


class Visit(Enum):
    """What a look at a page is."""

    SCAN = auto()
    AHEAD = auto()
    PREVIEW = auto()


def visit_of(scope: Scope) -> Visit:
    """What this request is: by what browsers say when they fetch ahead of the person, and by
    what programs call themselves."""
    for name, value in scope["headers"]:
        if name in _AHEAD and (b"prefetch" in value.lower() or b"preview" in value.lower()):
            return Visit.AHEAD
        if name == b"user-agent" and _FETCHERS.search(value):
            return Visit.PREVIEW
    return Visit.SCAN
