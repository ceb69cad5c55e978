"""When a thing was in which container: intervals folded from aggregation and association.

The result depends on the set of events only, never on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tracechain.domain.conflict import Conflict
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay in a container, from `start` until `end` (None while it lasts), in microseconds."""

    container: Thing
    relation: str
    start: int
    end: int | None

    def covers(self, time: int) -> bool:
        """True where the thing was inside at `time`; the end itself counts as inside, so that
        the event that took it out is part of both stories."""
        return self.start <= time and (self.end is None or time <= self.end)


def moment(digest: EventDigest) -> tuple[int, bytes]:
    """The order of a story: by claimed time, ties by identity, so that all nodes agree."""
    return (digest.event_time, digest.event_id)


def stays(
    children: Iterable[Touch], clearings: Iterable[Touch]
) -> tuple[tuple[Stay, ...], dict[bytes, Conflict]]:
    """The stays of one thing, and the conflicts by event id.

    `children` are its touches as a child, `clearings` the touches of its containers that emptied
    them. Erroneous events must have been left out by the caller.
    """
    moves: list[tuple[tuple[int, bytes], Touch, Thing]] = []
    for touch in children:
        if touch.role is TouchRole.CHILD and touch.parent is not None:
            moves.append((moment(touch.digest), touch, touch.parent))
    for touch in clearings:
        thing = Thing(touch.batch_key, touch.first, touch.end, "")
        moves.append((moment(touch.digest), touch, thing))
    moves.sort(key=lambda m: m[0])

    done: list[Stay] = []
    conflicts: dict[bytes, Conflict] = {}
    inside: dict[str, Stay] = {}
    for (time, event_id), touch, parent in moves:
        relation = touch.digest.type
        now = inside.get(relation)
        same = now is not None and _same(now.container, parent)
        if touch.digest.action == "DELETE":
            if now is not None and same:
                done.append(replace(now, end=time))
                del inside[relation]
            elif not touch.clears:
                conflicts[event_id] = Conflict.NOT_CONTAINED
        elif touch.digest.action == "ADD" and not same:
            if now is not None:
                conflicts[event_id] = Conflict.ALREADY_CONTAINED
                done.append(replace(now, end=time))
            inside[relation] = Stay(parent, relation, time, None)
    done.extend(inside.values())
    done.sort(key=lambda s: (s.start, s.container.uri))
    return tuple(done), conflicts


def _same(a: Thing, b: Thing) -> bool:
    return (a.batch_key, a.first) == (b.batch_key, b.first)
