"""How long what is kept, and what is kept for good (docs/privacy.md says why).

First and last scan of a unit and its count stay: a verdict rests on them. Claims stay: they say
whose a unit is. Neither says who a person is once the month of its mark is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DAY = 86_400_000_000


class Kept(StrEnum):
    """What is kept for a time: names of tables, each with a time of its own."""

    SCAN = "scan"
    CLAIM_TRY = "claim_try"
    REPORT = "report"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that each is kept."""

    scans: int
    reports: int
    audit: int

    def before(self, what: Kept, now: int) -> int:
        """What is older than this moment is dropped. Times in microseconds since 1970 UTC."""
        days = {
            Kept.SCAN: self.scans,
            Kept.CLAIM_TRY: self.scans,
            Kept.REPORT: self.reports,
            Kept.AUDIT: self.audit,
        }[what]
        return now - days * DAY
