"""One service for all tests of this folder, in the loop of the session, spoken to over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.service import World, running_world

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Async tests of this folder share the loop of the session, as the service does."""
    for item in items:
        if _HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The shared service."""
    async with running_world(
        tmp_path_factory.mktemp("world"),
        recall_poll_ms=200,
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks as a browser does, and follows nothing."""
    headers = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "zh-CN"}
    async with httpx.AsyncClient(base_url=world.http, headers=headers) as client:
        yield client


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Makes a service of the test's own: `async with make_world(max_calls=1) as world`."""
    return partial(running_world, tmp_path)
