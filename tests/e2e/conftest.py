"""The command line for the tests that use the program as its users do."""

from __future__ import annotations

import pytest

from tests.support.command import Command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""
    return Command(monkeypatch, capfd)
