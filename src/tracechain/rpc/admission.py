"""Who is let in while others are being served: the bound in front of all work.

What waits inside makes every caller wait. So a process takes only as many calls at once as keep
it busy; one more is told at once, with a reason and a time to come back, before its request has
been read. Calls that end by themselves and streams that stay are counted apart: a hundred idle
streams must not shut out scans. Health and reflection are never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import grpc

from tracechain.domain.errors import ResourceExhausted
from tracechain.rpc.status import trailers

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# Seconds. Long enough that those who come back do not keep the process busy with refusing.
_CALL_AGAIN = 1.0
_STREAM_AGAIN = 5.0


class Room:
    """Places for `limit` at once. `taken` is raised and lowered by those who are in; `refusal` is
    for those who are not."""

    def __init__(self, limit: int, refusal: ResourceExhausted) -> None:
        self.limit = limit
        self.taken = 0
        self.refusal = trailers(refusal)
        self.refuse: _Handler = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, _: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await self.turn_away(context)

    async def turn_away(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Ends the call with the refusal, which was made beforehand."""
        await context.abort(*self.refusal)


class Admission:
    """The rooms of a process: `calls` that are answered once, and `streams`."""

    def __init__(self, calls: int, streams: int) -> None:
        self.calls = Room(
            calls,
            ResourceExhausted(
                "QUEUE_FULL", f"{calls} calls are under way already", retry_after=_CALL_AGAIN
            ),
        )
        self.streams = Room(
            streams,
            ResourceExhausted(
                "QUEUE_FULL", f"{streams} streams are open already", retry_after=_STREAM_AGAIN
            ),
        )


class Admitted(grpc.GenericRpcHandler):
    """The methods of a service by path, each with the room that it needs a place in."""

    def __init__(self, methods: Mapping[str, tuple[_Handler, Room]]) -> None:
        self._methods = methods

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        """The method's handler; where there is no place, one that refuses. To gRPC that one is a
        stream: so the request is neither received nor parsed."""
        found = self._methods.get(handler_call_details.method)
        if found is None:
            return None
        handler, room = found
        return handler if room.taken < room.limit else room.refuse
