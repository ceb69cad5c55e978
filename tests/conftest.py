"""Fixtures and settings that every test shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.support import grpc_thread
from tests.support.redis_group import RedisCluster, RedisSentinels
from tests.support.redis_server import RedisServer, find_redis
from tests.support.service import running_world
from tests.support.softhsm import Token, make_token

_BROWSER = "tests/web/browser/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some always wait, for a disk, a process or a clock."""
    return min(4, (os.cpu_count() or 1) + 1)


class _Files(LoadFileScheduling):
    """A file is one worker's, and those of a browser are one file: each worker would start one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _BROWSER if file.startswith(_BROWSER) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Ours, where files are to be kept together."""
    return _Files(config, log) if config.getoption("dist") == "loadfile" else None


# Folders whose tests share one service.
_SHARING = {Path(__file__).parent / name for name in ("hostile", "rpc", "web")}

# ci: the same examples every time, so that a red build is red for everybody. dev: new examples
# at each run. No deadline in either: a busy machine is no defect of the code.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, print_blob=True)
settings.register_profile("dev", deadline=None, max_examples=60)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


@pytest.fixture(scope="session", autouse=True)
def grpc_stays() -> None:
    """See tests.support.grpc_thread."""
    grpc_thread.keep_open()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One real Redis for the session. A test that stops it must start it again."""
    if find_redis() is None:
        pytest.fail(
            "no redis-server on PATH, and no wheel that ships one for this Python: install Redis, "
            "or run PYTHON=python3.12 ./dev test"
        )
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """One token of SoftHSM for the session: its library reads where it is once in a process."""
    return make_token(tmp_path_factory.mktemp("softhsm"))


# Not for the session: a dozen servers that watch each other keep busy, whoever needs them.
@pytest.fixture(scope="module")
def redis_cluster(redis_server: RedisServer) -> Iterator[RedisCluster]:
    """One real Cluster for a file. A test that kills one of it must heal it."""
    group = RedisCluster()
    yield group
    group.stop()


@pytest.fixture(scope="module")
def redis_sentinels(redis_server: RedisServer) -> Iterator[RedisSentinels]:
    """One real master with a copy under Sentinels for a file, to be healed likewise."""
    group = RedisSentinels()
    yield group
    group.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Async tests of folders that share a service share the loop of the session, as it does."""
    for item in items:
        if _SHARING.intersection(item.path.parents) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Makes a service of the test's own: `async with make_world(max_calls=1) as world`."""
    return partial(running_world, tmp_path)
