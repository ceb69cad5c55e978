"""The page that verifies bundles in a browser: one file, the same here and on a disk."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from tracechain.web.static import matches


class EvidencePage:
    """Serves the file, read once."""

    def __init__(self) -> None:
        self._page = (files("tracechain.web") / "evidence.html").read_bytes()
        self._tag = f'"{hashlib.sha256(self._page).hexdigest()[:32]}"'

    async def answer(self, request: Request) -> Response:
        """The page, to be asked for again with its tag."""
        headers = {"cache-control": "public, no-cache", "etag": self._tag}
        if matches(request.headers.get("if-none-match", ""), self._tag):
            return Response(status_code=304, headers=headers)
        return Response(self._page, headers=headers, media_type="text/html")
