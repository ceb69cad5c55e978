"""The public keys of a token's issuer (JWKS, RFC 7517), and signatures checked with them.

Promise: no caller makes us ask the issuer more often than every few seconds, whatever key ids he
invents; keys that are known are used at once and renewed beside; where the issuer is away they go
on for a day. Keys that are no public signing keys of a pinned algorithm are left out.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from joserfc import jwk, jws
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from tracechain.domain.errors import Unavailable
from tracechain.domain.token import Token, invalid

_LOG = structlog.get_logger(__name__)
_MAX_BYTES = 256 * 1024
_MAX_KEYS = 64
_MIN_RSA_BITS = 2048
_TYPES = {"ES": "EC", "RS": "RSA", "PS": "RSA", "Ed": "OKP"}
Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often an issuer is asked, in seconds: keys are fresh for so long, used for `stale` where
    no new ones come, and asked for again after `floor` at the soonest."""

    fresh: float = 300.0
    stale: float = 86_400.0
    floor: float = 10.0


class IssuerSignatures:
    """See tracechain.app.tokens.SignatureCheck."""

    def __init__(
        self,
        jwks_uri: str,
        algorithms: Sequence[str],
        fetch: Fetch,
        pace: Pace = Pace(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = jwks_uri
        self._algorithms = frozenset(algorithms)
        self._fetch = fetch
        self._pace = pace
        self._monotonic = monotonic
        self._keys: list[tuple[str | None, Any]] = []
        self._fetched = self._asked = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def verify(self, token: Token) -> None:
        """See SignatureCheck."""
        algorithm = token.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise invalid("its algorithm is none of its issuer's")
        kid = token.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise invalid("its key id is no text")
        key = await self._key(kid, algorithm)
        if key is None:
            raise invalid("its key is none of its issuer's")
        # The registry holds the one algorithm that was decided on: the header decides nothing.
        registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            jws.deserialize_compact(token.text, key, registry=registry)
        except (JoseError, ValueError):
            raise invalid("its signature is false") from None

    async def _key(self, kid: str | None, algorithm: str) -> Any:
        found = self._known(kid, algorithm)
        if found is not None:
            if self._monotonic() - self._fetched >= self._pace.fresh:
                self._ask()
            return found
        asking = self._ask()
        if asking is not None:
            await asyncio.shield(asking)
            found = self._known(kid, algorithm)
        if found is None and self._is_stale():
            raise Unavailable(
                "TOKEN_ISSUER_UNAVAILABLE",
                "the keys of the token's issuer cannot be had at present",
                retry_after=self._pace.floor,
            )
        return found

    def _known(self, kid: str | None, algorithm: str) -> Any:
        """The one key that it can be; a token without key id names the only one there is."""
        if self._is_stale():
            return None
        fitting = [
            key
            for known, key in self._keys
            if (kid is None or known == kid)
            and key.key_type == _TYPES[algorithm[:2]]
            and key.get("alg", algorithm) == algorithm
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _is_stale(self) -> bool:
        return self._monotonic() - self._fetched >= self._pace.stale

    def _ask(self) -> asyncio.Task[None] | None:
        """The question that is under way, or a new one; None where the last is too recent."""
        if self._asking is None or self._asking.done():
            if self._monotonic() - self._asked < self._pace.floor:
                return None
            self._asked = self._monotonic()
            self._asking = asyncio.create_task(self._renew())
        return self._asking

    async def _renew(self) -> None:
        try:
            self._keys = keys_of(await self._fetch(self._uri), self._algorithms)
            self._fetched = self._monotonic()
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            _LOG.warning("issuer_keys_not_had", uri=self._uri, why=str(error) or repr(error))


def keys_of(document: bytes, algorithms: frozenset[str]) -> list[tuple[str | None, Any]]:
    """The usable keys of a JWKS by their ids. Raises ValueError for what is none."""
    found = json.loads(document)
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_KEYS:
        raise ValueError(f"no list of at most {_MAX_KEYS} keys")
    return [
        (each.get("kid"), key)
        for each in listed
        if isinstance(each, dict) and (key := _usable(each, algorithms)) is not None
    ]


def _usable(given: dict[str, Any], algorithms: frozenset[str]) -> Any:
    if given.get("use", "sig") != "sig" or "verify" not in given.get("key_ops", ["verify"]):
        return None
    # A symmetric key could be anybody's, and one with its private half is everybody's.
    if given.get("kty") not in _TYPES.values() or "d" in given:
        return None
    if given.get("alg") is not None and given["alg"] not in algorithms:
        return None
    try:
        key: Any = jwk.import_key(given)
        if key.key_type == "RSA" and key.public_key.key_size < _MIN_RSA_BITS:
            return None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


class HttpFetch:
    """Fetches small documents: no redirect, a few seconds, a bounded size."""

    def __init__(self) -> None:
        # Straight to the issuer: what stands in between could answer in his stead.
        self._client = httpx.AsyncClient(timeout=5.0, follow_redirects=False, trust_env=False)

    async def __call__(self, uri: str) -> bytes:
        """The body of an answer with status 200. Raises httpx.HTTPError and ValueError."""
        body = b""
        async with asyncio.timeout(10), self._client.stream("GET", uri) as answer:
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
        return body

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()
