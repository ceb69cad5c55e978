"""A log over HTTP: any that is served as C2SP tlog-tiles has it.

Promises that a server can cost no more than a bounded time and memory, whatever it answers, and
that nothing but the named server is asked: https beyond this machine, no redirects. It believes
nothing: what is given still has to lead to a signed root.

C2SP tlog-tiles, sections APIs, Partial Tiles (a full tile stands in for a partial one that is gone)
and Log entries (gzip with or without having been asked for).
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import httpx

from tracechain.domain.address import is_loopback
from tracechain.domain.errors import InvalidArgument, Unavailable
from tracechain.domain.log.merkle import HASH_BYTES
from tracechain.domain.log.note import MAX_NOTE_BYTES
from tracechain.domain.log.tiles import MAX_ENTRY_BYTES, WIDTH, Bundle, Tile, encode_entries

T = TypeVar("T", Tile, Bundle)
_PARTS = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
# What may answer otherwise in a moment: too many requests, and what servers and proxies say of
# their own troubles.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently a log is asked, in seconds: so often, each time for so long, and between two
    times a pause that doubles from `first` to `most`."""

    attempts: int = 5
    timeout: float = 30.0
    first: float = 0.25
    most: float = 8.0


class HttpLog:
    """See tracechain.app.log.following.TiledLog."""

    def __init__(
        self, url: str, pace: Pace = Pace(), jitter: Callable[[], float] = random.random
    ) -> None:
        """Of a log with this URL prefix. Raises InvalidArgument INVALID_LOG_URL."""
        self.url = _prefix(url)
        self._pace = pace
        self._jitter = jitter
        local = self.url.startswith("http:")
        self._client = httpx.AsyncClient(
            timeout=pace.timeout,
            follow_redirects=False,
            # A proxy that the environment names may carry what is proved anyway; to this machine
            # it knows no way.
            trust_env=not local,
            # Nor is there TLS, whose roots take a while to be read.
            verify=not local,
            headers={"accept-encoding": "gzip, identity", "user-agent": "tracechain"},
        )

    async def __aenter__(self) -> HttpLog:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def checkpoint(self) -> bytes:
        """See TiledLog."""
        try:
            return _found("checkpoint", await self._get("checkpoint", MAX_NOTE_BYTES))
        except _Unreadable as error:
            raise InvalidArgument.of("checkpoint", "MALFORMED_NOTE", str(error)) from None

    async def tile(self, tile: Tile) -> bytes:
        """See TiledLog."""
        content, got = await self._tile(tile, Tile(tile.level, tile.index), HASH_BYTES)
        return b"".join(got.some(content, 0, tile.width))

    async def bundle(self, bundle: Bundle) -> bytes:
        """See TiledLog."""
        content, got = await self._tile(bundle, Bundle(bundle.index), 2 + MAX_ENTRY_BYTES)
        if got == bundle:
            return content
        return encode_entries(got.entries(content)[: bundle.width])

    async def _tile(self, wanted: T, full: T, each: int) -> tuple[bytes, T]:
        """What is served of a tile or bundle, and for which width. `each` is the most that one of
        its hashes or entries takes."""
        try:
            content = await self._get(wanted.path, wanted.width * each)
            if content is None and wanted.width < WIDTH:
                content, wanted = await self._get(full.path, WIDTH * each), full
            return _found(wanted.path, content), wanted
        except _Unreadable as error:
            raise InvalidArgument.of(wanted.path, "MALFORMED_TILE", str(error)) from None

    async def _get(self, path: str, most: int) -> bytes | None:
        """What is served at a path; None where nothing is. Raises Unavailable LOG_UNREACHABLE,
        _Unreadable."""
        pause = self._pace.first
        for attempt in range(1, self._pace.attempts + 1):
            try:
                # Apart from httpx's times, which a server outlasts that sends a byte now and then.
                async with asyncio.timeout(self._pace.timeout):
                    return await self._once(path, most)
            except (_Passing, httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
                if attempt == self._pace.attempts:
                    why = str(error) or type(error).__name__
                    raise _unreachable(path, f"{why}, {attempt} times") from None
            await asyncio.sleep(pause * (0.5 + self._jitter()))
            pause = min(2 * pause, self._pace.most)
        raise AssertionError("a Pace has an attempt at least")

    async def _once(self, path: str, most: int) -> bytes | None:
        async with self._client.stream("GET", f"{self.url}/{path}") as answer:
            if answer.status_code in _PASSING:
                raise _Passing(f"status {answer.status_code}")
            if answer.status_code in (404, 410):
                return None
            if answer.status_code != 200:
                raise _unreachable(path, f"status {answer.status_code}")
            coding = answer.headers.get("content-encoding", "identity").strip().lower()
            if coding not in ("identity", "gzip", "x-gzip"):
                raise _Unreadable(f"is encoded as {coding[:50]!r}, which was not asked for")
            raw = bytearray()
            unpack = _Gunzip(most) if coding != "identity" else None
            async for part in answer.aiter_raw(_PARTS):
                raw += unpack(part) if unpack else part
                if len(raw) > most:
                    raise _Unreadable(f"has more than {most} bytes")
            if unpack:
                unpack.end()
            return bytes(raw)


class _Gunzip:
    """Unpacks gzip (RFC 1952, any number of members) to a bounded length and one byte: who counts
    finds that it was too much, and never has more in hand. Raises _Unreadable."""

    def __init__(self, most: int) -> None:
        self._left = most + 1
        self._stream = zlib.decompressobj(_GZIP)

    def __call__(self, part: bytes) -> bytes:
        out = bytearray()
        while part and self._left:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_GZIP)
            try:
                got = self._stream.decompress(part, self._left)
            except zlib.error:
                raise _Unreadable("is called gzip, and is none") from None
            out += got
            self._left -= len(got)
            part = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return bytes(out)

    def end(self) -> None:
        """Nothing follows. Raises _Unreadable: something had to."""
        if not self._stream.eof:
            raise _Unreadable("is cut off within its gzip")


class _Passing(Exception):
    """An answer that may be another in a moment."""


class _Unreadable(ValueError):
    """An answer that is none of the log's; asking again would not help."""


def _found(path: str, content: bytes | None) -> bytes:
    if content is None:
        raise _unreachable(path, "is not there (status 404)")
    return content


def _unreachable(path: str, why: str) -> Unavailable:
    return Unavailable("LOG_UNREACHABLE", f"{path}: {why}")


def _prefix(text: str) -> str:
    """A log's URL prefix, without the slash at its end. Raises InvalidArgument INVALID_LOG_URL."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise _no_url("is no URL") from None
    if url.scheme not in ("https", "http") or not url.host or (url.port or 1) > 0xFFFF:
        raise _no_url("is not of the form https://host/prefix")
    if url.userinfo or url.query or url.fragment:
        raise _no_url("has more than a host and a path")
    if url.scheme == "http" and not is_loopback(f"{url.host}:{url.port or 80}"):
        raise _no_url("is plain text, and leads beyond this machine")
    return str(url).rstrip("/")


def _no_url(why: str) -> InvalidArgument:
    return InvalidArgument.of("url", "INVALID_LOG_URL", why)
