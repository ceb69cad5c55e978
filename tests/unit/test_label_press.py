"""Labels drawn in processes: the same as drawn here, and an error where no process lasts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.labels import made_labels, planned
from tracechain.adapters.labels import child
from tracechain.adapters.labels.drawing import draw_labels
from tracechain.adapters.labels.press import PooledLabels
from tracechain.domain.errors import Unavailable
from tracechain.domain.label import LabelFormat


async def test_what_processes_draw_is_what_is_drawn_here() -> None:
    press = PooledLabels(2)
    try:
        plans = [planned(format) for format in LabelFormat]
        labels = made_labels(3)
        drawn = await asyncio.gather(*(press.draw(plan, labels) for plan in plans))
    finally:
        await press.close()
    assert drawn == [draw_labels(plan, labels) for plan in plans]


async def test_where_no_process_lasts_the_caller_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "__name__", "tracechain.adapters.labels.absent")
    press = PooledLabels(1)
    try:
        with pytest.raises(Unavailable) as error:
            await press.draw(planned(LabelFormat.SVG), made_labels(1))
    finally:
        await press.close()
    assert error.value.reason == "LABELS_UNAVAILABLE"


async def test_a_defect_in_drawing_is_told_and_costs_no_process() -> None:
    press, plan = PooledLabels(1), planned(LabelFormat.PNG)
    (label,) = made_labels(1)
    # More than the version that was planned can hold.
    beyond = replace(label, uri=label.uri + "A" * 500)
    try:
        with pytest.raises(RuntimeError, match="DataOverflowError"):
            await press.draw(plan, [beyond])
        (process,) = press._pool._children
        assert await press.draw(plan, [label]) == draw_labels(plan, [label])
        assert press._pool._children == [process]
        assert not process.is_dead
    finally:
        await press.close()
