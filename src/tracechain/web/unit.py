"""The page of one unit: a look at it is a scan, recorded before the answer leaves.

A refresh by the same phone is the same scan for some minutes: it carries the number of the first
look. This is the way that a busy service goes most: it makes no object that it does not need.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tracechain.app.journeys import Journeys
from tracechain.app.limits import Limits
from tracechain.app.ports import Clock
from tracechain.app.scanning import Scanning, ScanRequest
from tracechain.domain.digital_link import DigitalLink
from tracechain.domain.region import Language
from tracechain.domain.verdict import Verdict, VerdictReason
from tracechain.web.device import cookie, device_of, fresh, mark_in
from tracechain.web.guard import FormTokens
from tracechain.web.headers import NO_STORE
from tracechain.web.negotiation import LANGUAGES, language, media_type
from tracechain.web.pages import Pages, language_of
from tracechain.web.scan_page import Place, ScanPage, place_of
from tracechain.web.verdict_json import verdict_json
from tracechain.web.visits import AHEAD, Visit, fetches, visit_of

# A look again within this time, in microseconds, is the same scan.
_SAME_SCAN = 600_000_000
HTML, JSON, LINKSET = "text/html", "application/json", "application/linkset+json"
# What a thing is offered in, the first of equals.
OFFERS = (HTML, JSON, LINKSET)
_HTML = (b"content-type", b"text/html; charset=utf-8")
_HEADERS = {
    lang: (
        _HTML,
        NO_STORE,
        (b"vary", b"accept, accept-language"),
        (b"content-language", lang.encode()),
    )
    for lang in LANGUAGES
}
_CANONICAL = re.compile(rb"(/01/[0-9]{14}/21/[0-9A-Z]{13})\?91=[A-Za-z0-9_-]{16,90}")


class Ready:
    """An answer whose headers and body are bytes already."""

    __slots__ = ("_body", "_start")

    def __init__(self, headers: list[tuple[bytes, bytes]], body: bytes, status: int = 200) -> None:
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await send(self._start)
        await send({"type": "http.response.body", "body": self._body})


class Units:
    """Answers for units."""

    def __init__(
        self,
        scanning: Scanning,
        journeys: Journeys,
        pages: Pages,
        limits: Limits,
        tokens: FormTokens,
        clock: Clock,
        resolver: str,
    ) -> None:
        self._scanning = scanning
        self._journeys = journeys
        self._pages = pages
        self._page = ScanPage(pages, journeys)
        self._limits = limits
        self._tokens = tokens
        self._clock = clock
        self._resolver = resolver

    async def html(self, request: Request, link: DigitalLink, client: str) -> ASGIApp:
        """The page for a person. Raises Unavailable, ResourceExhausted: see Scanning.verify."""
        scope = request.scope
        visit = visit_of(scope)
        if scope["method"] == "HEAD" or visit is Visit.AHEAD:
            # Nothing is looked up, and a browser that fetched ahead asks again when it is time.
            return Ready([_HTML, NO_STORE], b"", 503 if visit is Visit.AHEAD else 200)
        if visit is Visit.PREVIEW:
            return self._pages.answer(request, "preview.html")
        code = link.code(self._resolver)
        here = f"{link.path}?91={quote(link.token, safe='')}&" if link.token else f"{link.path}?"
        known, lang = device_of(scope), language_of(request)
        device = known or fresh()
        verdict = await self._scanned(code, client, known, device)
        place = place_of(code, here)
        return await self._shown(verdict, lang, place, link.path, code, known, device)

    async def at_once(self, scope: Scope, client: str) -> ASGIApp | None:
        """The page of a code in its one spelling, for a person's browser: the way that nearly all
        requests go, read no more often than once. None for all else. Raises as `html` does."""
        target = scope["raw_path"] + b"?" + scope["query_string"]
        found = _CANONICAL.fullmatch(target)
        if found is None or scope["method"] != "GET":
            return None
        accept = languages = b""
        known = ""
        for name, value in scope["headers"]:
            if name == b"accept":
                accept = value
            elif name == b"accept-language":
                languages = value
            elif name == b"cookie":
                known = mark_in(value)
            elif name in AHEAD or (name == b"user-agent" and fetches(value)):
                return None
        if media_type(accept.decode("latin-1"), OFFERS) != HTML:
            return None
        text = target.decode()
        code = f"https://{self._resolver}{text}"
        device = known or fresh()
        verdict = await self._scanned(code, client, known, device)
        if verdict.reasons[0] is VerdictReason.MALFORMED_CODE:
            # What is wrong with it is said by who reads it piece by piece; nothing was recorded.
            return None
        lang = language(languages.decode("latin-1"))
        # Neither markup nor a query gives any of these characters a meaning.
        place = Place(code, code, f"{text}&amp;")
        return await self._shown(verdict, lang, place, found[1].decode(), code, known, device)

    async def _scanned(self, code: str, client: str, known: str, device: str) -> Verdict:
        self._limits.look(client, code)
        # A device that has no mark yet scans without one: a phone that takes no cookies would
        # else look like another phone each time.
        once = f"{device}{self._clock() // _SAME_SCAN}"
        return await self._scanning.verify(ScanRequest(code, known, "", once))

    async def _shown(
        self,
        verdict: Verdict,
        lang: Language,
        place: Place,
        path: str,
        code: str,
        known: str,
        device: str,
    ) -> Ready:
        body = await self._page.render(verdict, lang, place, self._tokens.make(device, code))
        headers = [
            *_HEADERS[lang],
            (b"content-length", str(len(body)).encode()),
            (b"link", linkset(path).encode()),
        ]
        if not known:
            headers.append(cookie(device))
        return Ready(headers, body)

    async def json(self, request: Request, link: DigitalLink, client: str) -> ASGIApp:
        """The verdict for a program. Raises as `html` does."""
        headers = {
            "cache-control": "no-store",
            "vary": "accept, accept-language",
            "access-control-allow-origin": "*",
            "link": linkset(link.path),
        }
        if request.method == "HEAD":
            return Response(b"", 200, headers, "application/json")
        code = link.code(self._resolver)
        self._limits.look(client, code)
        verdict = await self._scanning.verify(ScanRequest(code))
        hops = await self._journeys.of(verdict.steps)
        text = json.dumps(verdict_json(verdict, hops, self._clock()), ensure_ascii=False)
        return Response(text, 200, headers, "application/json")


def linkset(path: str) -> str:
    """The header that says where all links of a thing are listed (RFC 9264, section 6.2)."""
    return f'<{path}?linkType=linkset>; rel="linkset"; type="application/linkset+json"'
