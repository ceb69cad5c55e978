"""The measures run, small: a harness that nobody runs rots until the day it is needed."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import labels
from benchmarks.__main__ import MEASURES, RESULTS
from benchmarks.backends import BACKENDS, SQLITE

ROOT = Path(__file__).parents[2]


def measured(name: str) -> Any:
    """What a measure finds, in this process: starting another takes as long as some measures."""
    _, quick = MEASURES[name]
    # A generator of load collects garbage before it begins, and all other tests lie in this heap.
    gc.freeze()
    try:
        return json.loads(json.dumps(quick()))
    finally:
        gc.unfreeze()


def test_the_program_prints_figures_and_leaves_those_that_are_kept_alone() -> None:
    kept = RESULTS.read_bytes()
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "labels", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["labels"]
    assert set(found["labels_per_second"]) == set(labels.FORMATS)
    assert RESULTS.read_bytes() == kept


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
