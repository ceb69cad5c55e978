"""The resolver: what a GS1 Digital Link leads to (GS1-Conformant Resolver Standard 1.2).

The page of a code says whether it is real, and never sends anybody away: who scans a label is
told the truth here, unless the request itself asks for a link of another type. For a product or
a batch a browser goes where the issuer's default link leads. It leads to registered links alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tracechain.app.limits import Limits
from tracechain.app.linking import Known, Linking
from tracechain.domain.digital_link import KEYS, DigitalLink, parse_link
from tracechain.domain.errors import InvalidArgument, NotFound
from tracechain.domain.link_set import DEFAULT, VOCABULARY, Link, choose
from tracechain.domain.region import Region
from tracechain.web.guard import client_in
from tracechain.web.negotiation import media_type, weights
from tracechain.web.pages import Pages, language_of
from tracechain.web.scan_page import recall_values, said
from tracechain.web.unit import HTML, JSON, LINKSET, OFFERS, Units, linkset
from tracechain.web.verdict_json import text_json

METHODS = ("GET", "HEAD", "OPTIONS")
_ALL = ("all", "linkset")
_CONTEXT_FILE = "https://ref.gs1.org/standards/resolver/linkset-context"
_CONTEXT = (
    f'<{_CONTEXT_FILE}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
)
_CACHED = "public, max-age=60"
_RECALLS = "gs1:recallStatus"


class DigitalLinks:
    """Answers every path that holds a GS1 key."""

    def __init__(
        self,
        linking: Linking,
        units: Units,
        pages: Pages,
        limits: Limits,
        resolver: str,
        proxies: int,
    ) -> None:
        self._linking = linking
        self._limits = limits
        self._proxies = proxies
        self._units = units
        self._pages = pages
        self._resolver = resolver

    async def answer(self, request: Request) -> ASGIApp:
        """The page, the redirect or the link set. Raises NotFound, InvalidArgument, Unavailable,
        ResourceExhausted."""
        scope = request.scope
        client = client_in(scope, self._proxies)
        self._limits.call(client)
        if (answer := await self._units.at_once(scope, client)) is not None:
            return answer
        link = parse_link(
            scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        )
        if scope["method"] == "OPTIONS":
            return Response(b"", 204, _cors())
        wanted = link.attributes.get("linkType", "").replace(VOCABULARY, "gs1:", 1)
        kind = media_type(request.headers.get("accept", ""), OFFERS)
        if wanted in _ALL or (kind == LINKSET and not wanted):
            return await self._link_set(request, link)
        if not kind:
            raise InvalidArgument.of("accept", "NOT_ACCEPTABLE", f"there are {', '.join(OFFERS)}")
        if wanted and not _is_own(link, wanted):
            elsewhere = await self._elsewhere(request, link, wanted, kind)
            if elsewhere is not None:
                return elsewhere
        if kind == LINKSET:
            return await self._link_set(request, link)
        if link.is_unit:
            show = self._units.html if kind == HTML else self._units.json
            return await show(request, link, client)
        if link.key == "01":
            return await self._goods(request, link, kind)
        if link.key == "00":
            return self._container(request, link, kind)
        return await self._party(request, link, kind)

    async def description(self, request: Request) -> Response:
        """`/.well-known/gs1resolver`: what this resolver does (section on the description file)."""
        said = {
            "name": "tracechain",
            "resolverRoot": f"https://{self._resolver}",
            "supportedPrimaryKeys": list(KEYS),
            "supportedLinkType": [{"namespace": VOCABULARY, "prefix": "gs1:"}],
            "supportedContextValuesEnumerated": [],
            "linkTypeDefaultCanBeLinkset": False,
            "jsonLdContextLocation": _CONTEXT_FILE,
        }
        return Response(json.dumps(said), 200, _cors({"cache-control": _CACHED}), JSON)

    async def _elsewhere(
        self, request: Request, link: DigitalLink, wanted: str, kind: str
    ) -> ASGIApp | None:
        """The way to a link of a type; None for a default link that is the page here. Raises
        NotFound LINK_NOT_FOUND."""
        known = await self._known(link)
        if link.is_unit and wanted == _RECALLS:
            if lot := link.qualifiers.get("10"):
                batch = DigitalLink("01", link.value, {"10": lot})
                return _redirect(link, f"{batch.path}?linkType={_RECALLS}")
            return _redirect(link, "/recalls.json" if kind == JSON else "/recalls")
        found = self._chosen(request, link, known, wanted)
        if found is None:
            if wanted == DEFAULT:
                return None
            raise NotFound(
                "LINK_NOT_FOUND",
                f"no link of type {wanted[:80]} is registered; ?linkType=linkset lists them",
            )
        return _redirect(link, found.href)

    def _chosen(
        self, request: Request, link: DigitalLink, known: Known | None, wanted: str
    ) -> Link | None:
        if known is None:
            return None
        languages = weights(request.headers.get("accept-language", "")[:1024])
        if asked := link.attributes.get("lang", "")[:20]:
            languages = {asked.lower(): 1.0}
        media = weights(request.headers.get("accept", "")[:1024])
        return choose(
            known.links, wanted, languages, media, link.attributes.get("context", "")[:40]
        )

    async def _known(self, link: DigitalLink) -> Known | None:
        if link.key in ("414", "417"):
            await self._linking.issuer(link.value)
        if link.key != "01":
            return None
        return await self._linking.known(link.value, link.qualifiers.get("10", ""))

    async def _link_set(self, request: Request, link: DigitalLink) -> Response:
        known = await self._known(link)
        anchor = f"https://{self._resolver}{link.path}"
        context: dict[str, object] = {"anchor": anchor}
        if known is not None:
            context["itemDescription"] = said(known.product.display_name, language_of(request))
        targets: dict[str, list[Mapping[str, object]]] = {}
        for one in known.links if known else ():
            if link.is_unit and one.link_type == DEFAULT:
                continue
            targets.setdefault(_relation(one.link_type), []).append(_target(one))
        own = {
            "href": f"https://{self._resolver}{link.address}",
            "title": "tracechain",
            "type": HTML,
            "hreflang": ["zh", "en"],
        }
        for link_type in (DEFAULT, *_own_types(link)):
            targets.setdefault(_relation(link_type), [own])
        body = json.dumps({"linkset": [{**context, **targets}]}, ensure_ascii=False)
        return Response(body, 200, {**_public(link), "link": _CONTEXT}, LINKSET)

    async def _goods(self, request: Request, link: DigitalLink, kind: str) -> Response:
        known = await self._linking.known(link.value, link.qualifiers.get("10", ""))
        stays = {"lang", "linkType"} & set(link.attributes)
        if kind == HTML and not stays:
            default = self._chosen(request, link, known, DEFAULT)
            if default is not None and not known.recalls:
                return _redirect(link, default.href)
        lang = language_of(request)
        headers = _public(link)
        if kind == JSON:
            return Response(json.dumps(_goods_json(known), ensure_ascii=False), 200, headers, JSON)
        return self._pages.answer(
            request,
            "goods.html",
            headers=headers,
            product=known.product,
            name=said(known.product.display_name, lang),
            issuer=said(known.issuer.display_name, lang) if known.issuer else "",
            batch=known.batch,
            notices=[recall_values(recall, lang) for recall in known.recalls],
            links=[one for one in known.links if one.language in ("", lang)],
        )

    def _container(self, request: Request, link: DigitalLink, kind: str) -> Response:
        # What is in a container, and whose it is, is known to those who handle it.
        headers = _public(link)
        if kind == JSON:
            return Response(json.dumps({"sscc": link.value}), 200, headers, JSON)
        return self._pages.answer(request, "container.html", headers=headers, sscc=link.value)

    async def _party(self, request: Request, link: DigitalLink, kind: str) -> Response:
        party = await self._linking.issuer(link.value)
        lang = language_of(request)
        headers = _public(link)
        if kind == JSON:
            said_ = {
                "gln": party.gln,
                "displayName": text_json(party.display_name),
                "region": _wide(party.region),
            }
            return Response(json.dumps(said_, ensure_ascii=False), 200, headers, JSON)
        return self._pages.answer(
            request,
            "party.html",
            headers=headers,
            gln=party.gln,
            name=said(party.display_name, lang),
            place=Region(_wide(party.region)).display(lang),
        )


def _own_types(link: DigitalLink) -> tuple[str, ...]:
    """The link types that the page of a thing here answers itself."""
    if link.is_unit:
        return ("gs1:verificationService", "gs1:traceability")
    return (_RECALLS,) if "10" in link.qualifiers else ()


def _is_own(link: DigitalLink, wanted: str) -> bool:
    return wanted in _own_types(link) or (link.is_unit and wanted == DEFAULT)


def _wide(region: str) -> str:
    return (Region(region).prefecture or Region(region)).code


def _relation(link_type: str) -> str:
    return VOCABULARY + link_type.removeprefix("gs1:")


def _target(link: Link) -> Mapping[str, object]:
    # What a request says is never handed on to another site: its token is nobody else's.
    target: dict[str, object] = {"href": link.href, "title": link.title, "fwqs": False}
    if link.media_type:
        target["type"] = link.media_type
    if link.language:
        target["hreflang"] = [link.language]
    if link.context:
        target["context"] = [link.context]
    return target


def _goods_json(known: Known) -> Mapping[str, object]:
    product, batch = known.product, known.batch
    told: dict[str, object] = {
        "gtin": product.gtin,
        "displayName": text_json(product.display_name),
        "licenses": [{"kind": item.kind, "number": item.number} for item in product.licenses],
        "standards": list(product.standards),
    }
    if known.issuer:
        told["issuer"] = text_json(known.issuer.display_name)
    if batch is not None:
        told |= {
            "lot": batch.lot,
            "productionDate": batch.production_date,
            "recalls": [text_json(recall.notice) for recall in known.recalls],
        }
        if batch.expiration_date:
            told["expirationDate"] = batch.expiration_date
    return told


def _redirect(link: DigitalLink, target: str) -> Response:
    return Response(b"", 307, {**_public(link), "location": target})


def _public(link: DigitalLink) -> Mapping[str, str]:
    """The headers of what everybody is told alike; which of them, the request's headers say."""
    caching = "no-store" if link.is_unit else _CACHED
    headers = {"link": linkset(link.address), "vary": "accept, accept-language"}
    return _cors({**headers, "cache-control": caching})


def _cors(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Links and facts are for everybody's programs; none of them comes with a cookie."""
    return {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": ", ".join(METHODS),
        "access-control-expose-headers": "Link, Location",
        **(more or {}),
    }
