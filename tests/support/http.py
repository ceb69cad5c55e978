"""An ASGI application behind a real socket of loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serves `app` on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=2)
        )
        task = asyncio.create_task(server._serve([listener]))
        try:
            while not server.started:
                assert not task.done(), "the server ended"
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def prefixed(apps: Mapping[str, Any]) -> Any:
    """One application of several, by what their paths begin with."""

    async def site(scope: Any, receive: Any, send: Any) -> None:
        app = next(app for prefix, app in apps.items() if scope["path"].startswith(prefix))
        await app(scope, receive, send)

    return site
