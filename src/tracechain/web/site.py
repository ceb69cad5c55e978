"""The site: which handler answers which path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tracechain.web.app import Route, Site
from tracechain.web.pages import Pages
from tracechain.web.scan_form import ScanForm
from tracechain.web.static import PREFIX, ROOT_FILES, Static


def make_site(
    *, resolver: str, hosts: Iterable[str], mounts: Mapping[str, ASGIApp] | None = None
) -> Site:
    """Everything that is served by HTTP; `mounts` are further apps, by how their paths begin."""
    static = Static()
    pages = Pages(static, resolver)
    form = ScanForm(pages, resolver)

    async def offline(request: Request) -> Response:
        # The same for everybody: what the service worker shows where there is no network.
        return pages.answer(request, "offline.html", headers={"cache-control": "public, no-cache"})

    routes = [
        Route(PREFIX, static.serve),
        *(Route(path, static.serve) for path in ROOT_FILES),
        Route("/", form.page),
        Route("/scan", form.page),
        Route("/offline", offline),
        Route("/healthz", _alive),
    ]
    return Site(routes, pages, hosts, mounts=mounts)


async def _alive(request: Request) -> Response:
    return Response("ok\n", headers={"cache-control": "no-store"}, media_type="text/plain")
