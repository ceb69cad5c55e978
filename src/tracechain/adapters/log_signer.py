"""The Signer port: a process of our own, or one that an operator runs under another user.

Promises that nothing but requests goes to it, and nothing but answers of a bounded size comes from
it, in bounded time. A signer that answers late or not at all may have signed; that is for the next
request to find out.
"""

from __future__ import annotations

import asyncio

import httpx

from tracechain.adapters import log_signer_child
from tracechain.adapters.child_process import ChildProcess
from tracechain.adapters.log_witnesses import bounded_body
from tracechain.app.log.ports import Answer
from tracechain.domain.address import is_loopback
from tracechain.domain.errors import Unavailable

_SECONDS = 10.0
_UNIX = "unix:"


class ChildSigner:
    """A signer in a process of its own, started with the first request and anew where it died."""

    def __init__(self, greeting: bytes) -> None:
        """`greeting` is that of `log_signer_child`."""
        self._greeting = greeting
        self._process: ChildProcess | None = None
        self._starting = asyncio.Lock()

    async def keys(self) -> bytes:
        """See Signer."""
        return _body(await self._ask(log_signer_child.KEYS))

    async def sign(self, body: bytes) -> Answer:
        """See Signer."""
        return _able(await self._ask(body))

    async def _ask(self, request: bytes) -> Answer:
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await (await self._started()).ask(request)
        except (OSError, TimeoutError) as error:
            raise _unavailable(f"its process: {str(error) or 'no answer in time'}") from None
        status, _, body = answer.partition(b"\n")
        return Answer(int(status), body)

    async def _started(self) -> ChildProcess:
        async with self._starting:
            if self._process is None or self._process.is_dead:
                self._process = await ChildProcess.start(log_signer_child.__name__, self._greeting)
            return self._process

    async def close(self) -> None:
        """Ends the process once what it was asked is done."""
        if self._process is not None:
            await self._process.close()


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
            timeout=_SECONDS,
            trust_env=False,
        )

    async def keys(self) -> bytes:
        """See Signer."""
        return _body(await self._ask("GET", "/keys"))

    async def sign(self, body: bytes) -> Answer:
        """See Signer."""
        return _able(await self._ask("POST", "/sign", body))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._client.stream(method, path, content=body) as answer,
            ):
                return Answer(answer.status_code, await bounded_body(answer))
        except (httpx.HTTPError, OSError, TimeoutError, ValueError) as error:
            raise _unavailable(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Ends its connections."""
        await self._client.aclose()


def _able(answer: Answer) -> Answer:
    if answer.status >= 500:
        raise _unavailable(answer.body.decode(errors="replace").strip())
    return answer


def _body(answer: Answer) -> bytes:
    if _able(answer).status != 200:
        raise _unavailable(f"it answered {answer.status}")
    return answer.body


def _unavailable(why: str) -> Unavailable:
    return Unavailable("LOG_SIGNER_UNAVAILABLE", f"the log's signer cannot be used now: {why}")
