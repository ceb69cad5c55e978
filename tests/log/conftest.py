"""One HTTP server for the whole session, that each test finds empty."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.log_server import LogServer, TestLog, log_server


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk: processes are killed here, and a test that is about power cuts
    looks at what would have been waited for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="session")
def running() -> Iterator[LogServer]:
    """The server."""
    with log_server() as state:
        yield state


@pytest.fixture
def server(running: LogServer) -> LogServer:
    """The server, serving nothing."""
    running.empty()
    return running


@pytest.fixture
def log(server: LogServer) -> TestLog:
    """A log on the server, that has signed nothing yet."""
    return TestLog(server)
