"""Which column says how old a row is, for every store and whatever is kept for a time."""

from __future__ import annotations

from tracechain.adapters.tables import BY_NAME
from tracechain.app.archive import Table
from tracechain.domain.retention import Kept

TIMES = {
    Kept.SCAN: "time",
    Kept.CLAIM_TRY: "window_start",
    Kept.REPORT: "create_time",
    Kept.AUDIT: "time",
}
# Rows that one step looks at. Dropping as many is one short write.
STEP = 1000


def kept_table(what: Kept) -> Table:
    """The table of what is kept."""
    return BY_NAME[what.value]
