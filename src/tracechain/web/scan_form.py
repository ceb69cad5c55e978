"""`/scan`: the form into which a code is typed; the camera is the script's."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tracechain.domain.code import CodeDefect, MalformedCode, parse_code
from tracechain.web.pages import Pages, language_of

_MAX_TYPED = 2048


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
            try:
                parse_code(typed[:_MAX_TYPED], self._resolver)
            except MalformedCode as error:
                foreign = error.detail in (CodeDefect.SCHEME, CodeDefect.UNKNOWN_RESOLVER)
                defect = "foreign" if foreign else "malformed"
            else:
                # The language of the page stays; it is no part of the code.
                path = typed.removeprefix(f"https://{self._resolver}")
                path += f"&lang={language_of(request)}"
                return RedirectResponse(path, 303, {"cache-control": "no-store"})
        return self._pages.answer(
            request, "scan.html", status=400 if defect else 200, defect=defect, typed=typed
        )
