"""Facts that anybody may check by: the key set, revocations, recalls. The same for everybody, and
cached: each has a strong entity tag over its bytes, and is asked for again with it.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from starlette.requests import Request
from starlette.responses import Response

from tracechain.app.keyring import Keyring
from tracechain.app.notices import Notice, Notices
from tracechain.domain.digital_link import DigitalLink
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.keys import IssuerKey
from tracechain.domain.region import Language
from tracechain.web.pages import Pages, language_of
from tracechain.web.scan_page import moment, recall_values, said
from tracechain.web.static import matches

_SECOND = 1_000_000
_PAGE = 50
_KEYS_CACHING = "public, max-age=60, stale-while-revalidate=86400, stale-if-error=604800"
_RECALLS_CACHING = "public, max-age=15, stale-while-revalidate=3600"
_COORDINATE = 32


class Published:
    """Serves the documents. They are made anew when what they are made of has changed."""

    def __init__(self, keyring: Keyring, notices: Notices, pages: Pages, home: str) -> None:
        self._pages = pages
        self._keyring = keyring
        self._notices = notices
        self._home = home
        self._made: dict[str, tuple[Sequence[Any], bytes, str]] = {}

    async def jwks(self, request: Request) -> Response:
        """All keys as a JWK Set (RFC 7517, RFC 8037); revoked ones say so and since when."""
        records = self._keyring.records()
        return self._document(request, "jwks", records, _jwks, "application/jwk-set+json")

    async def revocations(self, request: Request) -> Response:
        """The revoked keys alone, by id."""
        records = [record for record in self._keyring.records() if record.revoke_time is not None]
        return self._document(request, "revocations", records, _revocations, "application/json")

    async def recalls_page(self, request: Request) -> Response:
        """The same for people. Raises as `recalls` does."""
        part, more = self._page(request)
        lang = language_of(request)
        return self._pages.answer(
            request,
            "recalls.html",
            headers={"cache-control": _RECALLS_CACHING},
            notices=[_line(notice, lang) for notice in part],
            more=more,
        )

    async def recalls(self, request: Request) -> Response:
        """Recalls and blocks as a JSON Feed 1.1, latest first, a page at a time; what was lifted
        stays and says so. Raises InvalidArgument INVALID_PAGE_TOKEN."""
        part, following = self._page(request)
        more = f"{self._home}/recalls.json?page={following}" if following else ""

        def feed(notices: Sequence[Notice]) -> Mapping[str, object]:
            said: dict[str, object] = {
                "version": "https://jsonfeed.org/version/1.1",
                "title": "召回公告 Recalls",
                "home_page_url": f"{self._home}/recalls",
                "feed_url": f"{self._home}/recalls.json",
                "language": "zh-CN",
                "items": [_item(notice, self._home) for notice in notices],
            }
            if more:
                said["next_url"] = more
            return said

        return self._document(
            request, f"recalls {more}", part, feed, "application/feed+json", _RECALLS_CACHING
        )

    def _page(self, request: Request) -> tuple[Sequence[Notice], int]:
        """The notices of the page that is asked for, and the number of the next; 0: none."""
        number = request.query_params.get("page", "1")
        if not (number.isdigit() and number.isascii() and 0 < len(number) < 6 and int(number)):
            raise InvalidArgument.of("page", "INVALID_PAGE_TOKEN", "is no number of a page")
        page, found = int(number), self._notices.latest()
        part = found[(page - 1) * _PAGE : page * _PAGE]
        return part, page + 1 if len(found) > page * _PAGE else 0

    def _document(
        self,
        request: Request,
        name: str,
        of: Sequence[Any],
        make: Callable[[Sequence[Any]], Mapping[str, object]],
        kind: str,
        caching: str = _KEYS_CACHING,
    ) -> Response:
        known = self._made.get(name)
        if known is None or known[0] != of:
            body = json.dumps(make(of), ensure_ascii=False, separators=(",", ":")).encode()
            if len(self._made) >= 1000:
                self._made.clear()
            known = self._made[name] = (of, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        _, body, tag = known
        # For everybody's pages too: none of it is anybody's, and no cookie says more.
        headers = {"cache-control": caching, "etag": tag, "access-control-allow-origin": "*"}
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=kind)


def _jwks(records: Sequence[IssuerKey]) -> Mapping[str, object]:
    return {"keys": [jwk(record) for record in records]}


def jwk(record: IssuerKey) -> Mapping[str, object]:
    """A key as JWK: RFC 7518 section 6.2 for ES256, RFC 8037 section 2 for Ed25519. `kid` is its
    number in codes, `iss` the GLN of its issuer, `iat` when it was made; `revoked` as in OpenID
    Federation 1.0, section 8.7."""
    key = load_der_public_key(record.public_key)
    said: dict[str, object] = {"kid": str(record.key_id), "use": "sig"}
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        said |= {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "x": _base64(point.x.to_bytes(_COORDINATE)),
            "y": _base64(point.y.to_bytes(_COORDINATE)),
        }
    elif isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        said |= {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": _base64(raw)}
    said |= {"iss": record.issuer_gln, "iat": record.create_time // _SECOND}
    if record.revoke_time is not None:
        said["revoked"] = {"revoked_at": record.revoke_time // _SECOND}
    return said


def _revocations(records: Sequence[IssuerKey]) -> Mapping[str, object]:
    return {
        "keys": [
            {
                "kid": str(record.key_id),
                "iss": record.issuer_gln,
                "revoked_at": (record.revoke_time or 0) // _SECOND,
            }
            for record in records
        ]
    }


def _item(notice: Notice, home: str) -> Mapping[str, object]:
    recall, batch, product = notice.recall, notice.batch, notice.product
    page = home + DigitalLink("01", batch.gtin, {"10": batch.lot}).path
    said: dict[str, object] = {
        "id": f"{page}#{recall.recall_id}",
        "url": page,
        "title": f"{product.display_name.zh} {batch.lot}",
        "content_text": recall.notice.zh,
        "date_published": _rfc3339(recall.create_time),
        "_tracechain": {
            "kind": recall.kind,
            "gtin": batch.gtin,
            "lot": batch.lot,
            "notice": {"zh": recall.notice.zh, "en": recall.notice.en},
            "product": {"zh": product.display_name.zh, "en": product.display_name.en},
            "scope": "units" if recall.spans else "batch",
            "by_regulator": recall.by_regulator,
            "lifted": _rfc3339(recall.lift_time) if recall.lift_time is not None else None,
        },
    }
    if recall.lift_time is not None:
        said["date_modified"] = _rfc3339(recall.lift_time)
    return said


def _line(notice: Notice, lang: Language) -> Mapping[str, object]:
    batch = notice.batch
    return {
        "day": moment(notice.recall.create_time, "zh")[:10],
        **recall_values(notice.recall, lang),
        "page": DigitalLink("01", batch.gtin, {"10": batch.lot}).path + f"?lang={lang}",
        "name": said(notice.product.display_name, lang),
        "lot": batch.lot,
        "lifted": notice.recall.lift_time is not None,
    }


def _rfc3339(time: int) -> str:
    there = datetime.datetime.fromtimestamp(time // _SECOND, datetime.UTC)
    return there.isoformat().replace("+00:00", "Z")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
