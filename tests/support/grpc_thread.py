"""gRPC's own thread, which tests keep until their process ends.

The last object of gRPC that is thrown away waits for that thread, once in a while for ever,
wherever garbage is being collected: once this was called, none is the last.
"""

from __future__ import annotations

import asyncio

import grpc.aio


def keep_open() -> None:
    """Begins gRPC, which has to be done in a loop, and never ends it."""

    async def begin() -> None:
        grpc.aio.init_grpc_aio()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
