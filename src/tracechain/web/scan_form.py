"""`/scan`: the form into which a code is typed; the camera is the script's."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tracechain.domain.code import parse_code
from tracechain.domain.digital_link import parse_link
from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.web.pages import Pages, language_of
from tracechain.web.unit import with_query

_MAX_TYPED = 2048
_SECURE = re.compile(r"\Ahttps://", re.IGNORECASE)


class ScanForm:
    """The page, and the way from a typed code to its own page."""

    def __init__(self, pages: Pages, resolver: str) -> None:
        self._pages = pages
        self._resolver = resolver

    async def page(self, request: Request) -> Response:
        """The form; with `code` a redirect to the page of that code, here and nowhere else."""
        typed = request.query_params.get("code", "").strip()
        defect = ""
        if typed:
            # A person leaves `https://` out, and a keyboard makes the first letter large.
            host, slash, rest = _SECURE.sub("", typed[:_MAX_TYPED]).partition("/")
            if slash and host.lower() != self._resolver:
                defect = "foreign"
            elif address := self._address(rest):
                # The language of the page stays; it is no part of the code.
                path = f"{with_query(address)}lang={language_of(request)}"
                return RedirectResponse(path, 303, {"cache-control": "no-store"})
            else:
                defect = "malformed"
        return self._pages.answer(
            request, "scan.html", status=400 if defect else 200, defect=defect, typed=typed
        )

    def _address(self, rest: str) -> str:
        """The address on this site of what is named behind our host; empty where that is no code,
        product, batch, container or party."""
        parts = urlsplit(f"/{rest.lstrip('/')}")
        try:
            link = parse_link(parts.path, parts.query)
            if link.is_unit:
                parse_code(link.code(self._resolver), self._resolver)
        except (InvalidArgument, NotFound):
            return ""
        return link.address
