"""Who looks at the page of a code: a person whose look is a scan, or a program that fetches it
ahead of time, for a preview or for an index.

Promises that a scan is recorded for people alone: were the preview that a chat makes of a link
counted, each bottle whose link was sent to a friend would look copied.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

from starlette.types import Scope

_FETCHERS = re.compile(
    rb"bot\b|bot/|crawler|spider|slurp|preview|externalhit|embed|whatsapp/|skypeuri|vkshare|"
    rb"snippet|scraper|archiver",
    re.IGNORECASE,
)
# Headers by which a browser says that nobody looks yet.
AHEAD = frozenset((b"purpose", b"sec-purpose", b"x-purpose", b"x-moz"))


class Visit(Enum):
    """What a look at a page is."""

    SCAN = auto()
    AHEAD = auto()
    PREVIEW = auto()


def visit_of(scope: Scope) -> Visit:
    """What this request is: by what browsers say when they fetch ahead of the person, and by
    what programs call themselves."""
    for name, value in scope["headers"]:
        if name in AHEAD and (b"prefetch" in value.lower() or b"preview" in value.lower()):
            return Visit.AHEAD
        if name == b"user-agent" and fetches(value):
            return Visit.PREVIEW
    return Visit.SCAN


@lru_cache(maxsize=4096)
def fetches(agent: bytes) -> bool:
    """Whether this is what a program that makes previews or indexes calls itself."""
    return _FETCHERS.search(agent) is not None
