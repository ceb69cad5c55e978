"""The log as files: its checkpoint, its tiles and its entries, for mirrors and monitors.

Promises that a path has one spelling and one content, for ever but for the checkpoint: whoever
has a tile need not ask for it again. What no published checkpoint covers is not there.

C2SP tlog-tiles, sections Checkpoints, Merkle Tree and Log entries; the prefix is `/log`.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib

from starlette.requests import Request
from starlette.responses import Response

from tracechain.app.limits import Limits
from tracechain.app.log.published import PublishedLog
from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.domain.log.tiles import Tile, encode_entries, parse_path
from tracechain.web.guard import client_in
from tracechain.web.static import matches, takes_gzip

PREFIX = "/log/"
CHECKPOINT = PREFIX + "checkpoint"
TILES = PREFIX + "tile/"
_FOR_EVER = "public, max-age=31536000, immutable"
# Entries are hashes in base64, mostly: a better compression takes far longer for little.
_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_EVERYBODY = {"access-control-allow-origin": "*"}


class LogFiles:
    """Serves the log below its prefix."""

    def __init__(self, log: PublishedLog, limits: Limits, proxies: int) -> None:
        self._log = log
        self._limits = limits
        self._proxies = proxies

    async def checkpoint(self, request: Request) -> Response:
        """The latest checkpoint. Raises NotFound CHECKPOINT_NOT_FOUND, ResourceExhausted."""
        self._limits.call(client_in(request.scope, self._proxies))
        body = (await self._log.note()).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"cache-control": "public, no-cache", "etag": tag, **_EVERYBODY}
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/plain")

    async def tile(self, request: Request) -> Response:
        """A tile of hashes, or a bundle of entries. Raises NotFound PAGE_NOT_FOUND for what is the
        path of none, TILE_NOT_FOUND, ResourceExhausted."""
        self._limits.call(client_in(request.scope, self._proxies))
        try:
            # As it was sent: another spelling, escaped, would be another name of the same file.
            sent = request.scope["raw_path"].decode("latin-1")
            wanted = parse_path(sent.removeprefix(PREFIX))
        except InvalidArgument:
            raise NotFound("PAGE_NOT_FOUND", "the log has no file of that name") from None
        headers = {"cache-control": _FOR_EVER, **_EVERYBODY}
        if isinstance(wanted, Tile):
            body = await self._log.tile(wanted)
        else:
            body = encode_entries(await self._log.entries(wanted))
            headers["vary"] = "Accept-Encoding"
            if takes_gzip(request.headers.get("accept-encoding", "")):
                headers["content-encoding"] = "gzip"
                body = await asyncio.to_thread(_packed, body)
        return Response(body, headers=headers, media_type="application/octet-stream")


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
