"""The story of one thing: who held it, what became of it, and what does not fit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.goods import (
    CARRIER,
    DISTRIBUTOR,
    ISSUER,
    SHOP,
    STRANGER,
    declared,
    digest,
    event_id,
    happening,
)
from tracechain.domain.conflict import Conflict
from tracechain.domain.custody import (
    Happening,
    Story,
    UnitState,
    erroneous_events,
    fold,
    involved,
)
from tracechain.domain.touch import EventDigest, TouchRole


def told(*digests: EventDigest, issuer: str = ISSUER) -> Story:
    """The story of a unit that these events name directly."""
    return fold([happening(d) for d in digests], issuer)


def conflicts(story: Story) -> list[list[Conflict]]:
    """What does not fit, step by step."""
    return [list(step.conflicts) for step in story.steps]


MADE = digest(1, 10, "commissioning", action="ADD", biz_location="plant")
SHIPPED = digest(2, 20, "shipping", destination=DISTRIBUTOR, read_point="gate")
RECEIVED = digest(3, 30, "receiving", DISTRIBUTOR, biz_location="hall")
SOLD = digest(4, 40, "retail_selling", DISTRIBUTOR, disposition="retail_sold", action="DELETE")


def test_nothing_happened_yet() -> None:
    assert told() == Story((), UnitState.ACTIVE, False, ISSUER, "", "")
    assert told(issuer="") == Story((), UnitState.ACTIVE, False, "", "", "")


def test_from_the_plant_to_the_till() -> None:
    story = told(MADE, SHIPPED, RECEIVED, SOLD)
    assert conflicts(story) == [[], [], [], []]
    assert [step.holder for step in story.steps] == [ISSUER, ISSUER, DISTRIBUTOR, DISTRIBUTOR]
    assert (story.state, story.holder, story.location) == (UnitState.SOLD, DISTRIBUTOR, "hall")
    assert story.commissioned
    assert story.addressee == ""


def test_on_the_way_it_is_at_no_place_and_has_an_addressee() -> None:
    story = told(MADE, SHIPPED)
    assert (story.holder, story.addressee, story.location) == (ISSUER, DISTRIBUTOR, "")
    carried = digest(9, 25, "transporting", CARRIER, read_point="geo:1,2")
    assert conflicts(told(MADE, SHIPPED, carried)) == [[], [], []]
    assert told(MADE, SHIPPED, carried).holder == ISSUER
    # What a carrier does is nobody's business before the goods are shipped.
    assert conflicts(told(MADE, replace(carried, event_time=15))) == [[], [Conflict.NOT_HOLDER]]


@pytest.mark.parametrize(
    ("step", "disposition", "state"),
    [
        ("retail_selling", "", UnitState.SOLD),
        ("retail_selling", "retail_sold", UnitState.SOLD),
        ("other", "retail_sold", UnitState.SOLD),
        ("consuming", "", UnitState.CONSUMED),
        ("dispensing", "", UnitState.CONSUMED),
        ("decommissioning", "inactive", UnitState.CONSUMED),
        ("", "dispensed", UnitState.CONSUMED),
        ("exporting", "", UnitState.EXPORTED),
        ("destroying", "", UnitState.DESTROYED),
        ("", "destroyed", UnitState.DESTROYED),
        ("", "disposed", UnitState.DESTROYED),
        ("inspecting", "stolen", UnitState.STOLEN),
        ("retail_selling", "returned", UnitState.ACTIVE),
        ("retail_selling", "destroyed", UnitState.DESTROYED),
        ("storing", "damaged", UnitState.ACTIVE),
        ("shipping", "in_transit", UnitState.ACTIVE),
        ("https://own.example/steps/blessing", "https://own.example/blessed", UnitState.ACTIVE),
    ],
)
def test_the_disposition_speaks_before_the_step(
    step: str, disposition: str, state: UnitState
) -> None:
    story = told(MADE, digest(2, 20, step, disposition=disposition))
    assert story.state is state
    assert conflicts(story) == [[], []]


def test_what_went_into_a_transformation_is_consumed_and_what_came_out_is_made() -> None:
    mixed = digest(2, 20, "", type="TransformationEvent", action="")
    story = fold([happening(MADE), happening(mixed, TouchRole.INPUT)], ISSUER)
    assert story.state is UnitState.CONSUMED
    story = fold([happening(mixed, TouchRole.OUTPUT)], ISSUER)
    assert (story.state, story.commissioned) == (UnitState.ACTIVE, True)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([MADE, replace(RECEIVED, recorder=STRANGER)], Conflict.NOT_HOLDER),
        ([MADE, digest(2, 20, "destroying", STRANGER)], Conflict.NOT_HOLDER),
        ([MADE, SHIPPED, replace(RECEIVED, recorder=STRANGER)], Conflict.NOT_ADDRESSEE),
        ([MADE, replace(SHIPPED, recorder=STRANGER)], Conflict.NOT_HOLDER),
        ([replace(MADE, event_time=15), digest(2, 12, "storing")], Conflict.BEFORE_COMMISSIONING),
        ([MADE, replace(MADE, event_id=event_id(2))], Conflict.COMMISSIONED_TWICE),
        ([MADE, replace(MADE, event_id=event_id(2), recorder=STRANGER)], Conflict.NOT_ISSUER),
        ([MADE, digest(2, 20, "destroying"), digest(3, 30, "storing")],
         Conflict.AFTER_END_OF_LIFE),
        ([MADE, digest(2, 20, "consuming"), digest(3, 30, "destroying")],
         Conflict.AFTER_END_OF_LIFE),
        ([MADE, digest(2, 20, "storing"), declared(digest(2, 20, "storing"), STRANGER)],
         Conflict.DECLARED_BY_OTHER_PARTY),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_marked(steps: list[EventDigest], expected: Conflict) -> None:
    found = [conflict for step in conflicts(told(*steps)) for conflict in step]
    assert found == [expected]


def test_a_stranger_destroys_nothing() -> None:
    story = told(MADE, digest(2, 20, "destroying", STRANGER, disposition="destroyed"))
    assert (story.state, story.holder) == (UnitState.ACTIVE, ISSUER)


def test_who_looks_on_moves_nothing() -> None:
    for step in ("inspecting", "sampling", "sensor_reporting", "cycle_counting"):
        looked = digest(2, 20, step, STRANGER, biz_location="lab", disposition="destroyed")
        story = told(MADE, looked)
        assert conflicts(story) == [[], []]
        assert (story.state, story.holder, story.location) == (UnitState.ACTIVE, ISSUER, "plant")


def test_the_issuer_reports_a_theft_of_goods_that_others_hold() -> None:
    base = (MADE, SHIPPED, RECEIVED)
    stolen = digest(5, 50, "holding", disposition="stolen")
    story = told(*base, stolen)
    assert (story.state, story.holder) == (UnitState.STOLEN, DISTRIBUTOR)
    assert conflicts(story)[3] == []
    # A thief sells on; the goods stay stolen until the owner has them back.
    resold = replace(SOLD, event_time=60)
    assert told(*base, stolen, resold).state is UnitState.STOLEN
    returned = digest(6, 70, "receiving", DISTRIBUTOR, disposition="returned")
    assert told(*base, stolen, returned).state is UnitState.STOLEN
    # Destroyed is destroyed, stolen or not.
    burnt = digest(7, 80, "destroying", DISTRIBUTOR, disposition="destroyed")
    assert told(*base, stolen, burnt).state is UnitState.DESTROYED
    back = digest(8, 90, "shipping", DISTRIBUTOR, destination=ISSUER)
    home = digest(9, 95, "receiving", disposition="returned")
    assert told(*base, stolen, back, home).state is UnitState.ACTIVE


def test_the_issuer_says_no_more_of_goods_that_others_hold() -> None:
    base = (MADE, SHIPPED, RECEIVED)
    for step in ("inspecting", "sampling", "cycle_counting"):
        said = digest(5, 50, step, disposition="destroyed")
        assert told(*base, said).state is UnitState.ACTIVE
        assert told(*base, replace(said, recorder=DISTRIBUTOR)).state is UnitState.DESTROYED


def test_sold_goods_come_back() -> None:
    back = digest(5, 50, "accepting", DISTRIBUTOR, disposition="returned")
    story = told(MADE, SHIPPED, RECEIVED, SOLD, back)
    assert (story.state, conflicts(story)[4]) == (UnitState.ACTIVE, [])


def test_what_never_arrived_is_taken_back_by_its_sender() -> None:
    back = replace(RECEIVED, recorder=ISSUER)
    story = told(MADE, SHIPPED, back)
    assert (conflicts(story), story.holder, story.addressee) == ([[], [], []], ISSUER, "")
    assert story.location == "hall"


def test_a_shipment_that_is_void_is_under_way_no_more() -> None:
    void = digest(3, 30, "void_shipping", read_point="gate")
    story = told(MADE, SHIPPED, void)
    assert (conflicts(story), story.addressee, story.location) == ([[], [], []], "", "gate")
    assert told(MADE, SHIPPED, replace(void, recorder=STRANGER)).addressee == DISTRIBUTOR
    late = digest(4, 40, "receiving", DISTRIBUTOR)
    assert conflicts(told(MADE, SHIPPED, void, late))[3] == [Conflict.NOT_HOLDER]


def test_a_shipment_to_nobody_is_received_by_anybody() -> None:
    unaddressed = replace(SHIPPED, destination="")
    assert told(MADE, unaddressed, replace(RECEIVED, recorder=SHOP)).holder == SHOP


def test_foreign_goods_are_held_by_who_spoke_first() -> None:
    story = told(digest(1, 10, "storing", SHOP), digest(2, 20, "storing", DISTRIBUTOR), issuer="")
    assert (story.holder, conflicts(story)) == (SHOP, [[], [Conflict.NOT_HOLDER]])
    made = told(replace(MADE, recorder=SHOP), issuer="")
    assert (made.holder, made.commissioned) == (SHOP, True)


def test_a_count_of_the_lot_moves_no_one_unit() -> None:
    counted = happening(digest(2, 20, "destroying", disposition="destroyed"), is_class=True)
    story = fold([happening(MADE), counted], ISSUER)
    assert (story.state, conflicts(story)) == (UnitState.ACTIVE, [[], []])


@pytest.mark.parametrize("how", [{"step": "commissioning"}, {"step": "creating_class_instance"}])
def test_units_counted_as_made_are_not_commissioned_by_that(how: dict[str, str]) -> None:
    """So many of a lot, not known which: a stolen label is none of them for all anybody knows."""
    counted = happening(replace(MADE, event_id=event_id(90), **how), is_class=True)
    output = replace(counted, role=TouchRole.OUTPUT)
    for said in (counted, output):
        assert not fold([said], ISSUER).commissioned
        story = fold([said, happening(replace(MADE, event_time=MADE.event_time + 5))], ISSUER)
        assert (story.commissioned, conflicts(story)) == (True, [[], []])
        stranger = replace(said, digest=replace(said.digest, recorder=STRANGER))
        assert conflicts(fold([stranger], ISSUER)) == [[Conflict.NOT_ISSUER]]


def test_a_foreign_lot_that_is_made_twice_is_with_whom_made_it_first() -> None:
    first = happening(replace(MADE, recorder=SHOP, biz_location="here"), is_class=True)
    second = happening(digest(2, 20, "commissioning", DISTRIBUTOR), is_class=True)
    story = fold([first, second], "")
    assert (story.holder, story.location, conflicts(story)) == (SHOP, "here", [[], []])


def test_a_container_made_new_makes_nothing_in_it() -> None:
    inside = happening(MADE, direct=False, via="urn:box:a")
    story = fold([inside], ISSUER)
    assert not story.commissioned


def test_an_observed_commissioning_still_counts_and_a_deleted_one_does_not() -> None:
    assert told(replace(MADE, action="OBSERVE")).commissioned
    assert not told(replace(MADE, action="DELETE")).commissioned
    assert told(replace(MADE, step="creating_class_instance")).commissioned


# --- claimed for one time


def test_at_one_moment_a_life_is_told_in_the_order_in_which_it_can_have_happened() -> None:
    """Systems that know days or seconds give many events one time, and identities are chance."""
    life = [
        ("commissioning", ISSUER, ""),
        ("packing", ISSUER, ""),
        ("shipping", ISSUER, DISTRIBUTOR),
        ("receiving", DISTRIBUTOR, ""),
        ("storing", DISTRIBUTOR, ""),
        ("shipping", DISTRIBUTOR, SHOP),
        ("receiving", SHOP, ""),
        ("consuming", SHOP, ""),
    ]
    for seed in range(50):
        numbers = random.Random(seed).sample(range(1000), len(life))
        story = told(
            *(
                digest(number, 10, step, recorder, destination=destination)
                for number, (step, recorder, destination) in zip(numbers, life, strict=True)
            )
        )
        assert (story.holder, story.state) == (SHOP, UnitState.CONSUMED)
        assert [found for found in conflicts(story) if found] == []


# --- error declarations


def test_an_event_that_its_recorder_took_back_moves_nothing() -> None:
    wrong = digest(2, 20, "destroying", disposition="destroyed")
    story = told(MADE, wrong, declared(wrong), digest(3, 30, "storing"))
    assert story.state is UnitState.ACTIVE
    assert [step.erroneous for step in story.steps] == [False, True, True, False]
    assert conflicts(story) == [[], [], [], []]


def test_nobody_takes_back_the_words_of_another() -> None:
    wrong = digest(2, 20, "destroying", disposition="destroyed")
    story = told(MADE, wrong, declared(wrong, STRANGER))
    assert story.state is UnitState.DESTROYED
    assert [step.erroneous for step in story.steps] == [False, False, True]
    assert conflicts(story)[1] == [Conflict.DECLARED_BY_OTHER_PARTY]


def test_a_declaration_may_come_before_its_event() -> None:
    wrong = digest(2, 20, "destroying")
    assert erroneous_events([declared(wrong)]) == {wrong.event_id}
    assert erroneous_events([declared(wrong), wrong]) == {wrong.event_id}
    assert erroneous_events([declared(wrong, STRANGER), wrong]) == frozenset()
    assert erroneous_events([wrong]) == frozenset()
    assert erroneous_events([declared(wrong, STRANGER), declared(wrong), wrong]) == {wrong.event_id}


def test_a_commissioning_taken_back_is_none() -> None:
    story = told(MADE, declared(MADE), digest(3, 30, "storing"))
    assert not story.commissioned
    assert conflicts(story) == [[], [], []]


# --- who is part of it


def test_involved_are_those_who_hold_held_or_were_sent_the_goods() -> None:
    assert involved(told(MADE), ISSUER) == {ISSUER}
    assert involved(told(MADE, SHIPPED), ISSUER) == {ISSUER, DISTRIBUTOR}
    on = digest(4, 40, "shipping", DISTRIBUTOR, destination=SHOP)
    assert involved(told(MADE, SHIPPED, RECEIVED, on), ISSUER) == {ISSUER, DISTRIBUTOR, SHOP}


def test_to_speak_of_goods_makes_nobody_part_of_them() -> None:
    spoken = [
        digest(2, 20, "inspecting", STRANGER, destination=SHOP),
        digest(3, 30, "shipping", STRANGER, destination=SHOP),
        digest(4, 40, "storing", STRANGER),
    ]
    assert involved(told(MADE, *spoken), ISSUER) == {ISSUER}
    counted = [happening(d, is_class=True) for d in spoken]
    assert involved(fold([happening(MADE), *counted], ISSUER), ISSUER) == {ISSUER}


def test_of_foreign_goods_those_who_held_or_counted_them_are_part() -> None:
    story = told(digest(1, 10, "storing", SHOP), digest(2, 20, "storing", STRANGER), issuer="")
    assert involved(story, "") == {SHOP}
    counted = fold([happening(digest(1, 10, "storing", SHOP), is_class=True)], "")
    assert involved(counted, "") == {SHOP}
    # Where nothing is left to go by, all who spoke of them.
    wrong = digest(1, 10, "storing", SHOP)
    assert involved(told(wrong, declared(wrong), issuer=""), "") == {SHOP}


# --- whatever happens

_STEPS = [
    "", "commissioning", "shipping", "receiving", "transporting", "inspecting", "retail_selling",
    "destroying", "storing", "consuming",
]  # fmt: skip
_DISPOSITIONS = ["", "", "retail_sold", "destroyed", "stolen", "returned", "recalled"]
_PARTIES = [ISSUER, DISTRIBUTOR, SHOP, STRANGER]


@st.composite
def happenings(draw: st.DrawFn, parties: Sequence[str] = _PARTIES) -> list[Happening]:
    """Anything that may be said of a unit, some of it taken back."""
    found: list[Happening] = []
    for number in range(draw(st.integers(0, 9))):
        item = happening(
            digest(
                number,
                draw(st.integers(0, 4)),
                draw(st.sampled_from(_STEPS)),
                draw(st.sampled_from(parties)),
                action=draw(st.sampled_from(["ADD", "OBSERVE", "DELETE"])),
                disposition=draw(st.sampled_from(_DISPOSITIONS)),
                destination=draw(st.sampled_from(["", *parties])),
                biz_location=draw(st.sampled_from(["", "here", "there"])),
            ),
            draw(st.sampled_from([TouchRole.ITEM, TouchRole.INPUT, TouchRole.OUTPUT])),
            is_class=draw(st.booleans()),
        )
        found.append(item)
        if draw(st.integers(0, 3)) == 0:
            taken_back = declared(item.digest, draw(st.sampled_from(parties)))
            found.append(replace(item, digest=taken_back))
    return found


@given(happenings(), st.randoms(use_true_random=False), st.sampled_from([ISSUER, ""]))
def test_any_order_and_any_repetition_tell_the_same_story(
    events: list[Happening], chance: random.Random, issuer: str
) -> None:
    story = fold(events, issuer)
    again = [*events, *chance.choices(events, k=5)] if events else []
    chance.shuffle(again)
    assert fold(again, issuer) == story
    assert involved(fold(again, issuer), issuer) == involved(story, issuer)


@given(happenings(), st.sampled_from([ISSUER, ""]))
def test_every_step_is_there_once_in_the_order_of_claimed_time(
    events: list[Happening], issuer: str
) -> None:
    story = fold(events, issuer)
    assert {step.happening for step in story.steps} == set(events)
    times = [step.happening.digest.event_time for step in story.steps]
    assert times == sorted(times)
    assert not any(step.conflicts for step in story.steps if step.erroneous)
    if story.steps:
        assert story.steps[-1].holder == story.holder


_SAID_BY_A_STRANGER = st.lists(
    st.builds(
        digest,
        st.integers(1000, 9999),
        st.integers(11, 60),
        st.sampled_from(_STEPS),
        st.just(STRANGER),
        action=st.sampled_from(["ADD", "OBSERVE", "DELETE"]),
        disposition=st.sampled_from(_DISPOSITIONS),
        destination=st.sampled_from(_PARTIES),
        biz_location=st.sampled_from(["", "elsewhere"]),
    ),
    max_size=6,
    unique_by=lambda d: d.event_id,
)


@given(_SAID_BY_A_STRANGER, st.integers(1, 4))
def test_a_stranger_moves_nothing(said: list[EventDigest], length: int) -> None:
    """Whatever he records of goods that others hold, directly and by name."""
    base = (MADE, SHIPPED, RECEIVED, SOLD)[:length]
    plain, noisy = told(*base), told(*base, *said)
    assert (noisy.state, noisy.holder, noisy.addressee, noisy.commissioned) == (
        plain.state,
        plain.holder,
        plain.addressee,
        plain.commissioned,
    )
    assert noisy.location == plain.location
    assert STRANGER not in involved(noisy, ISSUER)
    own = [step for step in noisy.steps if step.happening.digest.recorder != STRANGER]
    assert [list(step.conflicts) for step in own] == conflicts(plain)


def test_every_state_is_reached_but_the_one_that_the_batch_decides() -> None:
    reached = {
        told(MADE, digest(2, 20, "", disposition=d)).state
        for d in ("", "retail_sold", "dispensed", "destroyed", "stolen")
    } | {told(MADE, digest(2, 20, "exporting")).state}
    assert reached == set(UnitState) - {UnitState.NOT_ACTIVATED}
