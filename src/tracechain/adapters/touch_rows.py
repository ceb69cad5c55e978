"""How a touch lies in a row, for every store: the columns in their order, exact both ways.

`level` is the size class of a touch's run: level n holds runs of at most 16^n units. Whoever
looks for the runs that cover a unit relies on it to find where they begin; one that is filed
under a smaller class than its own is never found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

# The size of each class.
LEVELS = tuple(16**level for level in range(9))

TOUCH_COLUMNS = (
    "batch_key", "first", "beyond", "role", "is_class", "event_id", "declaration", "event_time",
    "record_time", "type", "action", "step", "disposition", "recorder", "source", "destination",
    "read_point", "biz_location", "parent_key", "parent_unit", "parent_uri", "clears",
)  # fmt: skip


def touch_row(touch: Touch) -> tuple[Any, ...]:
    """The level of a touch, and its TOUCH_COLUMNS."""
    d = touch.digest
    parent = touch.parent
    width = touch.end - touch.first
    level = next(level for level, size in enumerate(LEVELS) if width <= size)
    return (
        level, touch.batch_key, touch.first, touch.end, touch.role.value, int(touch.is_class),
        d.event_id, d.declaration, d.event_time, d.record_time, d.type, d.action, d.step,
        d.disposition, d.recorder, d.source, d.destination, d.read_point, d.biz_location,
        parent.batch_key if parent else 0, parent.first if parent else 0,
        parent.uri if parent else "", int(touch.clears),
    )  # fmt: skip


def read_touch(row: Sequence[Any]) -> Touch:
    """The touch in a row of TOUCH_COLUMNS."""
    return Touch(
        row[0], row[1], row[2], TouchRole(row[3]), bool(row[4]),
        EventDigest(*row[5:18]),
        Thing(row[18], row[19], row[19] + 1, row[20]) if row[20] else None,
        bool(row[21]),
    )  # fmt: skip
