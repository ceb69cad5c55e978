"""The measures run, small: a harness that nobody runs rots until the day it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.backends import BACKENDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["verify", "growth", "overload", "scale"])
def test_a_measure_runs(name: str) -> None:
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
    assert all(found[name][backend.name] for backend in BACKENDS)
    assert (ROOT / "benchmarks" / "results.json").read_bytes() == kept
