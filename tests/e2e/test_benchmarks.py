"""The measures run, small: a harness that nobody runs rots until the day it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import labels
from benchmarks.backends import BACKENDS, SQLITE

ROOT = Path(__file__).parents[2]


def measured(name: str) -> Any:
    """What a measure found; what is kept of earlier ones it leaves alone."""
    kept = (ROOT / "benchmarks" / "results.json").read_bytes()
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # The figures come last; a table may stand before them.
    found = json.loads(ran.stdout[ran.stdout.index("{\n") :])
    assert (ROOT / "benchmarks" / "results.json").read_bytes() == kept
    return found[name]


@pytest.mark.parametrize("name", ["verify", "growth", "overload"])
def test_a_measure_runs(name: str) -> None:
    assert set(measured(name)) == {SQLITE.name}


def test_the_measure_of_authentication_runs() -> None:
    found = measured("auth")
    for method in ("verify", "capture"):
        assert set(found[method]["to_none"]) == {"api_key", "token"}


def test_each_backend_can_be_measured() -> None:
    found = measured("scale")
    assert all(found[backend.name] for backend in BACKENDS)


def test_the_measure_of_labels_runs() -> None:
    assert set(measured("labels")["labels_per_second"]) == set(labels.FORMATS)


def test_the_page_is_measured_in_a_browser() -> None:
    found = measured("page")["slow_4g"]
    assert 0 < found["first_paint_ms"] < found["checked_ms"]
    assert 5 < found["answers"] < 20
    assert 5_000 < found["bytes"] < 60_000


def test_the_measure_of_limits_runs() -> None:
    found = measured("limits")
    assert found["neighbour"]["neighbour_refused"] == 0
    assert found["guesses"]["hits"] == 0
    assert found["guesses"]["store_calls"] == {}


def test_the_measure_of_pages_runs() -> None:
    found = measured("web")
    assert min(found["pages_per_second"].values()) > 0
    assert found["page_bytes"] < 16_000
