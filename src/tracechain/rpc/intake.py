"""How much of requests is held while it comes in over HTTP: the bound before there is a place.

A place is taken once a request is whole, so that slow senders shut nobody out. Were their bytes
not counted, a few thousand connections that each send most of the largest message and then wait
would fill the memory. Small requests are not counted: scans go on while somebody tries this.
"""

from __future__ import annotations

from typing import Any

from tracechain.domain.errors import ResourceExhausted
from tracechain.rpc.connect_errors import connect_error
from tracechain.rpc.status import trailers

_SMALL = 16 * 1024
_AGAIN = 1.0


class Intake:
    """Room for `limit` bytes of what large requests have sent so far."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._refusal = trailers(
            ResourceExhausted(
                "QUEUE_FULL", "too much is being received already", retry_after=_AGAIN
            )
        )

    async def serve(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Has `app` answer one request whose body is read as a whole. Reading it raises
        ConnectError where there is no room for more of it."""
        own = 0

        async def counted() -> Any:
            nonlocal own
            message = await receive()
            before = _beyond(own)
            own += len(message.get("body", b""))
            more = _beyond(own) - before
            self._held += more
            if more and self._held > self._limit:
                raise connect_error(self._refusal)
            return message

        try:
            await app(scope, counted, send)
        finally:
            self._held -= _beyond(own)


def _beyond(size: int) -> int:
    return max(0, size - _SMALL)
