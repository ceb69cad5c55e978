"""What the readable part of a bundle says: the same facts, and what they prove and do not.

It is bound like every other member, and proves nothing by itself: paper is for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracechain.domain.evidence.manifest import Subject
from tracechain.domain.evidence.timeline import Entry


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """How many leaves of a chain the bundle has, how many of them are sealed, and how many events
    are told without their text."""

    name: str
    leaves: int
    sealed: int
    without_text: int


@dataclass(frozen=True, slots=True)
class Report:
    """One export on paper. `parties` are names by GLN, as the service has them; `link` is where a
    bundle can be verified in a browser."""

    evidence_id: str
    subject: Subject
    receiver: str
    time: int
    origin: str
    link: str
    chains: Sequence[ChainSummary]
    unlogged: Sequence[str]
    story: Sequence[Entry]
    parties: dict[str, str]
