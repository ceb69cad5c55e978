"""A unit's story through all the containers that it was in, bounded whatever the data say."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.goods import (
    DISTRIBUTOR,
    ISSUER,
    STRANGER,
    UNIT,
    at,
    box,
    cleared,
    declared,
    digest,
    of_box,
    of_lot,
    of_unit,
    packing,
    put,
)
from tracechain.domain.conflict import Conflict
from tracechain.domain.containment import Stay
from tracechain.domain.custody import UnitState
from tracechain.domain.story import (
    MAX_DEPTH,
    MAX_STAYS,
    Assembled,
    Spot,
    assemble,
    containers,
    spot,
)
from tracechain.domain.touch import EventDigest, Thing, Touch, TouchRole
from tracechain.v1 import capture_pb2

CASE, PALLET = box("case"), box("pallet")
MADE = of_unit(digest(1, 10, "commissioning", action="ADD"))
Loaded = Mapping[Spot, Sequence[Touch]]


def load(*touches: Touch) -> Loaded:
    """Touches by the thing that they are of; those of the lot are the unit's as well."""
    found: dict[Spot, list[Touch]] = defaultdict(list)
    for touch in touches:
        key = (touch.batch_key, touch.first)
        found[UNIT if touch.batch_key == UNIT[0] else key].append(touch)
    return found


def told(*touches: Touch, issuer: str = ISSUER) -> Assembled:
    """The unit's story."""
    return assemble(UNIT, "urn:unit", load(*touches), issuer)


def conflicts(assembled: Assembled) -> set[Conflict]:
    """All that does not fit, on steps and beside them."""
    return set(assembled.conflicts).union(*(step.conflicts for step in assembled.story.steps))


def within(assembled: Assembled) -> list[tuple[str, int, int | None, int]]:
    """Stays as (container, start, end, level)."""
    return [(n.stay.container.uri, n.stay.start, n.stay.end, n.level) for n in assembled.stays]


def test_what_names_the_container_is_part_of_the_story_while_it_is_inside() -> None:
    before, inside, after = (
        of_box(CASE, digest(20 + n, when, "storing")) for n, when in enumerate((15, 25, 35))
    )
    found = told(
        MADE, put(packing(2, 20, "ADD"), CASE), put(packing(3, 30, "DELETE"), CASE),
        before, inside, after,
    )  # fmt: skip
    assert [s.happening.digest.event_time for s in found.story.steps] == [10, 20, 25, 30]
    assert [s.happening.via for s in found.story.steps] == [
        "urn:unit", "urn:unit", CASE.uri, "urn:unit",
    ]  # fmt: skip
    assert [s.happening.direct for s in found.story.steps] == [True, True, False, True]
    assert within(found) == [(CASE.uri, 20, 30, 1)]
    assert conflicts(found) == set()


def test_goods_travel_with_their_pallet() -> None:
    found = told(
        MADE,
        put(packing(2, 20, "ADD"), CASE),
        put(packing(3, 21, "ADD"), PALLET, CASE),
        of_box(PALLET, digest(4, 30, "shipping", destination=DISTRIBUTOR)),
        of_box(PALLET, digest(5, 40, "receiving", DISTRIBUTOR, biz_location="hall")),
        cleared(PALLET, packing(6, 50, "DELETE", DISTRIBUTOR)),
        of_box(PALLET, digest(7, 60, "destroying", DISTRIBUTOR, disposition="destroyed")),
        of_box(CASE, digest(8, 70, "stocking", DISTRIBUTOR, biz_location="shelf")),
    )
    assert (found.story.holder, found.story.location) == (DISTRIBUTOR, "shelf")
    assert found.story.state is UnitState.ACTIVE
    assert within(found) == [(CASE.uri, 20, None, 1), (PALLET.uri, 21, 50, 2)]
    assert conflicts(found) == set()


def test_a_case_that_leaves_the_pallet_after_the_unit_left_the_case() -> None:
    found = told(
        MADE,
        put(packing(2, 20, "ADD"), CASE),
        put(packing(3, 25, "ADD"), PALLET, CASE),
        put(packing(4, 30, "DELETE"), CASE),
        put(packing(5, 40, "DELETE"), PALLET, CASE),
    )
    assert within(found) == [(CASE.uri, 20, 30, 1), (PALLET.uri, 25, 30, 2)]


def test_a_pallet_that_the_case_was_in_before_is_none_of_the_unit() -> None:
    found = told(
        MADE,
        put(packing(2, 12, "ADD"), PALLET, CASE),
        put(packing(3, 14, "DELETE"), PALLET, CASE),
        put(packing(4, 20, "ADD"), CASE),
    )
    assert within(found) == [(CASE.uri, 20, None, 1)]


def test_a_packing_that_was_taken_back_packed_nothing() -> None:
    wrong = packing(2, 20, "ADD")
    found = told(
        MADE,
        put(wrong, CASE),
        put(declared(wrong), CASE),
        of_box(CASE, wrong, TouchRole.PARENT),
        of_box(CASE, digest(3, 30, "destroying", disposition="destroyed")),
    )
    assert within(found) == []
    assert found.story.state is UnitState.ACTIVE
    # A stranger takes nothing back.
    kept = told(MADE, put(wrong, CASE), put(declared(wrong, STRANGER), CASE))
    assert within(kept) == [(CASE.uri, 20, None, 1)]
    assert conflicts(kept) == {Conflict.DECLARED_BY_OTHER_PARTY}


def test_an_emptying_that_was_taken_back_emptied_nothing() -> None:
    emptied = packing(3, 30, "DELETE")
    touches = (MADE, put(packing(2, 20, "ADD"), CASE), cleared(CASE, emptied))
    assert within(told(*touches)) == [(CASE.uri, 20, 30, 1)]
    kept = told(*touches, of_box(CASE, declared(emptied), TouchRole.PARENT))
    assert within(kept) == [(CASE.uri, 20, None, 1)]


# --- what is counted is not known


@pytest.mark.parametrize("step", ["destroying", "retail_selling", "consuming", "exporting"])
def test_units_that_may_be_in_a_container_do_not_share_its_end(step: str) -> None:
    """Sixty bottles of a lot were counted onto a pallet that burned; which, nobody knows. To call
    each bottle of the lot destroyed would call good ones counterfeit."""
    found = told(
        MADE,
        of_lot(packing(2, 20, "ADD"), TouchRole.CHILD, parent=PALLET),
        of_box(PALLET, digest(3, 30, step)),
    )
    assert found.story.state is UnitState.ACTIVE
    assert conflicts(found) == set()
    assert within(found) == [(PALLET.uri, 20, None, 1)]
    assert [s.happening.via for s in found.story.steps] == ["urn:unit", "urn:unit", PALLET.uri]


def test_nor_do_units_in_a_case_that_is_in_it() -> None:
    found = told(
        MADE,
        of_lot(packing(2, 20, "ADD"), TouchRole.CHILD, parent=CASE),
        put(packing(3, 25, "ADD"), PALLET, CASE),
        of_box(PALLET, digest(4, 30, "destroying")),
    )
    assert found.story.state is UnitState.ACTIVE
    assert [level for *_, level in within(found)] == [1, 2]


def test_a_unit_that_is_named_shares_it_though_its_lot_was_counted_too() -> None:
    counted = of_lot(packing(2, 20, "ADD"), TouchRole.CHILD, parent=PALLET)
    named = put(packing(3, 21, "ADD"), CASE)
    for box_ in (CASE, PALLET):
        burnt = of_box(box_, digest(4, 30, "destroying"))
        state = UnitState.DESTROYED if box_ is CASE else UnitState.ACTIVE
        assert told(MADE, counted, named, burnt).story.state is state


def test_of_an_event_that_names_and_counts_the_naming_counts() -> None:
    burnt = digest(4, 30, "destroying", disposition="destroyed")
    for touches in ((of_unit(burnt), of_lot(burnt)), (of_lot(burnt), of_unit(burnt))):
        assert told(MADE, *touches).story.state is UnitState.DESTROYED
    # So it is where the container is named and the lot is counted.
    packed = put(packing(2, 20, "ADD"), CASE)
    assert told(MADE, packed, of_lot(burnt), of_box(CASE, burnt)).story.state is (
        UnitState.DESTROYED
    )


def test_a_thing_made_of_itself_is_consumed_in_every_order() -> None:
    mixed = digest(2, 20, type="TransformationEvent", action="")
    parts = [of_unit(mixed, TouchRole.INPUT), of_unit(mixed, TouchRole.OUTPUT)]
    for touches in (parts, parts[::-1]):
        assert told(MADE, *touches).story.state is UnitState.CONSUMED


# --- bounds


def tower(height: int) -> list[Touch]:
    """The unit in a box in a box, `height` of them; each was destroyed in its turn."""
    boxes = [box(str(n)) for n in range(height)]
    touches = [MADE, put(packing(100, 20, "ADD"), boxes[0])]
    touches += [
        put(packing(101 + n, 20, "ADD"), outer, inner)
        for n, (inner, outer) in enumerate(pairwise(boxes))
    ]
    return [*touches, of_box(boxes[-1], digest(999, 30, "destroying"))]


@pytest.mark.parametrize("height", range(1, MAX_DEPTH + 3))
def test_containers_are_climbed_up_to_a_depth(height: int) -> None:
    found = told(*tower(height))
    assert [level for *_, level in within(found)] == list(range(1, min(height, MAX_DEPTH) + 1))
    state = UnitState.DESTROYED if height <= MAX_DEPTH else UnitState.ACTIVE
    assert found.story.state is state


@pytest.mark.parametrize("length", [1, 2, 3, MAX_DEPTH - 1])
def test_a_circle_ends_and_is_told(length: int) -> None:
    boxes = [box(str(n)) for n in range(length)]
    touches = [MADE, put(packing(99, 20, "ADD"), boxes[0])]
    touches += [
        put(packing(100 + n, 20, "ADD"), boxes[(n + 1) % length], inner)
        for n, inner in enumerate(boxes)
    ]
    assert Conflict.CONTAINMENT_CYCLE in told(*touches).conflicts


def test_a_circle_that_was_never_closed_is_none() -> None:
    found = told(
        MADE,
        put(packing(2, 20, "ADD"), CASE),
        put(packing(3, 20, "ADD"), PALLET, CASE),
        put(packing(4, 30, "DELETE"), PALLET, CASE),
        put(packing(5, 40, "ADD"), CASE, PALLET),
    )
    assert found.conflicts == frozenset()


def layers(width: int, make: str) -> list[Touch]:
    """Boxes in layers, each moved through all the boxes of the layer above."""
    grid = [[box(f"{level}.{n}") for n in range(width)] for level in range(MAX_DEPTH)]
    touches, number = [MADE], 100
    for level in range(-1, MAX_DEPTH - 1):
        for inner in [None] if level < 0 else grid[level]:
            for outer in grid[level + 1]:
                number += 1
                when = 20 if make == "at once" else number
                touch = put(packing(number, when, "ADD"), outer, inner)
                touches.append(replace(touch, is_class=make == "counted"))
    return touches


@pytest.mark.parametrize("make", ["at once", "one by one", "counted"])
def test_no_heap_of_containers_makes_it_run_for_long(make: str) -> None:
    """Twenty boxes a layer, each in all of the next: 20^8 ways up, and few places to see."""
    start = time.process_time()
    found = told(*layers(20, make))
    assert time.process_time() - start < 5
    assert 20 <= len(found.stays) <= MAX_STAYS


# --- whatever is loaded

_BOXES = (CASE, PALLET, box("truck"))


@st.composite
def loads(draw: st.DrawFn) -> list[Touch]:
    """Anything that may be said of a unit, its lot and three boxes, in any tangle."""
    touches: list[Touch] = []
    for number in range(draw(st.integers(0, 9))):
        when, by = draw(st.integers(0, 4)), draw(st.sampled_from([ISSUER, DISTRIBUTOR, STRANGER]))
        events: list[EventDigest] = []
        if draw(st.booleans()):
            action = draw(st.sampled_from(["ADD", "ADD", "DELETE"]))
            event = packing(number, when, action, by)
            parent = draw(st.sampled_from(_BOXES))
            child = draw(st.sampled_from(["unit", "lot", "nothing", *_BOXES]))
            made = [of_box(parent, event, TouchRole.PARENT, clears=False)]
            if child == "unit":
                made.append(put(event, parent))
            elif child == "lot":
                made += [of_lot(event, TouchRole.CHILD, parent=parent), put(event, parent)]
            elif isinstance(child, Thing):
                made.append(put(event, parent, child))
            elif action == "DELETE":
                made = [cleared(parent, event)]
        else:
            step = draw(
                st.sampled_from(["commissioning", "shipping", "receiving", "destroying", "storing"])
            )
            event = digest(
                number, when, step, by, destination=draw(st.sampled_from(["", DISTRIBUTOR]))
            )
            roles = st.lists(st.sampled_from(["item", "input", "output"]), min_size=1, max_size=2)
            made = [of_unit(event, TouchRole(role)) for role in draw(roles)]
            if draw(st.booleans()):
                made = [of_box(draw(st.sampled_from(_BOXES)), event)]
            if draw(st.booleans()):
                made.append(of_lot(event))
        events.append(event)
        if draw(st.integers(0, 3)) == 0:
            events.append(declared(event, draw(st.sampled_from([ISSUER, STRANGER]))))
        touches += [replace(touch, digest=event) for event in events for touch in made]
    return touches


@given(loads(), st.randoms(use_true_random=False), st.sampled_from([ISSUER, ""]))
def test_any_order_and_any_repetition_assemble_the_same(
    touches: list[Touch], chance: random.Random, issuer: str
) -> None:
    found = told(*touches, issuer=issuer)
    again = [*touches, *chance.choices(touches, k=5)] if touches else []
    chance.shuffle(again)
    assert told(*again, issuer=issuer) == found


@given(loads())
def test_each_event_is_one_step_and_stays_nest(touches: list[Touch]) -> None:
    found = told(*touches)
    names = [
        (s.happening.digest.event_id, s.happening.digest.declaration) for s in found.story.steps
    ]
    assert len(names) == len(set(names))
    assert all(1 <= n.level <= MAX_DEPTH for n in found.stays)
    assert all(n.stay.end is None or n.stay.start <= n.stay.end for n in found.stays)
    forever = 1 << 62
    top = [(n.stay.start, _end(n.stay, forever)) for n in found.stays if n.level == 1]
    for nested in found.stays:
        start, end = nested.stay.start, _end(nested.stay, forever)
        assert any(first <= start <= end <= last for first, last in top)


def _end(stay: Stay, forever: int) -> int:
    return forever if stay.end is None else stay.end


# --- names


def test_containers_are_named_once() -> None:
    touches = [
        put(packing(1, 10, "ADD"), CASE), put(packing(2, 20, "DELETE"), CASE),
        put(packing(3, 30, "ADD"), PALLET), of_unit(digest(4, 40)),
    ]  # fmt: skip
    assert containers(touches) == [CASE, PALLET]
    assert spot(CASE) == at(CASE)


def test_conflicts_are_those_of_the_api() -> None:
    names = {
        name.removeprefix("CONFLICT_REASON_")
        for name in capture_pb2.ConflictReason.DESCRIPTOR.values_by_name
    }
    assert names - {"UNSPECIFIED"} == {conflict.value for conflict in Conflict}


_CASE_HISTORY = (
    MADE,
    put(packing(2, 20, "ADD"), CASE),
    of_box(CASE, digest(3, 30, "shipping", destination=DISTRIBUTOR)),
    of_box(CASE, digest(4, 40, "receiving", DISTRIBUTOR, biz_location="hall")),
    put(packing(5, 50, "DELETE", DISTRIBUTOR), CASE),
    of_unit(digest(6, 60, "stocking", DISTRIBUTOR, biz_location="shelf")),
)


@pytest.mark.parametrize("when", [15, 21, 35, 45])
@pytest.mark.parametrize(
    "mischief",
    [
        lambda when: [put(packing(90, when, "DELETE", STRANGER), CASE)],
        lambda when: [put(packing(90, when, "ADD", STRANGER), box("theirs"))],
        lambda when: [cleared(CASE, packing(90, when, "DELETE", STRANGER))],
        lambda when: [put(packing(90, when, "ADD", STRANGER), box("theirs"), CASE)],
        lambda when: [
            put(replace(packing(90, when, "ADD", STRANGER), step="inspecting"), box("theirs")),
            of_box(box("theirs"), digest(91, when + 1, "destroying", STRANGER,
                                         disposition="destroyed")),
        ],
        lambda when: [
            put(packing(90, when, "ADD", STRANGER), box("theirs")),
            of_box(box("theirs"), digest(91, when + 1, "receiving", STRANGER)),
            put(packing(92, when + 2, "DELETE", STRANGER), box("theirs")),
        ],
    ],
)  # fmt: skip
def test_a_stranger_moves_nothing(when: int, mischief: Any) -> None:
    honest = told(*_CASE_HISTORY)
    found = told(*_CASE_HISTORY, *mischief(when))
    assert (found.story.state, found.story.holder, found.story.location) == (
        UnitState.ACTIVE,
        DISTRIBUTOR,
        "shelf",
    )
    assert found.stays == honest.stays
    kept = [s.happening.digest.event_id for s in found.story.steps if not s.conflicts]
    assert [s.happening.digest.event_id for s in honest.story.steps] == [
        event_id for event_id in kept if event_id < bytes(31) + b"\x5a"
    ]


def test_a_case_that_burns_takes_its_unit_along_whatever_a_stranger_says() -> None:
    burnt = of_box(CASE, digest(9, 70, "destroying", disposition="destroyed"))
    stolen_away = put(packing(90, 25, "DELETE", STRANGER), CASE)
    found = told(MADE, put(packing(2, 20, "ADD"), CASE), burnt, stolen_away)
    assert found.story.state is UnitState.DESTROYED
    assert Conflict.NOT_HOLDER in conflicts(found)


def test_who_carries_the_goods_may_load_them() -> None:
    truck = box("truck")
    found = told(
        MADE,
        of_unit(digest(2, 20, "shipping", destination=DISTRIBUTOR)),
        put(replace(packing(3, 30, "ADD", "C"), step="loading"), truck),
        of_box(truck, digest(4, 40, "arriving", "C", read_point="gate")),
        put(replace(packing(5, 50, "DELETE", "C"), step="unloading"), truck),
        of_unit(digest(6, 60, "receiving", DISTRIBUTOR, biz_location="hall")),
    )
    assert conflicts(found) == set()
    assert within(found) == [(truck.uri, 30, 50, 1)]
    assert found.story.holder == DISTRIBUTOR
