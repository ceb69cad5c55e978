"""A store of each backend for the tests of the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.stores import BACKENDS, Backend
from tracechain.app.ports import Store

Open = Callable[[], Awaitable[Store]]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    found: Backend = request.param
    return found


@pytest_asyncio.fixture
async def open_another(backend: Backend, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens stores on the data of this test, and closes them at its end."""
    opened: list[Store] = []

    async def open_one() -> Store:
        opened.append(await backend.open(tmp_path))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()
    await backend.forget(tmp_path)


@pytest_asyncio.fixture
async def store(open_another: Open) -> Store:
    """An empty store."""
    return await open_another()
