"""One service for all tests of this folder, in the loop of the session, spoken to over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.support.service import World, running_world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The shared service."""
    async with running_world(
        tmp_path_factory.mktemp("world"),
        recall_poll_ms=200,
        # Its log is sequenced and published by the tests that look at it: tests.support.log.
        log_poll_ms=3_600_000,
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks as a browser does, and follows nothing."""
    headers = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "zh-CN"}
    async with httpx.AsyncClient(base_url=world.http, headers=headers) as client:
        yield client
