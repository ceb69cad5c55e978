"""The HTTP of a signer and of a witness: small bodies in, small texts out.

Promises that a request is answered as C2SP tlog-witness says or refused in words, that no body is
read further than it can be meant, and that the work, which waits for disks and for locks, holds up
no other connection. An answer of 500 or 503 says that nothing was signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tracechain.app.log.ports import Answer
from tracechain.app.log.signing import Signing
from tracechain.app.log.witnessing import Witnessing
from tracechain.domain.errors import TracechainError
from tracechain.domain.log.signing import MAX_SIGN_BYTES
from tracechain.domain.log.witness import MAX_REQUEST_BYTES, SIZE_TYPE, checkpoint_path
from tracechain.web.problems import status_of

_LOG = structlog.get_logger(__name__)
_TEXT = "text/plain; charset=utf-8"
_BODY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Matter:
    """What is asked by one method at one path; a POST brings a body of at most `most` bytes, which
    is what `answer` gets."""

    method: str
    answer: Callable[..., Answer]
    most: int = 0


class LogDesk:
    """An ASGI app of a few paths, each with one matter."""

    def __init__(self, matters: dict[str, Matter]) -> None:
        self._matters = matters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI; only HTTP is spoken."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await Response(
            b"" if scope["method"] == "HEAD" else answer.body,
            answer.status,
            {
                "content-type": SIZE_TYPE if answer.status == 409 else _TEXT,
                "cache-control": "no-store",
                # What was refused unread is not read: the connection ends.
                **({"connection": "close"} if answer.status in (408, 413) else {}),
            },
        )(scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        matter = self._matters.get(request.url.path)
        if matter is None:
            return Answer(404, b"there is nothing at this path\n")
        if request.method != matter.method and (request.method, matter.method) != ("HEAD", "GET"):
            return Answer(405, f"this is asked by {matter.method}\n".encode())
        body = b""
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > matter.most:
                        return Answer(413, f"at most {matter.most} bytes are taken\n".encode())
        except TimeoutError:
            return Answer(408, b"the body did not come in time\n")
        try:
            given = [body] if matter.method == "POST" else []
            return await run_in_threadpool(matter.answer, *given)
        except TracechainError as error:
            _LOG.error("not_answered", reason=error.reason, why=error.message)
            return Answer(status_of(error), f"{error.reason}: {error.message}\n".encode())


def witness_desk(witnessing: Witnessing, origins: Iterable[str]) -> LogDesk:
    """A witness of these logs: add-checkpoint, and each log's latest checkpoint for monitors."""
    matters = {"/add-checkpoint": Matter("POST", witnessing.add_checkpoint, MAX_REQUEST_BYTES)}
    for origin in origins:
        latest = partial(witnessing.checkpoint, origin)
        matters[f"/{checkpoint_path(origin)}"] = Matter("GET", latest)
    return LogDesk(matters)


def signer_desk(signing: Signing) -> LogDesk:
    """A signer: `/sign` takes a SignCheckpoint, `/keys` tells its verifier keys."""
    return LogDesk(
        {
            "/sign": Matter("POST", signing.sign, MAX_SIGN_BYTES),
            "/keys": Matter("GET", lambda: Answer(200, signing.vkeys())),
        }
    )
