"""The part of a unit's story that anybody may see: what was done, on which day, about where.

Promises that no trade secret and no person shows: no party by name or number, no place finer
than a prefecture, no time of day, nothing of other goods; and nothing that was not believed: a
step that does not fit, or that its own recorder declared wrong, is left out. A consumer learns
from it whether the goods came the way that goods like these come.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tracechain.domain.custody import Step
from tracechain.domain.party import Party, PartyKind
from tracechain.domain.region import Region

MAX_HOPS = 30
_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_PLACE = "https://id.gs1.org/414/"
# What parties do among themselves, and says nothing of where goods were.
_INNER = frozenset({"sensor_reporting", "cycle_counting", "stock_taking", "holding", "other", ""})


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: the day in China (ISO 8601), the CBV step, the division (empty where not known)
    and the kind of party that did it."""

    day: str
    step: str
    region: str
    kind: PartyKind | None


def glns(steps: Sequence[Step]) -> frozenset[str]:
    """The parties and places whose region a journey asks for."""
    return frozenset(
        gln for step in steps for gln in (step.happening.digest.recorder, _gln(step)) if gln
    )


def journey(steps: Sequence[Step], party: Callable[[str], Party | None]) -> tuple[Hop, ...]:
    """The hops of a story, oldest first; `party` finds a party by its GLN. Of more than MAX_HOPS
    the last are kept."""
    hops: list[Hop] = []
    for step in steps:
        happening = step.happening
        if step.erroneous or step.conflicts or happening.is_class:
            continue
        if happening.digest.step in _INNER:
            continue
        doer = party(happening.digest.recorder)
        place = party(_gln(step)) or doer
        hop = Hop(
            _day(happening.digest.event_time),
            happening.digest.step,
            _wide(place.region) if place else "",
            doer.kind if doer else None,
        )
        if not hops or hops[-1] != hop:
            hops.append(hop)
    return tuple(hops[-MAX_HOPS:])


def _gln(step: Step) -> str:
    digest = step.happening.digest
    place = digest.read_point or digest.biz_location
    return place.removeprefix(_PLACE)[:13] if place.startswith(_PLACE) else ""


def _wide(code: str) -> str:
    region = Region(code)
    return (region.prefecture or region).code


def _day(time: int) -> str:
    return datetime.datetime.fromtimestamp(time / 1e6, _CHINA).date().isoformat()
