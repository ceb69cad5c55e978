"""When a thing was in which container, whatever the order in which that became known."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.goods import box, cleared, event_id, of_lot, of_unit, packing, put
from tracechain.domain.conflict import Conflict
from tracechain.domain.containment import Stay, moment, stays
from tracechain.domain.touch import Thing, Touch, TouchRole

CASE, PALLET, TRUCK = box("case"), box("pallet"), box("truck")


def found(*touches: Touch) -> tuple[list[tuple[str, int, int | None]], dict[int, Conflict]]:
    """The stays of the unit as (container, start, end), and conflicts by number of event."""
    children = [t for t in touches if not t.clears]
    intervals, conflicts = stays(children, [t for t in touches if t.clears])
    return (
        [(s.container.uri.rpartition(":")[2], s.start, s.end) for s in intervals],
        {int.from_bytes(identity, "big"): conflict for identity, conflict in conflicts.items()},
    )


def counted(number: int, time: int, action: str, parent: Thing) -> Touch:
    """Some of the lot, counted in or out."""
    return of_lot(packing(number, time, action), TouchRole.CHILD, parent=parent)


def test_in_and_out() -> None:
    packed, taken = put(packing(1, 10, "ADD"), CASE), put(packing(2, 20, "DELETE"), CASE)
    assert found() == ([], {})
    assert found(packed) == ([("case", 10, None)], {})
    assert found(taken, packed) == ([("case", 10, 20)], {})
    again = put(packing(3, 30, "ADD"), CASE)
    assert found(again, taken, packed) == ([("case", 10, 20), ("case", 30, None)], {})


def test_to_be_seen_in_a_container_is_no_move() -> None:
    seen = put(packing(2, 20, "OBSERVE"), CASE)
    assert found(seen) == ([], {})
    assert found(put(packing(1, 10, "ADD"), PALLET), seen) == ([("pallet", 10, None)], {})


def test_a_container_that_was_emptied_holds_nothing() -> None:
    packed, emptied = put(packing(1, 10, "ADD"), CASE), cleared(CASE, packing(2, 20, "DELETE"))
    assert found(packed, emptied) == ([("case", 10, 20)], {})
    assert found(packed, cleared(PALLET, packing(2, 20, "DELETE"))) == ([("case", 10, None)], {})
    # To be emptied twice, or while empty, is no conflict.
    assert found(emptied, cleared(CASE, packing(3, 30, "DELETE"))) == ([], {})


def test_moved_without_being_taken_out() -> None:
    moved = found(put(packing(1, 10, "ADD"), CASE), put(packing(2, 20, "ADD"), PALLET))
    assert moved == (
        [("case", 10, 20), ("pallet", 20, None)],
        {2: Conflict.ALREADY_CONTAINED},
    )


def test_put_in_where_it_is_already() -> None:
    twice = found(put(packing(1, 10, "ADD"), CASE), put(packing(2, 20, "ADD"), CASE))
    assert twice == ([("case", 10, None)], {})


def test_taken_out_of_where_it_is_not() -> None:
    packed = put(packing(1, 10, "ADD"), CASE)
    assert found(packed, put(packing(2, 20, "DELETE"), PALLET)) == (
        [("case", 10, None)],
        {2: Conflict.NOT_CONTAINED},
    )
    assert found(put(packing(1, 10, "DELETE"), CASE)) == ([], {1: Conflict.NOT_CONTAINED})


def test_attached_to_a_sensor_while_in_a_case() -> None:
    """An association is no aggregation: a thing may be in a box and carry a logger at once."""
    attached = put(packing(2, 20, "ADD", type="AssociationEvent"), TRUCK)
    intervals, conflicts = found(put(packing(1, 10, "ADD"), CASE), attached)
    assert (intervals, conflicts) == ([("case", 10, None), ("truck", 20, None)], {})
    taken = put(packing(3, 30, "DELETE"), TRUCK)  # an aggregation cannot detach it
    assert found(attached, taken)[1] == {3: Conflict.NOT_CONTAINED}


def test_at_one_moment_what_fits_goes_first_whatever_the_identities_say() -> None:
    for first, second in ((1, 2), (2, 1)):
        packed = put(packing(first, 10, "ADD"), CASE)
        taken = put(packing(second, 10, "DELETE"), CASE)
        emptied = cleared(CASE, packing(second, 10, "DELETE"))
        assert found(taken, packed) == found(emptied, packed) == ([("case", 10, 10)], {})
        into = put(packing(0, 5, "ADD"), CASE)
        taken = put(packing(first, 10, "DELETE"), CASE)
        moved = put(packing(second, 10, "ADD"), PALLET)
        assert found(moved, taken, into) == ([("case", 5, 10), ("pallet", 10, None)], {})


def test_at_one_moment_what_fits_in_no_order_is_in_conflict_and_identities_decide() -> None:
    first, second = put(packing(1, 10, "ADD"), CASE), put(packing(2, 10, "ADD"), PALLET)
    assert found(second, first) == (
        [("case", 10, 10), ("pallet", 10, None)],
        {2: Conflict.ALREADY_CONTAINED},
    )
    assert moment(first.digest) < moment(second.digest) == (10, event_id(2))


def test_a_thousand_moves_of_one_moment_take_no_time() -> None:
    touches = [put(packing(n, 10, "ADD"), box(f"b{n}")) for n in range(1000)]
    touches += [put(packing(n + 1000, 10, "DELETE"), box(f"b{n}")) for n in range(1000)]
    begin = time.thread_time()
    intervals, _ = found(*touches)
    assert time.thread_time() - begin < 2
    assert all(start == 10 for _, start, _ in intervals)


def test_an_event_that_names_a_thing_twice_moves_it_once() -> None:
    """By its serial, as part of a range, and in the count of its lot."""
    packed, taken = packing(1, 10, "ADD"), packing(2, 20, "DELETE")
    ranges = [
        of_unit(event, TouchRole.CHILD, first=0, end=100, parent=CASE) for event in (packed, taken)
    ]
    counts = [counted(1, 10, "ADD", CASE), counted(2, 20, "DELETE", CASE)]
    singles = [put(packed, CASE), put(taken, CASE)]
    for touches in (singles, ranges + singles, counts + singles + ranges, singles + counts):
        assert found(*touches) == ([("case", 10, 20)], {})


# --- counts of a lot: some units, not known which


def test_a_lot_is_in_many_containers_at_once() -> None:
    moved: list[tuple[int, str, Thing]] = [
        (10, "ADD", CASE),
        (20, "ADD", PALLET),
        (30, "DELETE", CASE),
    ]
    intervals, conflicts = stays([counted(t, t, action, place) for t, action, place in moved], [])
    assert intervals == (
        Stay(CASE, "AggregationEvent", 10, 30, True),
        Stay(PALLET, "AggregationEvent", 20, None, True),
    )
    assert conflicts == {}


def test_a_count_does_not_move_a_unit_that_is_known_to_be_elsewhere() -> None:
    packed = put(packing(1, 10, "ADD"), CASE)
    assert found(packed, counted(2, 20, "ADD", PALLET)) == (
        [("case", 10, None), ("pallet", 20, None)],
        {},
    )
    # Some were taken out of its case: this one, or another.
    assert found(packed, counted(2, 20, "DELETE", CASE)) == ([("case", 10, None)], {})
    assert found(counted(2, 20, "DELETE", CASE)) == ([], {2: Conflict.NOT_CONTAINED})


def test_a_unit_that_was_counted_in_is_taken_out_by_name() -> None:
    touches = counted(1, 10, "ADD", CASE), put(packing(2, 20, "DELETE"), CASE)
    assert found(*touches) == ([("case", 10, 20)], {})


def test_to_empty_a_container_ends_both() -> None:
    touches = (
        put(packing(1, 10, "ADD"), CASE),
        counted(2, 11, "ADD", CASE),
        cleared(CASE, packing(3, 20, "DELETE")),
    )
    assert found(*touches) == ([("case", 10, 20), ("case", 11, 20)], {})


# --- against a replay, event by event


@dataclass
class Replay:
    """Where the unit is, kept up to date by one event after the other."""

    own: dict[str, Thing] = field(default_factory=dict)
    counted: set[tuple[str, Thing]] = field(default_factory=set)
    conflicts: dict[bytes, Conflict] = field(default_factory=dict)

    def take(self, touch: Touch, place: Thing) -> None:
        relation, action = touch.digest.type, touch.digest.action
        here, some = self.own.get(relation) == place, (relation, place) in self.counted
        if touch.clears:
            self.counted.discard((relation, place))
            if here:
                del self.own[relation]
        elif action == "ADD" and touch.is_class:
            self.counted.add((relation, place))
        elif action == "ADD":
            if relation in self.own and not here:
                self.conflicts[touch.digest.event_id] = Conflict.ALREADY_CONTAINED
            self.own[relation] = place
        elif action == "DELETE" and not here and not some:
            self.conflicts[touch.digest.event_id] = Conflict.NOT_CONTAINED
        elif action == "DELETE" and (touch.is_class or not here):
            self.counted.discard((relation, place))
        elif action == "DELETE":
            del self.own[relation]

    def around(self) -> set[tuple[str, str, bool]]:
        """(relation, container, counted) of all that it is in."""
        return {(r, c.uri, False) for r, c in self.own.items()} | {
            (r, c.uri, True) for r, c in self.counted
        }


_PLACES = (CASE, PALLET, TRUCK)


@st.composite
def moves(draw: st.DrawFn, *, tied: bool) -> list[tuple[Touch, Thing]]:
    """Moves at even times, each with the container that it is about."""
    made: list[tuple[Touch, Thing]] = []
    times = draw(st.permutations(range(12)))
    for number in range(draw(st.integers(0, 12))):
        place = draw(st.sampled_from(_PLACES))
        event = packing(
            number,
            2 * (draw(st.integers(0, 5)) if tied else times[number]),
            draw(st.sampled_from(["ADD", "ADD", "DELETE", "OBSERVE"])),
            type=draw(st.sampled_from(["AggregationEvent", "AssociationEvent"])),
        )
        how = draw(st.sampled_from(["unit", "unit", "count", "clear"]))
        if how == "clear" and event.action == "DELETE":
            made.append((cleared(place, event), place))
        elif how == "count":
            made.append((of_lot(event, TouchRole.CHILD, parent=place), place))
        else:
            made.append((put(event, place), place))
    return made


@given(moves(tied=False))
def test_stays_are_what_a_replay_finds(made: list[tuple[Touch, Thing]]) -> None:
    children = [touch for touch, _ in made if not touch.clears]
    intervals, conflicts = stays(children, [touch for touch, _ in made if touch.clears])
    replay = Replay()
    for now in range(0, 24, 2):
        for touch, place in made:
            if touch.digest.event_time == now:
                replay.take(touch, place)
        between = {
            (s.relation, s.container.uri, s.is_class) for s in intervals if s.covers(now + 1)
        }
        assert between == replay.around()
    assert conflicts == replay.conflicts
    assert all(s.end is None or s.start <= s.end for s in intervals)


@given(moves(tied=True), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_give_the_same_stays(
    made: list[tuple[Touch, Thing]], chance: random.Random
) -> None:
    touches = [touch for touch, _ in made]
    again = [*touches, *chance.choices(touches, k=4)] if touches else []
    chance.shuffle(again)
    assert stays([t for t in again if not t.clears], [t for t in again if t.clears]) == stays(
        [t for t in touches if not t.clears], [t for t in touches if t.clears]
    )


def test_the_event_that_takes_it_out_is_part_of_both_stories() -> None:
    stay = Stay(CASE, "AggregationEvent", 10, 20)
    assert [t for t in range(30) if stay.covers(t)] == list(range(10, 21))
    assert Stay(CASE, "AggregationEvent", 10, None).covers(1 << 62)


def test_what_is_no_child_moves_nothing() -> None:
    assert found(of_unit(packing(1, 10, "ADD"), TouchRole.ITEM)) == ([], {})
    assert found(of_unit(packing(1, 10, "ADD"), TouchRole.CHILD, parent=None)) == ([], {})
