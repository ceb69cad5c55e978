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
    """A stay in a container, from `start` until `end` (None while it lasts), in microseconds.

    `is_class` is True where some units of a lot were counted in, not known which.
    """

    container: Thing
    relation: str
    start: int
    end: int | None
    is_class: bool = False

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
    moves.sort(key=lambda m: (m[0], m[1].is_class))

    done: list[Stay] = []
    conflicts: dict[bytes, Conflict] = {}
    # A thing is in one container at a time; of a lot, some units are here and some are there.
    inside: dict[tuple[str, tuple[int, int] | None], Stay] = {}
    seen: set[bytes] = set()
    for (time, event_id), touch, parent in moves:
        # A unit that is listed, and in a range or counted as well, is moved once: as itself.
        if event_id in seen:
            continue
        seen.add(event_id)
        relation, place = touch.digest.type, (parent.batch_key, parent.first)
        now, counted = inside.get((relation, None)), inside.get((relation, place))
        here = now is not None and _same(now.container, parent)
        if touch.digest.action == "DELETE":
            if now is not None and here and (touch.clears or not touch.is_class):
                done.append(replace(now, end=time))
                del inside[relation, None]
            if counted is not None and (touch.clears or touch.is_class or not here):
                done.append(replace(counted, end=time))
                del inside[relation, place]
            elif not here and not touch.clears:
                conflicts[event_id] = Conflict.NOT_CONTAINED
        elif touch.digest.action == "ADD" and touch.is_class:
            inside.setdefault((relation, place), Stay(parent, relation, time, None, True))
        elif touch.digest.action == "ADD" and not here:
            if now is not None:
                conflicts[event_id] = Conflict.ALREADY_CONTAINED
                done.append(replace(now, end=time))
            inside[relation, None] = Stay(parent, relation, time, None)
    done.extend(inside.values())
    done.sort(key=lambda s: (s.start, s.container.uri, s.is_class))
    return tuple(done), conflicts


def _same(a: Thing, b: Thing) -> bool:
    return (a.batch_key, a.first) == (b.batch_key, b.first)
