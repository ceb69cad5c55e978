"""Files of the package that are the same for everybody, served from memory.

Under `/static/{version}/`, where the version is a hash of all files, a file never changes and is
kept for ever; modules find each other there by relative addresses. Without the version, and at
the root (a service worker's scope), a file is asked for again with its ETag. Texts and WebAssembly
go compressed to whoever takes gzip; these hold nothing secret, so that lengths tell nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from tracechain.domain.errors import NotFound

PREFIX = "/static/"
# Files that have to be at the root as well.
ROOT_FILES = {
    "/sw.js": "sw.js",
    "/manifest.webmanifest": "manifest.webmanifest",
    "/favicon.ico": "favicon.ico",
}
_PACKED = {"css", "js", "json", "svg", "txt", "wasm", "webmanifest"}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}


class Static:
    """The files, read once. `index.json` among them lists the others with the version."""

    def __init__(self) -> None:
        self._files = dict(_walk(files("tracechain.web") / "static", ""))
        whole = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        self.version = whole.hexdigest()[:16]
        # The worker knows its release by this, and a release changes its bytes: browsers look.
        if worker := self._files.get("sw.js"):
            folder = f"{PREFIX}{self.version}/"
            self._files["sw.js"] = f'const STATIC = "{folder}";\n'.encode() + worker
        listed = {"version": self.version, "files": sorted(self._files)}
        self._files["index.json"] = json.dumps(listed).encode()
        self._tags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            for name, content in self._files.items()
        }

        self._packed: dict[str, bytes] = {}

    def url(self, name: str) -> str:
        """Where a file is found for ever. Raises KeyError for one that is not there."""
        if name not in self._files:
            raise KeyError(name)
        return f"{PREFIX}{self.version}/{name}"

    async def serve(self, request: Request) -> Response:
        """A file. Raises NotFound PAGE_NOT_FOUND."""
        path = request.url.path
        name = ROOT_FILES.get(path) or path.removeprefix(PREFIX)
        caching = _ASK_AGAIN
        if name.startswith(f"{self.version}/"):
            name, caching = name.removeprefix(f"{self.version}/"), _FOR_EVER
        content = self._files.get(name)
        if content is None:
            raise NotFound("PAGE_NOT_FOUND", "there is no such file")
        tag, ending = self._tags[name], name.rpartition(".")[2]
        headers = {"cache-control": caching}
        if ending in _PACKED:
            headers["vary"] = "Accept-Encoding"
            if takes_gzip(request.headers.get("accept-encoding", "")):
                # Another sequence of bytes, so another strong tag (RFC 9110, 8.8.3).
                tag = f'{tag[:-1]}-gzip"'
                headers["content-encoding"] = "gzip"
                content = self._pack(name, content)
        headers["etag"] = tag
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        kind = _TYPES.get(ending, "application/octet-stream")
        return Response(content, headers=headers, media_type=kind)

    def _pack(self, name: str, content: bytes) -> bytes:
        # When it is first asked for: compressing all would slow every start.
        if name not in self._packed:
            self._packed[name] = gzip.compress(content, mtime=0)
        return self._packed[name]


def takes_gzip(accepted: str) -> bool:
    """Whether `Accept-Encoding` names gzip and does not refuse it (RFC 9110, 12.5.3)."""
    for one in accepted.split(","):
        coding, _, weight = one.partition(";")
        if coding.strip().lower() in ("gzip", "x-gzip"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def matches(given: str, tag: str) -> bool:
    """Whether `If-None-Match` names an entity tag, weakly compared (RFC 9110, 13.1.2)."""
    wanted = tag.removeprefix("W/")
    return given.strip() == "*" or any(
        one.strip().removeprefix("W/") == wanted for one in given.split(",")
    )


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith(".") and not entry.name.endswith(".py"):
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found
