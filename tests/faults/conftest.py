"""Processes to kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.node import Nursery, nursery


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nursery]:
    """Where nodes come from."""
    with nursery() as made:
        yield made
