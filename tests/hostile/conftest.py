"""One service for all attacks that leave it standing; the others take `make_world`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.service import World, running_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The shared service."""
    async with running_world(tmp_path_factory.mktemp("world")) as running:
        yield running
