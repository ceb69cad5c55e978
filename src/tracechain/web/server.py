"""The HTTP server of one process: uvicorn in the service's own loop, bounded in all directions.

Promises that a client who is slow, endless or many takes no more than its place: a head that is
too large or too slow, a body that does not move and a connection too many are ended here. Were it
lax, a few idle connections would keep everybody out.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import stat
from asyncio import TimerHandle
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from tracechain.app.limits import client_of
from tracechain.domain.address import refuse_plaintext
from tracechain.domain.errors import Unavailable
from tracechain.web.headers import SECURITY, STRICT

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# Of a request line with its headers. A scanned link has some 200 bytes.
MAX_HEAD = 16 * 1024
_HEAD_SECONDS = 10.0
# How long a body may stand still.
_BODY_SECONDS = 30.0
_KEEP_ALIVE_SECONDS = 15
# How long an answer may lie unread.
_UNREAD_SECONDS = 30.0
_UNIX = "unix:"


class HttpServer:
    """Serves an ASGI app until it is stopped. Several processes may listen on one port."""

    def __init__(
        self,
        app: ASGIApp,
        listen: str,
        *,
        max_connections: int,
        max_client_connections: int = 0,
        allow_plaintext: bool,
        tls: ssl.SSLContext | None = None,
        shared_port: bool = False,
    ) -> None:
        """With `tls` all is HTTPS. One address has at most `max_client_connections`, 0: all.
        Raises Unavailable PLAINTEXT_REFUSED."""
        if tls is None and not allow_plaintext:
            refuse_plaintext(listen)
        self._listen = listen
        self._shared = shared_port

        class Connection(_Connection):
            most = max_connections
            most_of_client = max_client_connections or max_connections
            of_clients: Counter[str] = Counter()

        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                # What a client sends wrong is answered to it and is no line in our log.
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[*SECURITY, *([STRICT] if tls else [])],
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ),
            tls,
        )
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Opens the port, or the socket of `unix:/path`. Raises Unavailable PORT_TAKEN."""
        if self._listen.startswith(_UNIX):
            opened = _open_unix(self._listen)
        else:
            opened = _open(self._listen, shared=self._shared)
            self.port = opened.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([opened]))
        await self._server.began.wait()

    async def stop(self, grace: float) -> None:
        """Takes no new connection, and gives requests under way `grace` seconds."""
        if self._task is not None:
            # The setting is whole seconds by its type; the wait takes any.
            self._server.config.timeout_graceful_shutdown = grace  # type: ignore[assignment]
            self._server.ending.set()
            await self._task


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signals, which are the command line's, and told to stop by an event."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._tls = tls
        self.began = asyncio.Event()
        self.ending = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Before the first connection: it takes the headers that every answer carries from here.
        await self.on_tick(0)
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=opened,
                backlog=self.config.backlog,
                ssl=self._tls,
                # The standard library's minute would be a minute for each idle connection.
                ssl_handshake_timeout=_HEAD_SECONDS if self._tls else None,
            )
            for opened in sockets or ()
        ]
        self.started = True
        self.began.set()

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={}
        )
        return made

    async def main_loop(self) -> None:
        while not self.ending.is_set():
            try:
                await asyncio.wait_for(self.ending.wait(), 1.0)
            except TimeoutError:
                await self.on_tick(0)


class _HeadTooLarge(Exception):
    """Ends the parsing of a head."""


class _Connection(HttpToolsProtocol):
    """A connection that may not take more than its share."""

    most = most_of_client = 1
    # How many each address has; those that are none any more are not in it.
    of_clients: Counter[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._unfinished = False
        self._head_bytes = self._unread = 0
        self._timer: TimerHandle | None = None
        self._extensions: dict[str, dict[object, object]] | None = None
        self._unread_timer: TimerHandle | None = None
        self._client_name = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._client_name = client_of(peer[0] if peer else "")
        self.of_clients[self._client_name] += 1
        if (
            len(self.connections) > self.most
            or self.of_clients[self._client_name] > self.most_of_client
        ):
            transport.close()
            return
        self._extensions = _extensions_of(transport)
        self._expect_head()

    def pause_writing(self) -> None:
        # What is sent waits for its reader, who may never read: it would hold the answer for ever.
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        self._forget_unread()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._forget_unread()
        self.of_clients[self._client_name] -= 1
        if not self.of_clients[self._client_name]:
            del self.of_clients[self._client_name]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._unfinished:
            if self._in_head or self.cycle.response_complete:
                # Line ends before a request, of which any number may stand there.
                self._expect_head()
            else:
                self._disarm()
        elif self._in_head:
            # What has not come to its end is held by the parser, and counts as well.
            self._unread += len(data)
            if self._unread > MAX_HEAD:
                self._refuse(431, "the head of the request is too large")
            else:
                self._expect_head()
        else:
            self._disarm()
            self._timer = self.loop.call_later(_BODY_SECONDS, self._too_slow)

    def on_message_begin(self) -> None:
        self._unfinished = self._in_head = True
        self._head_bytes = self._unread = 0
        super().on_message_begin()
        if self._extensions is not None:
            self.scope["extensions"] = self._extensions

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._unfinished = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._head_bytes > MAX_HEAD:
            self._refuse(431, "the head of the request is too large")
        else:
            self._refuse(400, "this is no HTTP request")

    def _expect_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(_HEAD_SECONDS, self._too_slow)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            raise _HeadTooLarge

    def _too_slow(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            # It is we who do not read.
            self._timer = self.loop.call_later(_BODY_SECONDS, self._too_slow)
        elif self._in_head or not self.cycle.response_started:
            self._refuse(408, "the request did not come to its end in time")
        else:
            self.transport.close()

    def _refuse(self, status: int, words: str) -> None:
        """Answers in the parser's stead and ends the connection."""
        self._disarm()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(words)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(STATUS_LINE[status] + b"".join(lines) + b"\r\n" + words.encode())
        self.transport.close()

    def _watch_reader(self, before: float = math.inf) -> None:
        left = self.transport.get_write_buffer_size()
        if left < before:
            self._unread_timer = self.loop.call_later(_UNREAD_SECONDS, self._watch_reader, left)
        else:
            self.transport.abort()

    def _forget_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _extensions_of(transport: asyncio.Transport) -> dict[str, dict[object, object]] | None:
    """What applications are told of TLS (ASGI TLS extension 0.2), as far as one of ours asks: the
    certificate that the client showed."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    shown = connection.getpeercert(binary_form=True)
    return {"tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(shown)] if shown else []}}


def _open(listen: str, *, shared: bool) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    # TCP by name: asyncio looks for it before it sends small packets at once. Else an answer in two
    # parts waits 40 ms for the client to acknowledge the first.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((host, int(port)))
        opened.setblocking(False)
    except (OSError, OverflowError, ValueError):
        opened.close()
        raise Unavailable("PORT_TAKEN", f"cannot listen on {listen}") from None
    return opened


def _open_unix(listen: str) -> socket.socket:
    """A socket for its owner and its group. One that nobody listens on any more is taken over."""
    path = listen.removeprefix(_UNIX)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode) and not _is_listening(path):
                os.unlink(path)
        opened.bind(path)
        # Nobody gets in before this: it does not listen yet.
        os.chmod(path, 0o660)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise Unavailable("PORT_TAKEN", f"cannot listen on {listen}") from None
    return opened


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0
