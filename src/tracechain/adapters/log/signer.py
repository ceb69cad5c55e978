"""The Signer port: a process of our own. One that an operator runs under another user is asked by
`http_signer`.

Promises that nothing but requests goes to it, and nothing but answers of a bounded size comes from
it, in bounded time. A signer that answers late or not at all may have signed; that is for the next
request to find out.
"""

from __future__ import annotations

import asyncio

from tracechain.adapters.child_process import ChildProcess
from tracechain.adapters.log import signer_child
from tracechain.app.log.ports import Answer
from tracechain.domain.errors import Unavailable

SECONDS = 10.0


class ChildSigner:
    """A signer in a process of its own, started with the first request and anew where it died."""

    def __init__(self, greeting: bytes) -> None:
        """`greeting` is that of `signer_child`."""
        self._greeting = greeting
        self._process: ChildProcess | None = None
        self._starting = asyncio.Lock()

    async def keys(self) -> bytes:
        """See Signer."""
        return body_of(await self._ask(signer_child.KEYS))

    async def sign(self, body: bytes) -> Answer:
        """See Signer."""
        return able(await self._ask(body))

    async def _ask(self, request: bytes) -> Answer:
        try:
            async with asyncio.timeout(SECONDS):
                answer = await (await self._started()).ask(request)
        except (OSError, TimeoutError) as error:
            raise unavailable(f"its process: {str(error) or 'no answer in time'}") from None
        status, _, body = answer.partition(b"\n")
        return Answer(int(status), body)

    async def _started(self) -> ChildProcess:
        async with self._starting:
            if self._process is None or self._process.is_dead:
                self._process = await ChildProcess.start(signer_child.__name__, self._greeting)
            return self._process

    async def close(self) -> None:
        """Ends the process once what it was asked is done."""
        if self._process is not None:
            await self._process.close()


def able(answer: Answer) -> Answer:
    """The answer of a signer that could answer. Raises Unavailable LOG_SIGNER_UNAVAILABLE."""
    if answer.status >= 500:
        raise unavailable(answer.body.decode(errors="replace").strip())
    return answer


def body_of(answer: Answer) -> bytes:
    """What it says. Raises Unavailable LOG_SIGNER_UNAVAILABLE where that is no success."""
    if able(answer).status != 200:
        raise unavailable(f"it answered {answer.status}")
    return answer.body


def unavailable(why: str) -> Unavailable:
    """That the signer cannot be used, and why."""
    return Unavailable("LOG_SIGNER_UNAVAILABLE", f"the log's signer cannot be used now: {why}")
