"""Who is let in while others are being served: the bound in front of all work.

What waits inside makes every caller wait. So a process takes only as many calls at once as keep
it busy; one more is told at once, with a reason and a time to come back, before its request has
been read. Calls that end by themselves and streams that stay are counted apart: a hundred idle
streams must not shut out scans. Of the places of each kind one address has a share at most, so that
none of them takes all; who calls is known only with the call itself, so its request was received by
then. Health and reflection are never refused.
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
    for those who are not. One address has at most `share` of them, 0: as many as there are."""

    def __init__(self, limit: int, refusal: ResourceExhausted, share: int, what: str) -> None:
        self.limit = limit
        self.taken = 0
        self._share = share or limit
        self._held: dict[str, int] = {}
        self._what = what
        self.refusal = trailers(refusal)
        self.refuse: _Handler = grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, _: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await self.turn_away(context)

    def held_by(self, client: str) -> _Held:
        """Around what is done at a place for an address. Raises ResourceExhausted
        TOO_MANY_REQUESTS where it has its share already."""
        return _Held(self, client)

    def enter(self, client: str) -> None:
        """See `held_by`, which also leaves."""
        held = self._held.get(client, 0)
        if held >= self._share:
            raise ResourceExhausted(
                "TOO_MANY_REQUESTS",
                f"{held} {self._what} of this address are under way already",
                retry_after=_CALL_AGAIN,
                metadata={"limit": f"client_{self._what}"},
            )
        self._held[client] = held + 1

    def leave(self, client: str) -> None:
        """Gives a place back."""
        held = self._held.pop(client) - 1
        if held:
            self._held[client] = held

    async def turn_away(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Ends the call with the refusal, which was made beforehand."""
        await context.abort(*self.refusal)


class _Held:
    """A class, because a generator would cost each scan a microsecond more."""

    __slots__ = ("_client", "_room")

    def __init__(self, room: Room, client: str) -> None:
        self._room = room
        self._client = client

    def __enter__(self) -> None:
        self._room.enter(self._client)

    def __exit__(self, *_: object) -> None:
        self._room.leave(self._client)


class Admission:
    """The rooms of a process: `calls` that are answered once, and `streams`; and how many of each
    one address may have, 0: all."""

    def __init__(
        self, calls: int, streams: int, client_calls: int = 0, client_streams: int = 0
    ) -> None:
        self.calls = Room(
            calls,
            ResourceExhausted(
                "QUEUE_FULL", f"{calls} calls are under way already", retry_after=_CALL_AGAIN
            ),
            client_calls,
            "calls",
        )
        self.streams = Room(
            streams,
            ResourceExhausted(
                "QUEUE_FULL", f"{streams} streams are open already", retry_after=_STREAM_AGAIN
            ),
            client_streams,
            "streams",
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
