"""What an event says about one thing: the row that stories are folded from.

A thing is a run of unit numbers under a batch key: a unit of a registered batch is a run of
one, a range of codes is one run whatever its length, a foreign unit, lot or container is unit 0
of its own key. A thousand units shipped as a range are one touch.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TouchRole(StrEnum):
    """The part that a thing plays in an event."""

    ITEM = "item"
    CHILD = "child"
    PARENT = "parent"
    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Thing:
    """Units `first` to `end` (exclusive) under a batch key. `uri` is its canonical identifier.

    `is_class` is True where the event names a lot or a class: some of its units, not known which.
    """

    batch_key: int
    first: int
    end: int
    uri: str
    is_class: bool = False


@dataclass(frozen=True, slots=True)
class EventDigest:
    """The part of an event that stories need. Times are microseconds since 1970 UTC.

    `event_id` is the SHA-256 of the CBV event hash; `declaration` is empty, or eight bytes that
    name the error declaration that this record is. Parties are GLNs, places canonical URIs, CBV
    terms bare names; what is not told is empty.
    """

    event_id: bytes
    declaration: bytes
    event_time: int
    record_time: int
    type: str
    action: str
    step: str
    disposition: str
    recorder: str
    source: str
    destination: str
    read_point: str
    biz_location: str


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing in one event. `parent` is set for children only; `clears` marks a parent whose
    whole content was taken out (DELETE without a list of children, EPCIS 2.0 section 7.4.3)."""

    batch_key: int
    first: int
    end: int
    role: TouchRole
    is_class: bool
    digest: EventDigest
    parent: Thing | None = None
    clears: bool = False
