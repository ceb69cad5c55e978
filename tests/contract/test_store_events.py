"""The EventStore port, over every backend: events, what they touch, places and documents.

A unit's story is folded from the touches that are found for it: one that is missed is a sale that
nobody sees. So look-ups are compared with a list that is searched from end to end, with runs of
every size, and with every order in which events can arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Open
from tests.support.service import gln_of
from tests.support.stores import canonical, digest, event, event_id, fresh_key, thing, touch
from tracechain.adapters.grouped import GroupedEvents
from tracechain.app.ports import NewEvent, PlaceSummary, Store, StoredDocument
from tracechain.domain.batch_key import WHOLE_BATCH, derived
from tracechain.domain.errors import Unavailable
from tracechain.domain.touch import Thing, Touch, TouchRole

one_store_for_all = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
ENOUGH = 10_000


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get_events([]) == []
    assert await store.get_events([(event_id(1), b"")]) == [None]
    assert await store.touches([], ENOUGH) == []
    assert await store.touches([thing(1, 0), thing(2, 0, 9)], ENOUGH) == [[], []]
    assert await store.places(1, 10) == []
    assert await store.count_ended(1) == 0
    assert await store.get_document("none") is None
    assert await store.append_events([]) == []


async def test_events_come_back_exactly_and_in_the_order_asked(
    store: Store, open_another: Open
) -> None:
    one = event(digest("one", 5), body='{"备注":"“白酒”\\u0000\\n"}')
    two = event(digest("two", -5, recorder=""))
    assert await store.append_events([one, two]) == [True, True]
    ids = [(event_id("two"), b""), (event_id("nowhere"), b""), (event_id("one"), b"")]
    for at in (store, await open_another()):
        assert await at.get_events(ids) == [two.event, None, one.event]


async def test_a_duplicate_changes_nothing(store: Store) -> None:
    key = fresh_key()
    said = digest("one", 5)
    first = event(said, [touch(key, 0, 5, said)], body="first")
    other = replace(said, recorder=gln_of(7), record_time=99)
    second = event(other, [touch(key, 3, 9, other)], body="second")
    assert await store.append_events([first, second, first]) == [True, False, False]
    assert await store.append_events([second]) == [False]
    assert await store.get_events([(said.event_id, b"")]) == [first.event]
    assert await store.touches([thing(key, 0, 100)], ENOUGH) == [list(first.touches)]


async def test_a_declaration_is_a_record_beside_the_event_that_it_declares_wrong(
    store: Store,
) -> None:
    key = fresh_key()
    said = digest("one", 5)
    declared = [replace(said, declaration=bytes([n]) * 8, record_time=50 + n) for n in (1, 2)]
    every = [said, *declared]
    for one in every:
        assert await store.append_events([event(one, [touch(key, 1, 2, one)])]) == [True]
    found = await store.get_events([(one.event_id, one.declaration) for one in every])
    assert found == [event(one).event for one in every]
    (touches,) = await store.touches([thing(key, 1)], ENOUGH)
    assert canonical(touches) == canonical([touch(key, 1, 2, one) for one in every])


async def test_of_stores_that_keep_an_event_at_once_one_does(
    store: Store, open_another: Open
) -> None:
    stores, key = [store, await open_another()], fresh_key()
    said = [digest(n, n) for n in range(10)]
    made = [event(one, [touch(key, i, i + 1, one)]) for i, one in enumerate(said)]
    added = await asyncio.gather(*(stores[i % 2].append_events(made) for i in range(6)))
    assert [sum(column) for column in zip(*added, strict=True)] == [1] * 10
    (touches,) = await store.touches([thing(key, 0, 10)], ENOUGH)
    assert touches == [one.touches[0] for one in made]


@pytest.mark.parametrize(
    "bad",
    [event(digest("bad", 1 << 80)), event(digest("bad"), body="\ud800")],
    ids=["time", "text"],
)
async def test_where_one_event_cannot_be_kept_none_of_its_company_is(
    store: Store, bad: NewEvent
) -> None:
    key, said = fresh_key(), digest("good", 5)
    good = event(said, [touch(key, 0, 1, said)])
    with pytest.raises(Exception, match=r".") as refused:
        await store.append_events([good, bad])
    # It would fail for ever: nobody must be told to come again, nor its company with it.
    assert not isinstance(refused.value, Unavailable)
    assert await store.get_events([(said.event_id, b"")]) == [None]
    assert await store.touches([thing(key, 0)], ENOUGH) == [[]]
    # And the store goes on.
    assert await store.append_events([good]) == [True]


async def test_of_requests_that_share_a_commit_one_that_cannot_be_kept_fails_alone(
    store: Store,
) -> None:
    grouped = GroupedEvents(store, capacity=10, width=10)
    first, *others = [event(digest(n, n)) for n in range(4)]
    bad = event(digest("bad"), body="\ud800")
    waiting = [grouped.append([one]) for one in (first, others[0], bad, *others[1:])]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    await grouped.close()
    assert isinstance(answers.pop(2), ValueError)
    assert answers == [[True]] * 4
    kept = await store.get_events([(event_id(n), b"") for n in range(4)])
    assert kept == [one.event for one in (first, *others)]


async def test_a_touch_comes_back_exactly(store: Store) -> None:
    key, box = fresh_key(), derived("https://id.gs1.org/00/069012340000000018")
    parent = Thing(box, 0, 1, "https://id.gs1.org/00/069012340000000018")
    said = digest("packed", 7, step="packing", disposition="", destination="", biz_location="b")
    made = [
        touch(key, 3, 4, said, role=TouchRole.CHILD, parent=parent),
        touch(key, 9, WHOLE_BATCH, said, role=TouchRole.CHILD, parent=thing_in(parent, 4)),
        touch(box, 0, 1, said, role=TouchRole.PARENT, clears=True),
        touch(key, 0, WHOLE_BATCH, said, role=TouchRole.INPUT, is_class=True),
        touch(key, 3, 4, said, role=TouchRole.OUTPUT),
    ]  # fmt: skip
    await store.append_events([event(said, made)])
    of_key, of_box = await store.touches([thing(key, 0, WHOLE_BATCH), thing(box, 0)], ENOUGH)
    assert canonical(of_key + of_box) == canonical(made)


def thing_in(parent: Thing, unit: int) -> Thing:
    """The same container under another unit number."""
    return replace(parent, first=unit, end=unit + 1)


async def test_one_thing_in_many_parts_of_an_event_is_found_in_each(store: Store) -> None:
    key, said = fresh_key(), digest("remade")
    made = [
        touch(key, first, end, said, role=role)
        for role in TouchRole
        for first, end in ((0, 1), (0, 2), (0, 16), (0, 17))
    ]
    await store.append_events([event(said, made)])
    (found,) = await store.touches([thing(key, 0)], ENOUGH)
    assert canonical(found) == canonical(made)


# Runs of every size class and just beside them, single units, and the whole of a batch.
widths = st.sampled_from(
    sorted({1, WHOLE_BATCH} | {16**n + d for n in range(8) for d in (-1, 0, 1) if 16**n + d > 0})
)
positions = st.integers(0, 300) | st.integers(0, WHOLE_BATCH - 1)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int]:
    """A run of units within a batch: [first, end)."""
    first = draw(positions)
    return first, min(first + draw(widths), WHOLE_BATCH)


@st.composite
def histories(draw: st.DrawFn) -> list[NewEvent]:
    """Events that touch runs of two keys that nobody used before, and a container."""
    keys = [fresh_key(), fresh_key()]
    box = derived(f"container {keys[0]}")
    made = []
    for number in range(draw(st.integers(1, 8))):
        said = digest(
            (keys[0], number),
            draw(st.integers(0, 5)),
            declaration=draw(st.sampled_from([b"", b"declared"])),
            step=draw(st.sampled_from(["shipping", "retail_selling", "destroying", ""])),
            disposition=draw(st.sampled_from(["in_transit", "retail_sold", "disposed"])),
            recorder=draw(st.sampled_from([gln_of(2), gln_of(3)])),
            biz_location=draw(st.sampled_from(["", "here"])),
            read_point=draw(st.sampled_from(["", "gate"])),
        )
        touches = [
            touch(
                draw(st.sampled_from(keys)), first, end, said,
                role=draw(st.sampled_from(TouchRole)),
            )
            for first, end in draw(st.lists(runs(), max_size=4, unique=True))
        ]  # fmt: skip
        if draw(st.booleans()):
            touches.append(touch(box, 0, 1, said, role=TouchRole.PARENT))
        made.append(event(said, touches))
    return made


def every_touch(events: Sequence[NewEvent]) -> list[Touch]:
    """All touches of a history."""
    return [one for new in events for one in new.touches]


def naive_touches(events: Sequence[NewEvent], asked: Thing, until: int | None) -> list[Touch]:
    """What overlaps a thing, by looking at everything."""
    return [
        one
        for one in every_touch(events)
        if one.batch_key == asked.batch_key
        and one.first < asked.end
        and asked.first < one.end
        and (until is None or one.digest.event_time <= until)
    ]


def oldest_first(one: Touch) -> tuple[int, bytes]:
    """The order that touches are promised in."""
    return one.digest.event_time, one.digest.event_id


def interesting(events: Sequence[NewEvent]) -> list[Thing]:
    """Units at the ends of every run and beside them, the runs, the containers, and all."""
    found: set[tuple[int, int, int]] = set()
    for one in every_touch(events):
        for at in (one.first - 1, one.first, (one.first + one.end) // 2, one.end - 1, one.end):
            if 0 <= at < WHOLE_BATCH:
                found.add((one.batch_key, at, at + 1))
        found.add((one.batch_key, one.first, one.end))
        found.add((one.batch_key, 0, WHOLE_BATCH))
    return [thing(*each) for each in sorted(found)]


@one_store_for_all
@given(history=histories(), until=st.none() | st.integers(-1, 6))
async def test_touches_are_those_that_a_search_from_end_to_end_finds(
    store: Store, history: list[NewEvent], until: int | None
) -> None:
    await store.append_events(history)
    asked = interesting(history)
    for one, found in zip(asked, await store.touches(asked, ENOUGH, until), strict=True):
        assert canonical(found) == canonical(naive_touches(history, one, until))
        assert found == sorted(found, key=oldest_first)


@one_store_for_all
@given(history=histories(), limit=st.integers(1, 5))
async def test_a_limit_cuts_and_invents_nothing(
    store: Store, history: list[NewEvent], limit: int
) -> None:
    await store.append_events(history)
    asked = interesting(history)
    for one, found in zip(asked, await store.touches(asked, limit), strict=True):
        whole = naive_touches(history, one, None)
        assert len(found) == min(limit, len(whole))
        assert set(found) <= set(whole)
        assert len(set(found)) == len(found)
        assert found == sorted(found, key=oldest_first)


@settings(one_store_for_all, max_examples=30)
@given(history=histories(), data=st.data())
async def test_the_order_in_which_events_arrive_makes_no_difference(
    store: Store, open_another: Open, history: list[NewEvent], data: st.DataObject
) -> None:
    # In any order, in groups of any size, and some of them twice.
    arriving = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history)))))
    size = data.draw(st.integers(1, 4))
    added: list[bool] = []
    for start in range(0, len(arriving), size):
        added += await store.append_events(arriving[start : start + size])
    assert sum(added) == len(history)
    for key in {one.batch_key for one in every_touch(history)}:
        (found,) = await store.touches([thing(key, 0, WHOLE_BATCH)], ENOUGH)
        assert canonical(found) == canonical(
            naive_touches(history, thing(key, 0, WHOLE_BATCH), None)
        )
        check_places(await store.places(key, ENOUGH), history, key)
        assert await store.count_ended(key) == naive_ended(history, key)


def check_places(found: list[PlaceSummary], history: Sequence[NewEvent], key: int) -> None:
    """Each place and party once, with its last time, latest first; no error declarations."""
    latest: dict[tuple[str, str], int] = {}
    for one in every_touch(history):
        said = one.digest
        if one.batch_key == key and not said.declaration:
            at = (said.biz_location or said.read_point, said.recorder)
            latest[at] = max(latest.get(at, said.event_time), said.event_time)
    assert {(one.place, one.recorder): one.last_time for one in found} == latest
    assert len(found) == len(latest)
    assert [one.last_time for one in found] == sorted(latest.values(), reverse=True)


def naive_ended(history: Sequence[NewEvent], key: int) -> int:
    """Units that came to their end, counted by joining runs; each once."""
    edges: list[tuple[int, int]] = []
    for one in every_touch(history):
        said = one.digest
        ended = (
            said.disposition in ("retail_sold", "disposed")
            or said.step in ("retail_selling", "destroying")
            or one.role is TouchRole.INPUT
        )
        if one.batch_key == key and ended and not said.declaration:
            edges += [(one.first, 1), (one.end, -1)]
    total = depth = last = 0
    for at, change in sorted(edges):
        total += at - last if depth else 0
        depth, last = depth + change, at
    return total


async def test_the_latest_places_are_given_first(store: Store) -> None:
    key = fresh_key()
    for minute in range(5):
        said = digest((key, minute), minute, biz_location=f"place {minute}")
        await store.append_events([event(said, [touch(key, minute, minute + 1, said)])])
    assert await store.places(key, 2) == [
        PlaceSummary("place 4", gln_of(2), 4),
        PlaceSummary("place 3", gln_of(2), 3),
    ]


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"disposition": "retail_sold"}, 5),
        ({"disposition": "dispensed"}, 5),
        ({"disposition": "destroyed"}, 5),
        ({"disposition": "disposed"}, 5),
        ({"step": "retail_selling"}, 5),
        ({"step": "consuming"}, 5),
        ({"step": "dispensing"}, 5),
        ({"step": "decommissioning"}, 5),
        ({"step": "exporting"}, 5),
        ({"step": "destroying"}, 5),
        ({"step": "shipping"}, 0),
        ({"disposition": "in_progress"}, 0),
    ],
)
async def test_what_ends_a_unit_is_counted(
    store: Store, fields: dict[str, Any], ended: int
) -> None:
    key, said = fresh_key(), digest("end", **fields)
    # Of a class it is not known which units: none is counted.
    named = [touch(key, 3, 8, said), touch(key, 0, WHOLE_BATCH, said, is_class=True)]
    await store.append_events([event(said, named)])
    assert await store.count_ended(key) == ended


async def test_a_document_is_kept_once_and_comes_back_exactly(
    store: Store, open_another: Open
) -> None:
    wanted = StoredDocument(
        "doc",
        gln_of(2),
        '{"@context":["…"],"schemaVersion":"2.0"}',
        ((event_id(1), b""), '{"另":"一种写法"}', (event_id(2), b"declared")),
        77,
    )
    await store.put_document(wanted)
    await store.put_document(replace(wanted, header="{}", entries=(), create_time=99))
    for at in (store, await open_another()):
        assert await at.get_document("doc") == wanted
    empty = replace(wanted, document_id="empty", entries=())
    await store.put_document(empty)
    assert await store.get_document("empty") == empty
