"""The ASGI app: finds who answers, and turns whatever goes wrong into an answer.

Promises that no request ends in a stack trace: an error of the domain is a page to a browser and
problem details to a program, all else is an incident with a number. Nothing is answered under a
name that is not ours: a page that could be asked for by any Host could be made to lie about whose
it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tracechain.domain.errors import InvalidArgument, NotFound, TracechainError
from tracechain.web import problems
from tracechain.web.error_words import explain
from tracechain.web.negotiation import media_type
from tracechain.web.pages import Pages, language_of

_LOG = structlog.get_logger(__name__)

# What answers a request: a Response, or anything else that can be called as one.
Handler = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a path; one that ends in `/` answers all below it (`/` alone only itself)."""

    path: str
    handler: Handler
    methods: tuple[str, ...] = ("GET", "HEAD")


class Site:
    """All of HTTP behind one port. `mounts` are further apps by the beginning of their paths;
    what no route and no mount takes is `otherwise`'s."""

    def __init__(
        self,
        routes: Sequence[Route],
        pages: Pages,
        hosts: Iterable[str],
        *,
        mounts: Mapping[str, ASGIApp] | None = None,
        otherwise: Route | None = None,
    ) -> None:
        self._pages = pages
        self._hosts = frozenset(host.lower() for host in hosts)
        self._below = [r for r in routes if r.path.endswith("/") and r.path != "/"]
        self._exact = {r.path: r for r in routes if r not in self._below}
        self._mounts = dict(mounts or {})
        self._otherwise = otherwise or Route("/", _nothing)

    def mount(self, prefix: str, app: ASGIApp) -> None:
        """Adds an app for all paths that begin like this."""
        self._mounts[prefix] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI; only HTTP is spoken."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        path: str = scope["path"]
        request = Request(scope, receive)
        ours = self._is_ours(scope)
        if ours:
            for prefix, mounted in self._mounts.items():
                if path.startswith(prefix):
                    await mounted(scope, receive, send)
                    return
        response: ASGIApp
        try:
            response = await self._answer(request, path, ours)
        except ClientDisconnect:
            return
        except TracechainError as error:
            response = self._refusal(request, error)
        except Exception as error:
            incident = uuid.uuid4().hex[:12]
            _LOG.error("internal_error", path=path, incident=incident, exc_info=error)
            response = self._incident(request, incident)
        await response(scope, receive, send)

    async def _answer(self, request: Request, path: str, ours: bool) -> ASGIApp:
        if not ours:
            raise InvalidArgument.of("host", "WRONG_HOST", "this service does not answer that name")
        route = self._exact.get(path) or next(
            (route for route in self._below if path.startswith(route.path)), self._otherwise
        )
        if request.method not in route.methods:
            error = InvalidArgument.of("", "METHOD_NOT_ALLOWED", "not by this method")
            error.metadata = {"allow": ", ".join(route.methods)}
            raise error
        return await route.handler(request)

    def _is_ours(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and _name(given[0]) in self._hosts

    def _refusal(self, request: Request, error: TracechainError) -> Response:
        if wants_page(request):
            return self._pages.answer(
                request,
                "error.html",
                status=problems.status_of(error),
                headers=problems.headers_of(error),
                reason=error.reason,
                message=explain(error, language_of(request)),
                detail=error.message,
            )
        return problems.problem(error)

    def _incident(self, request: Request, incident: str) -> Response:
        if wants_page(request):
            return self._pages.answer(
                request,
                "error.html",
                status=500,
                reason="INTERNAL",
                message=explain(None, language_of(request)),
                detail=incident,
            )
        return problems.internal(incident)


def wants_page(request: Request) -> bool:
    """Whether a person reads the answer."""
    accept = request.headers.get("accept", "")
    return media_type(accept, ("application/problem+json", "text/html", "application/json")) == (
        "text/html"
    )


@lru_cache(maxsize=256)
def _name(host: bytes) -> str:
    """A Host header without its port."""
    text = host.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() else text


async def _nothing(request: Request) -> Response:
    raise NotFound("PAGE_NOT_FOUND", "there is no such page")
