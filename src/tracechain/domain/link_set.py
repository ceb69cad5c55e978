"""Links that an issuer registers for a product or a batch, and which of them a request is sent to.

Promises that a link leads to an https address that the issuer wrote down, and to nothing that a
request says: a resolver that could be told where to redirect would lend its good name to any
phishing site.

GS1-Conformant Resolver Standard 1.2, sections on link types, context and language; RFC 9264.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.text import bounded

MAX_LINKS = 50
VOCABULARY = "https://gs1.org/voc/"
DEFAULT = "gs1:defaultLink"
_TYPE = re.compile(r"gs1:[a-zA-Z][a-zA-Z0-9]{0,59}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_CONTEXT = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MEDIA = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_HREF = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[!-~]*)?")
_MAX_HREF = 2000


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its type as a CURIE of the GS1 Web Vocabulary, and where it leads. Language
    (BCP 47), context and media type may be empty: then the link is for all."""

    link_type: str
    href: str
    title: str = ""
    language: str = ""
    context: str = ""
    media_type: str = ""

    def checked(self, field: str) -> Link:
        """The same link. Raises InvalidArgument: INVALID_LINK_TYPE, INVALID_LINK, INVALID_TEXT,
        TEXT_TOO_LONG, MISSING_FIELD."""
        if not _TYPE.fullmatch(self.link_type):
            raise InvalidArgument.of(
                f"{field}.link_type", "INVALID_LINK_TYPE", "is not of the form gs1:name"
            )
        if not _is_https(self.href):
            raise InvalidArgument.of(
                f"{field}.href",
                "INVALID_LINK",
                f"is no https address of a named host, at most {_MAX_HREF} printable characters",
            )
        for name, pattern in (
            ("language", _LANGUAGE),
            ("context", _CONTEXT),
            ("media_type", _MEDIA),
        ):
            value = getattr(self, name)
            if value and not pattern.fullmatch(value):
                raise InvalidArgument.of(f"{field}.{name}", "INVALID_LINK", "is malformed")
        title = bounded(self.title, f"{field}.title", 200, required=True)
        return Link(self.link_type, self.href, title, self.language, self.context, self.media_type)


@dataclass(frozen=True, slots=True)
class LinkSet:
    """All links of one product or batch, in the issuer's order; of equals the first is taken."""

    links: tuple[Link, ...] = ()
    change_time: int = 0

    def checked(self, field: str = "link_set") -> LinkSet:
        """The same links. Raises as Link.checked does, and LIST_TOO_LONG, DUPLICATE_LINK."""
        if len(self.links) > MAX_LINKS:
            raise InvalidArgument.of(
                f"{field}.links", "LIST_TOO_LONG", f"at most {MAX_LINKS} are taken"
            )
        links = tuple(link.checked(f"{field}.links[{i}]") for i, link in enumerate(self.links))
        seen: set[tuple[str, ...]] = set()
        for i, link in enumerate(links):
            place = (link.link_type, link.language, link.context, link.media_type)
            if place in seen:
                raise InvalidArgument.of(
                    f"{field}.links[{i}]", "DUPLICATE_LINK",
                    "another link of this type has the same language, context and media type",
                )  # fmt: skip
            seen.add(place)
        return LinkSet(links, self.change_time)


def choose(
    links: Sequence[Link],
    link_type: str,
    languages: Mapping[str, float],
    media_types: Mapping[str, float],
    context: str = "",
) -> Link | None:
    """The link of a type that suits a request best; None where there is none of that type.

    Context counts most, then language, then media type; what a link leaves open suits everybody,
    and less than what was asked for.
    """
    of_type = [link for link in links if link.link_type == link_type]
    return max(
        of_type,
        key=lambda link: (
            _suits(link.context.lower(), {context.lower(): 1.0} if context else {}, ""),
            _suits(link.language.lower(), languages, "-"),
            _suits(link.media_type, media_types, "/"),
        ),
        default=None,
    )


def _suits(value: str, wanted: Mapping[str, float], separator: str) -> float:
    """How well a value suits: by the weight of what is wanted, where both are the same, or the
    same up to `separator` (en and en-GB, text/html and text/*)."""
    if not value:
        return 0.001
    found = 0.0
    for name, weight in wanted.items():
        same = name == value
        if weight and (
            same or (separator and name.partition(separator)[0] == value.partition(separator)[0]
                     and (separator == "-" or name.endswith("/*")))
        ):  # fmt: skip
            found = max(found, 1 + weight + 0.0001 * same)
    return found


def _is_https(href: str) -> bool:
    if len(href) > _MAX_HREF or not _HREF.fullmatch(href):
        return False
    try:
        parts = urlsplit(href)
        return bool(parts.hostname) and "." in (parts.hostname or "") and parts.port != 0
    except ValueError:
        return False
