"""A GS1 Digital Link as a request for it arrives: a path, and attributes in the query.

Promises that every spelling that the standard allows (a stem before the key, qualifiers in any
order, percent-encoding, GTIN-8, -12 and -13) comes out as one `DigitalLink`, and that what is
wrong is said with a reason. Were two spellings of a unit to come out apart, the page of a copied
code could be reached as that of another unit.

GS1 Digital Link Standard: URI Syntax 1.4, sections 4 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, unquote_plus

from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.domain.identifiers import gln, gtin14, lot, serial, sscc

MAX_LENGTH = 4096
_MAX_ATTRIBUTES = 64
_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_TOKEN = "91"
# The keys that are answered here, and the qualifiers that each may have.
KEYS: Mapping[str, tuple[str, ...]] = {
    "01": ("22", "10", "21"),
    "00": (),
    "414": ("254",),
    "417": (),
}
_QUALIFIERS = frozenset(q for allowed in KEYS.values() for q in allowed)


def _variant(text: str, at: str) -> str:
    if not 0 < len(text) <= 20:
        raise InvalidArgument.of(at, "INVALID_DIGITAL_LINK", "has 1 to 20 characters")
    return lot(text, at)


_CHECKS: Mapping[str, Callable[[str, str], str]] = {
    "01": gtin14,
    "00": sscc,
    "414": gln,
    "417": gln,
    "10": lot,
    "21": serial,
    "22": _variant,
    "254": _variant,
}


@dataclass(frozen=True, slots=True)
class DigitalLink:
    """What a link names. `key` is an application identifier of KEYS, `value` its value, checked
    and padded; `qualifiers` are by their identifiers, decoded; `token` is AI 91 as it stood.

    `attributes` are the other parameters, decoded, the first of each name.
    """

    key: str
    value: str
    qualifiers: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_unit(self) -> bool:
        """Whether it names one item of a product."""
        return self.key == "01" and "21" in self.qualifiers

    @property
    def path(self) -> str:
        """Its one spelling here: no stem, qualifiers in the standard's order, no attributes."""
        parts = [f"/{self.key}/{self.value}"]
        for name in KEYS[self.key]:
            if name in self.qualifiers:
                parts.append(f"/{name}/{quote(self.qualifiers[name], safe='')}")
        return "".join(parts)

    @property
    def address(self) -> str:
        """Its path, with the token of a unit: what the page says rests on it."""
        token = self.token if self.is_unit else ""
        return f"{self.path}?{_TOKEN}={quote(token, safe='')}" if token else self.path

    def code(self, resolver: str) -> str:
        """The text of the code that this link was read from: see tracechain.domain.code. What
        beside GTIN, serial and token stands in the link is no part of it."""
        text = f"https://{resolver}/01/{self.value}/21/{self.qualifiers['21']}"
        return f"{text}?91={self.token}" if self.token else text


def parse_link(path: str, query: str = "") -> DigitalLink:
    """The link with this path and query, both as they were sent, percent-encoded.

    Raises NotFound PAGE_NOT_FOUND for a path without a GS1 key; InvalidArgument
    INVALID_DIGITAL_LINK for one that breaks the syntax, and the reasons of `identifiers` for
    values that are wrong.
    """
    if len(path) + len(query) > MAX_LENGTH:
        raise _broken("", f"has more than {MAX_LENGTH} characters")
    segments = path.split("/")[1:]
    if segments and not segments[-1]:
        segments.pop()
    # Pairs are read from the right, so that a stem of any shape is left over on the left.
    at = len(segments) - 2
    while at >= 0 and segments[at] in _QUALIFIERS:
        at -= 2
    if at < 0 or segments[at] not in KEYS:
        raise _not_one(segments)
    key = segments[at]
    value = _CHECKS[key](_decoded(segments[at + 1], key), key)
    qualifiers: dict[str, str] = {}
    for name, text in zip(segments[at + 2 :: 2], segments[at + 3 :: 2], strict=True):
        if name not in KEYS[key]:
            raise _broken(name, f"is no qualifier of {key}")
        if name in qualifiers:
            raise _broken(name, "stands twice")
        qualifiers[name] = _CHECKS[name](_decoded(text, name), name)
    attributes = _attributes(query)
    token = attributes.pop(_TOKEN, "")
    return DigitalLink(key, value, qualifiers, token, attributes)


def _attributes(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    parts = [part for part in query.replace(";", "&").split("&") if part]
    if len(parts) > _MAX_ATTRIBUTES:
        raise _broken("", f"has more than {_MAX_ATTRIBUTES} attributes")
    for part in parts:
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name.isdigit():
            value = _decoded(value, name)
            if found.get(name, value) != value:
                raise _broken(name, "stands twice, with different values")
        else:
            # Apps hang what they like on a link, in any encoding: that takes nobody's answer away.
            value = unquote_plus(value)
        if value.isprintable():
            found.setdefault(name, value)
    return found


def _decoded(text: str, at: str) -> str:
    if "%" not in text:
        return text
    if _NO_ESCAPE.search(text):
        raise _broken(at, "holds a % that begins no escape")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _broken(at, "is not UTF-8 once it is decoded") from None
    if not decoded.isprintable():
        raise _broken(at, "holds control characters")
    return decoded


def _not_one(segments: list[str]) -> NotFound | InvalidArgument:
    named = [name for name in segments if name in KEYS]
    if named and len(segments) > 1:
        return _broken(named[0], "is not followed by pairs of qualifier and value")
    return NotFound("PAGE_NOT_FOUND", "there is no page here, and this is no GS1 Digital Link")


def _broken(at: str, how: str) -> InvalidArgument:
    return InvalidArgument.of(at, "INVALID_DIGITAL_LINK", how)
