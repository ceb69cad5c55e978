"""How long it pays to wait: nothing with time to spare, and in proportion from there on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tracechain.adapters.load import Load


class _Thread:
    """A thread whose times are set."""

    def __init__(self) -> None:
        self.now = self.worked = 100.0
        self.load = Load(lambda: self.now, lambda: self.worked)

    def pass_by(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.worked += seconds * share


@pytest.mark.parametrize(
    ("share", "pause"),
    [(0.0, 0.0), (0.7, 0.0), (0.71, 0.0), (0.825, 0.005), (0.95, 0.01), (1.0, 0.01)],
)
def test_the_busier_the_longer(share: float, pause: float) -> None:
    thread = _Thread()
    thread.pass_by(0.1, share)
    assert thread.load.share() == pytest.approx(share)
    assert thread.load.linger(0.01) == pytest.approx(pause)


def test_what_was_long_ago_does_not_count_and_a_short_while_says_nothing() -> None:
    thread = _Thread()
    thread.pass_by(1.0, 1.0)
    assert thread.load.linger(0.004) == pytest.approx(0.004)
    thread.pass_by(0.01, 0.0)
    assert thread.load.linger(0.004) == pytest.approx(0.004)
    thread.pass_by(0.04, 0.0)
    assert thread.load.linger(0.004) == 0.0


def test_a_clock_that_counts_more_work_than_time_makes_nobody_wait_longer() -> None:
    thread = _Thread()
    thread.pass_by(0.1, 1.2)
    assert thread.load.linger(0.004) == 0.004


def test_waiting_for_a_core_counts_where_the_kernel_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, now = tmp_path / "schedstat", 100.0
    monkeypatch.setattr("tracechain.adapters.load._SCHEDULED", told)
    silent = Load(lambda: now)
    told.write_text("5 0 7\n")
    load = Load(lambda: now)
    now += 100.0
    told.write_text("5 80000000000 9\n")
    assert load.share() == pytest.approx(0.8, abs=0.05)
    told.unlink()
    assert silent.share() < 0.05


def test_real_work_is_seen() -> None:
    load = Load()
    # Also where it has to wait for a core: that is taken for work, and passes.
    idle = time.monotonic() + 30
    while time.sleep(0.1) or load.share() >= 0.5:
        assert time.monotonic() < idle, "it sleeps, and is said to work"
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
    assert load.share() > 0.1
