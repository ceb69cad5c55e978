"""Which units a recall reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.recall import Recall, RecallKind, RecallScope
from tracechain.domain.text import LocalizedText

RECALL = Recall("r1", 5, RecallKind.RECALL, (), LocalizedText("召回"), "6901234000115", False, 10)


@pytest.mark.parametrize(
    ("spans", "index", "scope"),
    [
        ((), 0, RecallScope.BATCH),
        ((), (1 << 32) - 1, RecallScope.BATCH),
        (((3, 9),), 2, None),
        (((3, 9),), 3, RecallScope.RANGE),
        (((3, 9),), 8, RecallScope.RANGE),
        (((3, 9),), 9, None),
        (((3, 4),), 3, RecallScope.UNIT),
        (((0, 2), (5, 6)), 5, RecallScope.UNIT),
        (((0, 2), (5, 6)), 4, None),
    ],
)
def test_how_a_recall_reaches_a_unit(
    spans: tuple[tuple[int, int], ...], index: int, scope: RecallScope | None
) -> None:
    recall = replace(RECALL, spans=spans)
    assert recall.scope(index) is scope
    assert replace(recall, kind=RecallKind.BLOCK).scope(index) is scope
    assert replace(recall, lift_time=20).scope(index) is None


spans = st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(spans, min_size=1, max_size=4).map(tuple), st.integers(0, 30))
def test_a_unit_is_reached_where_a_span_covers_it(
    given_spans: tuple[tuple[int, int], ...], index: int
) -> None:
    reached = replace(RECALL, spans=given_spans).scope(index)
    covering = [span for span in given_spans if index in range(*span)]
    assert (reached is not None) is bool(covering)
    assert reached is not RecallScope.BATCH
