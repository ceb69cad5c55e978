"""When a thing was in which container: intervals folded from aggregation and association.

The result depends on the set of events only, never on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

from tracechain.domain.conflict import Conflict
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole

T = TypeVar("T")

# How often those of one time that did not fit are tried again; what is made to need more is not
# worth the time.
_ROUNDS = 16


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
    """The order of a story: by claimed time, ties by what fits (see `tried`) and then by identity,
    so that all nodes agree."""
    return (digest.event_time, digest.event_id)


def tried(tied: Sequence[T], moves: Callable[[T], bool]) -> Sequence[T]:
    """Moves by what is claimed for one time, in an order in which it fits; what fits in none.

    Equal times say nothing of order, and clocks of plants count in seconds: goods that are made
    and packed at once were made first, whatever their identities say. `moves` moves by one and
    is True, or moves nothing. As the order that it is tried in is given, all nodes agree.
    """
    for _ in range(_ROUNDS):
        left = [item for item in tied if not moves(item)]
        if len(left) in (0, len(tied)):
            return left
        tied = left
    return tied


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
    # A unit that is listed, and in a range or counted as well, is moved once: as itself.
    once = {event_id: (time, touch, parent) for (time, event_id), touch, parent in reversed(moves)}

    conflicts: dict[bytes, Conflict] = {}
    rooms = _Rooms()
    for _, tied in groupby(sorted(once.values(), key=_order), key=lambda move: move[0]):
        for move in tried(list(tied), rooms.moves):
            if (conflict := rooms.force(move)) is not None:
                conflicts[move[1].digest.event_id] = conflict
    done = [*rooms.done, *rooms.inside.values()]
    done.sort(key=lambda s: (s.start, s.container.uri, s.is_class))
    return tuple(done), conflicts


_Move = tuple[int, Touch, Thing]


def _order(move: _Move) -> tuple[int, bytes]:
    return moment(move[1].digest)


class _Rooms:
    """What one thing is in. It is in one container at a time; of a lot, some units are here and
    some are there."""

    def __init__(self) -> None:
        self.done: list[Stay] = []
        self.inside: dict[tuple[str, tuple[int, int] | None], Stay] = {}

    def moves(self, move: _Move) -> bool:
        """Moves by what fits; False for what does not, and moves nothing."""
        time, touch, parent = move
        relation, place = touch.digest.type, (parent.batch_key, parent.first)
        now, counted = self.inside.get((relation, None)), self.inside.get((relation, place))
        here = now is not None and _same(now.container, parent)
        if touch.digest.action == "DELETE":
            if counted is None and not here:
                return False
            if here and (touch.clears or not touch.is_class):
                self._end((relation, None), time)
            if counted is not None and (touch.clears or touch.is_class or not here):
                self._end((relation, place), time)
        elif touch.digest.action == "ADD" and touch.is_class:
            self.inside.setdefault((relation, place), Stay(parent, relation, time, None, True))
        elif touch.digest.action == "ADD" and not here:
            if now is not None:
                return False
            self.inside[relation, None] = Stay(parent, relation, time, None)
        return True

    def force(self, move: _Move) -> Conflict | None:
        """Moves by what did not fit: what is put elsewhere has left where it was before."""
        if self.moves(move):
            return None
        time, touch, _ = move
        if touch.digest.action == "DELETE":
            return None if touch.clears else Conflict.NOT_CONTAINED
        self._end((touch.digest.type, None), time)
        self.moves(move)
        return Conflict.ALREADY_CONTAINED

    def _end(self, key: tuple[str, tuple[int, int] | None], time: int) -> None:
        self.done.append(replace(self.inside.pop(key), end=time))


def _same(a: Thing, b: Thing) -> bool:
    return (a.batch_key, a.first) == (b.batch_key, b.first)
