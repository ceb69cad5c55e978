"""The description of the API over HTTP, as it was generated: an ASGI application for one document.

It changes with a release only, so a reader that has it is told so by its ETag.
"""

from __future__ import annotations

import gzip
import hashlib
from http import HTTPStatus
from importlib import resources
from typing import Any

from tracechain.rpc.connect_errors import UNIMPLEMENTED, HttpRefused
from tracechain.rpc.status import described

OPENAPI_PATH = "/openapi.json"


class OpenApiDocument:
    """Answers GET and HEAD with the document."""

    def __init__(self) -> None:
        self._plain = resources.files(__package__).joinpath("openapi.json").read_bytes()
        self._packed = gzip.compress(self._plain, mtime=0)
        mark = hashlib.sha256(self._plain).hexdigest()[:32]
        self._marks = {False: f'"{mark}"', True: f'"{mark}-gzip"'}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request: 200, 304 to whoever has the document, 405 to other methods."""
        if scope["type"] != "http":
            return
        if scope["path"] != OPENAPI_PATH:
            refusal = described(UNIMPLEMENTED, "UNKNOWN_METHOD", "there is nothing here")
            await HttpRefused(HTTPStatus.NOT_FOUND, refusal).answer(send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            refusal = described(UNIMPLEMENTED, "METHOD_NOT_ALLOWED", "it is read by GET or HEAD")
            await HttpRefused(
                HTTPStatus.METHOD_NOT_ALLOWED, refusal, [(b"allow", b"GET, HEAD")]
            ).answer(send)
            return
        asked = {key: value.decode("latin-1") for key, value in scope["headers"]}
        accepted = {part.strip() for part in asked.get(b"accept-encoding", "").split(",")}
        packed = "gzip" in accepted
        content = self._packed if packed else self._plain
        headers = [
            (b"etag", self._marks[packed].encode()),
            (b"cache-control", b"public, max-age=300"),
            (b"vary", b"accept-encoding"),
        ]
        known = {
            part.strip().removeprefix("W/") for part in asked.get(b"if-none-match", "").split(",")
        }
        if known & {"*", *self._marks.values()}:
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        if packed:
            headers.append((b"content-encoding", b"gzip"))
        headers += [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = content if scope["method"] == "GET" else b""
        await send({"type": "http.response.body", "body": body})
