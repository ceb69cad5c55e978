"""The Witnesses port over HTTP: asks witnesses to cosign, and believes nothing they say.

Promises that no witness costs more than a bounded time and a bounded number of bytes. What it
answered is for `tracechain.domain.log` to judge. C2SP tlog-witness, section add-checkpoint.
"""

from __future__ import annotations

import asyncio

import httpx

from tracechain.app.log.ports import Answer
from tracechain.domain.errors import Unavailable

# A signature by ML-DSA-44 is a line of 3.3 kB; a witness has a few keys.
_MAX_BYTES = 64 * 1024


class HttpWitnesses:
    """Keeps connections alive, one pool for all."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is how long one request may take."""
        self._seconds = seconds
        # Straight to the witness; one that moved is for the policy to tell.
        self._client = httpx.AsyncClient(timeout=seconds, follow_redirects=False, trust_env=False)

    async def add_checkpoint(self, url: str, body: bytes) -> Answer:
        """See Witnesses."""
        try:
            async with (
                asyncio.timeout(self._seconds),
                self._client.stream(
                    "POST", f"{url.rstrip('/')}/add-checkpoint", content=body
                ) as answer,
            ):
                return Answer(answer.status_code, await bounded_body(answer))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
            raise Unavailable("WITNESS_UNAVAILABLE", str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


async def bounded_body(answer: httpx.Response) -> bytes:
    """The body of an answer that is read as a stream. Raises ValueError where it is too large."""
    body = b""
    # As sent: what was packed small could be large.
    async for part in answer.aiter_raw():
        body += part
        if len(body) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
    return body
