"""What does not fit about an event that is kept all the same.

The names are part of the API (ConflictReason in protos/tracechain/v1/capture.proto).
"""

from __future__ import annotations

from enum import StrEnum


class Conflict(StrEnum):
    """See ConflictReason for what each means."""

    NOT_HOLDER = "NOT_HOLDER"
    NOT_ADDRESSEE = "NOT_ADDRESSEE"
    BEFORE_COMMISSIONING = "BEFORE_COMMISSIONING"
    AFTER_END_OF_LIFE = "AFTER_END_OF_LIFE"
    COMMISSIONED_TWICE = "COMMISSIONED_TWICE"
    NOT_CONTAINED = "NOT_CONTAINED"
    ALREADY_CONTAINED = "ALREADY_CONTAINED"
    CONTAINMENT_CYCLE = "CONTAINMENT_CYCLE"
    DECLARED_BY_OTHER_PARTY = "DECLARED_BY_OTHER_PARTY"
    BEYOND_ISSUED = "BEYOND_ISSUED"
    NOT_ISSUER = "NOT_ISSUER"
    TRANSFORMATION_CYCLE = "TRANSFORMATION_CYCLE"
