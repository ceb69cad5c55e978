"""A few thousand of the mutated bundles of which `benchmarks.mutations` makes a million."""

from __future__ import annotations

from benchmarks.mutations import Mutator


def test_no_mutated_bundle_is_accepted() -> None:
    tally = Mutator("the suite's").run(3000)
    assert (tally.accepted, tally.crashed, tally.wrong) == (0, 0, [])
    # Each kind of defence had something to refuse.
    assert len(tally.reasons) >= 18, tally.reasons
