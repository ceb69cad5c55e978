"""The Signer port over HTTP: a signer that an operator runs under another user.

Promises what `signer` does.
"""

from __future__ import annotations

import asyncio

import httpx

from tracechain.adapters.log.signer import SECONDS, able, body_of, unavailable
from tracechain.adapters.log.witnesses import bounded_body
from tracechain.app.log.ports import Answer
from tracechain.domain.address import is_loopback
from tracechain.domain.errors import Unavailable

_UNIX = "unix:"


class HttpSigner:
    """A signer that `tracechain log sign` runs, at `unix:/path` or `host:port` of loopback."""

    def __init__(self, address: str) -> None:
        """Raises Unavailable SETTING_INVALID for an address that others can reach: whoever can
        ask the signer can have it sign what is not in the store."""
        path = address.removeprefix(_UNIX)
        if path == address and not is_loopback(address):
            raise Unavailable(
                "SETTING_INVALID", f"log_signer: {address} is neither unix:/path nor on loopback"
            )
        unix = path != address
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=path) if unix else None,
            base_url="http://signer" if unix else f"http://{address}",
            timeout=SECONDS,
            trust_env=False,
        )

    async def keys(self) -> bytes:
        """See Signer."""
        return body_of(await self._ask("GET", "/keys"))

    async def sign(self, body: bytes) -> Answer:
        """See Signer."""
        return able(await self._ask("POST", "/sign", body))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._client.stream(method, path, content=body) as answer,
            ):
                return Answer(answer.status_code, await bounded_body(answer))
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            raise unavailable(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()
