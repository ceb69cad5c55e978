"""RFC 3339 times, as EPCIS gives them, to microseconds since 1970 UTC and back."""

from __future__ import annotations

import datetime
import re

from tracechain.domain.errors import InvalidArgument

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICRO = datetime.timedelta(microseconds=1)


def parse_time(text: str, field: str = "event_time") -> int:
    """Microseconds since 1970 UTC; digits beyond are cut off.

    Raises InvalidArgument INVALID_TIME for what is no RFC 3339 time with a zone.
    """
    if _RFC3339.fullmatch(text):
        try:
            return (datetime.datetime.fromisoformat(text) - _EPOCH) // _MICRO
        except (ValueError, OverflowError):
            pass
    raise InvalidArgument.of(field, "INVALID_TIME", "is no RFC 3339 time with a zone")


def is_offset(text: str) -> bool:
    """True for a zone offset such as `+08:00` (EPCIS 2.0: -14:00 to +14:00)."""
    return _OFFSET.fullmatch(text) is not None
