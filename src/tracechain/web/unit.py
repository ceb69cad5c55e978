"""The page of one unit: a look at it is a scan, recorded before the answer leaves.

A refresh by the same phone is the same scan for some minutes: it carries the number of the first
look. This is the way that a busy service goes most: it makes no object that it does not need.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tracechain.app.journeys import Journeys
from tracechain.app.ports import Clock
from tracechain.app.scanning import Scanning, ScanRequest
from tracechain.domain.digital_link import DigitalLink
from tracechain.web.device import cookie, device_of, fresh
from tracechain.web.guard import FormTokens
from tracechain.web.headers import NO_STORE
from tracechain.web.pages import Pages, language_of
from tracechain.web.scan_page import ScanPage
from tracechain.web.verdict_json import verdict_json
from tracechain.web.visits import Visit, visit_of

# A look again within this time, in microseconds, is the same scan.
_SAME_SCAN = 600_000_000
_VARY = (b"vary", b"accept, accept-language")
_HTML = (b"content-type", b"text/html; charset=utf-8")


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
        tokens: FormTokens,
        clock: Clock,
        resolver: str,
    ) -> None:
        self._scanning = scanning
        self._journeys = journeys
        self._pages = pages
        self._page = ScanPage(pages, journeys)
        self._tokens = tokens
        self._clock = clock
        self._resolver = resolver

    async def html(self, request: Request, link: DigitalLink) -> ASGIApp:
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
        known = device_of(scope)
        device = known or fresh()
        lang = language_of(request)
        verdict = await self._scanning.verify(
            # A device that has no mark yet scans without one: a phone that takes no cookies
            # would else look like another phone each time.
            ScanRequest(code, known, "", f"{device}{self._clock() // _SAME_SCAN}")
        )
        token = self._tokens.make(device, code)
        body = await self._page.render(verdict, lang, code, here, token)
        headers = [
            _HTML,
            NO_STORE,
            _VARY,
            (b"content-language", lang.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"link", linkset_of(link).encode()),
        ]
        if not known:
            headers.append(cookie(device))
        return Ready(headers, body)

    async def json(self, request: Request, link: DigitalLink) -> ASGIApp:
        """The verdict for a program. Raises as `html` does."""
        headers = {
            "cache-control": "no-store",
            "vary": "accept, accept-language",
            "access-control-allow-origin": "*",
            "link": linkset_of(link),
        }
        if request.method == "HEAD":
            return Response(b"", 200, headers, "application/json")
        verdict = await self._scanning.verify(ScanRequest(link.code(self._resolver)))
        hops = await self._journeys.of(verdict.steps)
        text = json.dumps(verdict_json(verdict, hops, self._clock()), ensure_ascii=False)
        return Response(text, 200, headers, "application/json")


def linkset_of(link: DigitalLink) -> str:
    """The header that says where all links of a thing are listed (RFC 9264, section 6.2)."""
    target = f"{link.path}?linkType=linkset"
    return f'<{target}>; rel="linkset"; type="application/linkset+json"'
