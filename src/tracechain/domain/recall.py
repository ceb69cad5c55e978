"""Recalls and blocks (召回): which units of a batch they cover, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tracechain.domain.text import LocalizedText


class RecallKind(StrEnum):
    """Goods are to come back, or are not to be sold for now."""

    RECALL = "recall"
    BLOCK = "block"


class RecallScope(StrEnum):
    """How a recall reaches a unit: the whole batch, a range of it, or the unit alone."""

    BATCH = "batch"
    RANGE = "range"
    UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Recall:
    """A decision about one batch. `spans` are (first, end) indices, end exclusive.

    A single unit is a span of one. No spans at all means the whole batch.
    """

    recall_id: str
    batch_number: int
    kind: RecallKind
    spans: tuple[tuple[int, int], ...]
    notice: LocalizedText
    decider_gln: str
    by_regulator: bool
    create_time: int
    lift_time: int | None = None
    lift_reason: str = ""

    def scope(self, index: int) -> RecallScope | None:
        """How it reaches the unit with this index; None where it does not, or was lifted."""
        if self.lift_time is not None:
            return None
        if not self.spans:
            return RecallScope.BATCH
        for first, end in self.spans:
            if first <= index < end:
                return RecallScope.UNIT if end - first == 1 else RecallScope.RANGE
        return None
