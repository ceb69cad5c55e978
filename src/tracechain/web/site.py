"""The site: which handler answers which path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tracechain.app.claiming import Claiming
from tracechain.app.journeys import Journeys
from tracechain.app.keyring import Keyring
from tracechain.app.limits import Limits
from tracechain.app.linking import Linking
from tracechain.app.log.published import PublishedLog
from tracechain.app.notices import Notices
from tracechain.app.ports import Clock
from tracechain.app.reporting import Reporting
from tracechain.app.scanning import Scanning
from tracechain.web.app import Route, Site
from tracechain.web.forms import Forms
from tracechain.web.guard import FormTokens
from tracechain.web.log import CHECKPOINT, TILES, LogFiles
from tracechain.web.pages import Pages
from tracechain.web.published import Published
from tracechain.web.resolver import METHODS, DigitalLinks
from tracechain.web.scan_form import ScanForm
from tracechain.web.static import PREFIX, ROOT_FILES, Static
from tracechain.web.unit import Units


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that pages call."""

    scanning: Scanning
    claiming: Claiming
    reporting: Reporting
    linking: Linking
    journeys: Journeys
    notices: Notices
    keyring: Keyring
    log: PublishedLog
    clock: Clock


def make_site(
    services: Services,
    *,
    resolver: str,
    hosts: Iterable[str],
    proxies: int,
    limits: Limits,
    form_key: bytes,
    mounts: Mapping[str, ASGIApp] | None = None,
) -> Site:
    """Everything that is served by HTTP. `mounts` are further apps, by how their paths begin;
    `form_key` is a secret that all processes of a service share."""
    s = services
    static = Static()
    pages = Pages(static, resolver)
    tokens = FormTokens(form_key, s.clock)
    scan = ScanForm(pages, resolver)
    units = Units(s.scanning, s.journeys, pages, limits, tokens, s.clock, resolver)
    links = DigitalLinks(s.linking, units, pages, limits, resolver, proxies)
    published = Published(s.keyring, s.notices, pages, f"https://{resolver}")
    log = LogFiles(s.log, limits, proxies)
    forms = Forms(pages, s.claiming, s.reporting, tokens, limits, resolver, proxies)

    async def offline(request: Request) -> Response:
        # The same for everybody: what the service worker shows where there is no network.
        return pages.answer(request, "offline.html", headers={"cache-control": "public, no-cache"})

    routes = [
        Route(PREFIX, static.serve),
        *(Route(path, static.serve) for path in ROOT_FILES),
        Route("/", scan.page),
        Route("/scan", scan.page),
        Route("/claim", forms.claim, ("POST",)),
        Route("/report", forms.report, ("GET", "HEAD", "POST")),
        Route("/recalls", published.recalls_page),
        Route("/recalls.json", published.recalls),
        Route("/.well-known/recalls.json", published.recalls),
        Route("/.well-known/jwks.json", published.jwks),
        Route("/.well-known/revocations.json", published.revocations),
        Route("/.well-known/gs1resolver", links.description),
        Route(CHECKPOINT, log.checkpoint),
        Route(TILES, log.tile),
        Route("/offline", offline),
        Route("/healthz", _alive),
    ]
    # Whatever stands before the key, a link is found: the resolver may have a stem.
    everything = Route("/", links.answer, METHODS)
    return Site(routes, pages, hosts, mounts=mounts, otherwise=everything)


async def _alive(request: Request) -> Response:
    return Response("ok\n", headers={"cache-control": "no-store"}, media_type="text/plain")
