"""One service for all tests of this folder, in one event loop; each makes goods of its own.

A test that stops the service, or needs other settings, takes `make_world`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.connect import JsonApi, client_of
from tests.support.service import World, running_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The shared service."""
    # Its log is sequenced and published by the tests that look at it: tests.support.log.
    async with running_world(tmp_path_factory.mktemp("world"), log_poll_ms=3_600_000) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(world: World) -> AsyncIterator[JsonApi]:
    """The shared service over HTTP."""
    async with client_of(world.http) as client:
        yield JsonApi(client)
