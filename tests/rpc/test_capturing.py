"""Capture: an answer for each event, one story in any order, and what does not fit is marked."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.support.service import (
    TIMEOUT,
    Lot,
    World,
    at,
    conflicts,
    declared_wrong,
    event,
    made,
    packed,
    received,
    refused,
    shipped,
    unpacked,
)
from tracechain.v1 import capture_pb2 as pb
from tracechain.v1 import event_pb2, provenance_pb2

ACCEPTED = pb.CAPTURE_STATUS_ACCEPTED
DUPLICATE = pb.CAPTURE_STATUS_DUPLICATE
REFUSED = pb.CAPTURE_STATUS_REFUSED
TRANSFORMATION = event_pb2.EVENT_TYPE_TRANSFORMATION
TRANSACTION = event_pb2.EVENT_TYPE_TRANSACTION
AGGREGATION = event_pb2.EVENT_TYPE_AGGREGATION
ADD, DELETE = event_pb2.ACTION_ADD, event_pb2.ACTION_DELETE


async def trace(world: World, epc: str) -> provenance_pb2.Trace:
    answer: provenance_pb2.Trace = await world.operator.provenance.TraceUnit(
        provenance_pb2.TraceUnitRequest(epc=epc)
    )
    return answer


def bare(story: provenance_pb2.Trace) -> bytes:
    """A story without the times at which we learned of it."""
    copy = provenance_pb2.Trace()
    copy.CopyFrom(story)
    for step in copy.steps:
        step.ClearField("record_time")
    return copy.SerializeToString(deterministic=True)


async def test_each_event_has_an_answer_of_its_own(world: World) -> None:
    unit = world.foreign()
    good, wrong = event(1, "inspecting", [unit]), event(2, "inspecting", ["no epc"])
    results = await world.issuer.capture(good, wrong, good, event(3, "storing", [unit]))
    assert [r.status for r in results] == [ACCEPTED, REFUSED, DUPLICATE, ACCEPTED]
    assert results[0].event_id == results[2].event_id
    assert results[0].event_id.startswith("ni:///sha-256;")
    assert (results[1].field, results[1].reason) == ("epc_list[0]", "INVALID_EPC")
    assert results[1].description
    assert not results[1].event_id
    again = await world.issuer.capture(good)
    assert [r.status for r in again] == [DUPLICATE]


def changed(**fields: Any) -> event_pb2.Event:
    """A good event with one thing wrong."""
    given = event(1, "inspecting", ["https://id.gs1.org/01/04012345678901/21/W"])
    wrong = event_pb2.Event(**fields)
    for field in fields:
        given.ClearField(field)  # type: ignore[arg-type]
    given.MergeFrom(wrong)
    return given


UNIT = "https://id.gs1.org/01/04012345678901/21/W"
REFUSALS: list[tuple[event_pb2.Event, str, str]] = [
    (event_pb2.Event(), "type", "INVALID_EVENT_TYPE"),
    (changed(type=99), "type", "INVALID_EVENT_TYPE"),
    (changed(action=99), "action", "INVALID_ENUM_VALUE"),
    (changed(action=0), "action", "MISSING_ACTION"),
    (changed(event_time=""), "event_time", "MISSING_FIELD"),
    (changed(event_time="2026-01-05"), "event_time", "INVALID_TIME"),
    (changed(event_time="2026-01-05T08:00:00"), "event_time", "INVALID_TIME"),
    (changed(event_time="2026-13-05T08:00:00Z"), "event_time", "INVALID_TIME"),
    (changed(event_time_zone_offset="8"), "event_time_zone_offset", "INVALID_TIME_ZONE_OFFSET"),
    (changed(record_time="soon"), "record_time", "INVALID_TIME"),
    (changed(parent_id=UNIT), "parent_id", "FIELD_NOT_ALLOWED"),
    (changed(input_epc_list=[UNIT]), "input_epc_list", "FIELD_NOT_ALLOWED"),
    (changed(type=AGGREGATION, epc_list=[], action=ADD), "parent_id", "MISSING_PARENT"),
    (changed(type=TRANSACTION), "biz_transaction_list", "MISSING_BIZ_TRANSACTION"),
    (changed(type=TRANSFORMATION, epc_list=[]), "action", "FIELD_NOT_ALLOWED"),
    (changed(extensions={"ex:a": "{"}), "extensions[ex:a]", "INVALID_JSON"),
    (changed(ilmd={"ex:a": "[" * 40 + "]" * 40}), "ilmd[ex:a]", "JSON_TOO_DEEP"),
    (changed(extensions={"ex:a": "NaN"}), "extensions[ex:a]", "INVALID_NUMBER"),
    (changed(context="{"), "context", "INVALID_JSON"),
    (changed(epc_list=["x" * 5000]), "epc_list[0]", "TEXT_TOO_LONG"),
    (
        changed(epc_list=["https://id.gs1.org/01/04012345678902/21/W"]),
        "epc_list[0]",
        "INVALID_GTIN_CHECK_DIGIT",
    ),
    (
        changed(quantity_list=[event_pb2.QuantityElement(epc_class=UNIT, quantity=-1)]),
        "quantity_list[0].quantity",
        "INVALID_QUANTITY",
    ),
    (
        changed(quantity_list=[event_pb2.QuantityElement(epc_class=UNIT, quantity=float("nan"))]),
        "quantity_list[0].quantity",
        "INVALID_QUANTITY",
    ),
    (
        changed(
            code_ranges=[
                event_pb2.CodeRange(epc_class="urn:epc:class:lgtin:4012345.012345.X", count=1)
            ]
        ),
        "code_ranges[0].epc_class",
        "UNKNOWN_BATCH",
    ),
    (changed(read_point=event_pb2.Location()), "read_point.id", "MISSING_FIELD"),
    (changed(source_list=[event_pb2.Source(type="location")]), "source_list[0]", "MISSING_FIELD"),
    (
        changed(error_declaration=event_pb2.ErrorDeclaration()),
        "error_declaration.declaration_time",
        "INVALID_TIME",
    ),
    (
        changed(
            error_declaration=event_pb2.ErrorDeclaration(declaration_time="2999-01-01T00:00:00Z")
        ),
        "error_declaration.declaration_time",
        "EVENT_TIME_IN_FUTURE",
    ),
    (changed(biz_step="x" * 513), "biz_step", "TEXT_TOO_LONG"),
    (changed(read_point=event_pb2.Location(id="x" * 513)), "read_point.id", "TEXT_TOO_LONG"),
    (
        changed(type=AGGREGATION, epc_list=[], action=ADD, parent_id="urn:x:" + "y" * 507),
        "parent_id",
        "TEXT_TOO_LONG",
    ),
    (
        changed(
            sensor_element_list=[
                event_pb2.SensorElement(sensor_report=[event_pb2.SensorReport(time="yesterday")])
            ]
        ),
        "sensor_element_list[0].sensor_report[0].time",
        "INVALID_TIME",
    ),
    (
        changed(
            sensor_element_list=[
                event_pb2.SensorElement(
                    sensor_metadata=event_pb2.SensorMetadata(end_time="2026-01-05")
                )
            ]
        ),
        "sensor_element_list[0].sensor_metadata.end_time",
        "INVALID_TIME",
    ),
]


@pytest.mark.parametrize(("wrong", "field", "reason"), REFUSALS, ids=lambda v: str(v)[:30])
async def test_a_refused_event_names_field_and_reason(
    world: World, wrong: event_pb2.Event, field: str, reason: str
) -> None:
    (result,) = await world.issuer.capture(wrong)
    assert (result.status, result.field, result.reason) == (REFUSED, field, reason), result


async def test_an_empty_range_is_refused(world: World) -> None:
    lot = await world.lot()
    (result,) = await world.issuer.capture(made(1, code_ranges=[lot.range(0, 0)]))
    assert (result.field, result.reason) == ("code_ranges[0].count", "INVALID_RANGE")
    (result,) = await world.issuer.capture(made(1, code_ranges=[lot.range(2**32 - 1, 2)]))
    assert (result.field, result.reason) == ("code_ranges[0].count", "INVALID_RANGE")


async def test_an_event_of_tomorrow_is_refused_and_one_of_just_now_is_not(world: World) -> None:
    now = datetime.datetime.now(datetime.UTC)
    tomorrow = event(0, "inspecting", [world.foreign()])
    tomorrow.event_time = (now + datetime.timedelta(days=1)).isoformat(timespec="seconds")
    soon = event(0, "inspecting", [world.foreign()])
    soon.event_time = (now + datetime.timedelta(seconds=60)).isoformat(timespec="seconds")
    results = await world.issuer.capture(tomorrow, soon)
    assert (results[0].field, results[0].reason) == ("event_time", "EVENT_TIME_IN_FUTURE")
    assert results[1].status == ACCEPTED


@pytest.mark.parametrize("count", [0, 1001])
async def test_none_and_too_many_events_are_refused(world: World, count: int) -> None:
    one = event(1, "inspecting", [world.foreign()])
    error = await refused(
        world.issuer.events.CaptureEvents(pb.CaptureEventsRequest(events=[one] * count))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "LIST_TOO_LONG")
    listed = (
        await world.issuer.events.ListEvents(pb.ListEventsRequest(epc=one.epc_list[0]))
        if (one.epc_list)
        else None
    )
    assert listed is not None
    assert not listed.events


async def test_a_thousand_events_are_captured_at_once(world: World) -> None:
    unit = world.foreign()
    events = [event(i / 100, "inspecting", [unit]) for i in range(1000)]
    results = await world.issuer.capture(*events)
    assert {r.status for r in results} == {ACCEPTED}
    assert len({r.event_id for r in results}) == 1000


async def test_the_same_event_from_many_at_once_is_kept_once(world: World) -> None:
    one = event(1, "inspecting", [world.foreign()])
    answers = await asyncio.gather(*(world.issuer.capture(one) for _ in range(20)))
    statuses = sorted(results[0].status for results in answers)
    assert statuses == [ACCEPTED] + [DUPLICATE] * 19
    assert len({results[0].event_id for results in answers}) == 1


async def test_what_is_not_of_the_event_itself_makes_no_other_event(world: World) -> None:
    one = event(1, "inspecting", [world.foreign()])
    (first,) = await world.issuer.capture(one)
    # CBV 2.0, 8.9: recordTime, the sender's id, spellings and the order of lists do not count.
    same = event_pb2.Event()
    same.CopyFrom(one)
    same.record_time, same.event_id = at(5), "urn:uuid:1"
    same.biz_step = "urn:epcglobal:cbv:bizstep:inspecting"
    (again,) = await world.issuer.capture(same)
    assert (again.status, again.event_id) == (DUPLICATE, first.event_id)


async def test_the_stream_answers_each_part_in_order_once_it_is_durable(world: World) -> None:
    unit = world.foreign()
    call = world.issuer.events.StreamCaptureEvents()
    for part in range(3):
        events = [event(part * 10 + i, "inspecting", [unit]) for i in range(5)]
        await call.write(pb.StreamCaptureEventsRequest(events=[*events, event_pb2.Event()]))
        answer = await asyncio.wait_for(call.read(), TIMEOUT)
        assert [r.status for r in answer.results] == [ACCEPTED] * 5 + [REFUSED]
        listed = await world.issuer.events.ListEvents(pb.ListEventsRequest(epc=unit))
        assert len(listed.events) == 5 * (part + 1)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_stream_with_an_empty_part_ends_and_keeps_what_it_answered(world: World) -> None:
    unit = world.foreign()

    async def parts() -> AsyncIterator[pb.StreamCaptureEventsRequest]:
        yield pb.StreamCaptureEventsRequest(events=[event(1, "inspecting", [unit])])
        yield pb.StreamCaptureEventsRequest()

    error = await refused(_read_all(world.issuer.events.StreamCaptureEvents(parts())))
    assert error.reason == "LIST_TOO_LONG"
    listed = await world.issuer.events.ListEvents(pb.ListEventsRequest(epc=unit))
    assert len(listed.events) == 1


async def _read_all(call: Any) -> list[Any]:
    return [answer async for answer in call]


# --- the same thing under several names


@pytest.mark.parametrize(
    ("urn", "link"),
    [
        (
            "urn:epc:id:sgtin:4012345.012345.998877",
            "https://id.gs1.org/01/04012345123456/21/998877",
        ),
        (
            "urn:epc:id:sgtin:4012345.012345.99%2F1",
            "https://shop.example/some/path/01/04012345123456/21/99%2F1",
        ),
        ("urn:epc:id:sscc:4012345.0000000001", "https://id.gs1.org/00/040123450000000016"),
    ],
)
async def test_urn_and_digital_link_are_the_same_thing(world: World, urn: str, link: str) -> None:
    assert world.shop.gln
    first = event(1, "storing", [urn], read_point=world.shop.place)
    second = event(2, "inspecting", [link], read_point=world.shop.place)
    await world.shop.capture(first, second)
    request = provenance_pb2.TraceUnitRequest
    by_urn = await world.shop.provenance.TraceUnit(request(epc=urn))
    by_link = await world.shop.provenance.TraceUnit(request(epc=link))
    assert by_urn == by_link
    assert [step.biz_step for step in by_urn.steps] == ["storing", "inspecting"]


async def test_a_scanned_code_an_sgtin_and_a_range_are_the_same_unit(world: World) -> None:
    lot = await world.lot()
    codes = await lot.issue(5)
    serial = codes[2].serial
    urn = f"urn:epc:id:sgtin:{lot.gtin[1:8]}.{lot.gtin[0]}{lot.gtin[8:13]}.{serial}"
    await world.issuer.accepted(
        made(0, code_ranges=[lot.range(0, 5)]),
        event(1, "inspecting", [lot.epc(codes[2])]),
        event(2, "storing", [urn]),
        event(3, "picking", code_ranges=[lot.range(2, 1)]),
    )
    stories = [await trace(world, name) for name in (codes[2].uri, lot.epc(codes[2]), urn)]
    assert stories[0] == stories[1] == stories[2]
    assert [step.biz_step for step in stories[0].steps] == [
        "commissioning", "inspecting", "storing", "picking",
    ]  # fmt: skip
    assert [s.biz_step for s in (await trace(world, codes[1].uri)).steps] == ["commissioning"]


async def test_a_range_covers_its_units_and_no_others(world: World) -> None:
    lot = await world.lot(quantity=1000)
    codes = await lot.issue(1000)
    await world.issuer.accepted(event(1, "storing", code_ranges=[lot.range(100, 300)]))
    for index in (0, 99, 100, 255, 256, 399, 400, 999):
        story = await trace(world, codes[index].uri)
        assert bool(story.steps) == (100 <= index < 400), index


# --- order and repetition


def _journey(world: World, lot: Lot, codes: list[Any], case: str) -> list[tuple[Any, Any]]:
    unit = lot.epc(codes[1])
    return [
        (world.issuer, made(0, code_ranges=[lot.range(0, 4)])),
        (world.issuer, packed(1, case, code_ranges=[lot.range(0, 3)])),
        (world.issuer, shipped(2, world.issuer, world.distributor, [case])),
        (world.distributor, received(3, world.distributor, [case])),
        (world.distributor, unpacked(4, case, [unit])),
        (world.distributor, shipped(5, world.distributor, world.shop, [unit])),
        (world.shop, received(6, world.shop, [unit])),
        (world.shop, event(7, "retail_selling", [unit], disposition="retail_sold")),
        (world.jilin, None),
    ][:-1]


async def test_any_order_and_repetition_give_the_same_story(world: World) -> None:
    # One lot for each order; indices, not serials, decide, so stories are compared by steps.
    orders = [list(range(8)), list(reversed(range(8)))]
    shuffle = random.Random(20260105)
    for _ in range(6):
        order = [shuffle.randrange(8) for _ in range(6)] + list(range(8))
        shuffle.shuffle(order)
        orders.append(order)
    stories = []
    for order in orders:
        lot, case = await world.lot(), world.container()
        codes = await lot.issue(4)
        journey = _journey(world, lot, codes, case)
        for i in order:
            caller, step = journey[i]
            await caller.capture(step)
        story = await trace(world, codes[1].uri)
        stories.append(
            (
                [(s.biz_step, s.link, s.holder_gln, tuple(s.conflicts)) for s in story.steps],
                story.state, story.holder_gln, story.location, story.addressee_gln,
                [(c.level, c.start_time.seconds, c.end_time.seconds) for c in story.containers],
                conflicts(story),
            )
        )  # fmt: skip
    assert all(story == stories[0] for story in stories)
    assert [s[0] for s in stories[0][0]] == [
        "commissioning", "packing", "shipping", "receiving", "unpacking", "shipping",
        "receiving", "retail_selling",
    ]  # fmt: skip
    assert stories[0][2] == world.shop.gln
    assert stories[0][6] == []


async def test_the_very_same_events_in_every_order_of_arrival(world: World) -> None:
    # Foreign goods, so that the very same events can be told to several services: here the
    # service is one, and each permutation has a unit of its own with events of equal meaning.
    shapes = set()
    for order in itertools.permutations(range(4)):
        unit = world.foreign()
        events = [
            (world.distributor, event(1, "storing", [unit])),
            (world.distributor, shipped(2, world.distributor, world.shop, [unit])),
            (world.shop, received(3, world.shop, [unit])),
            (world.distributor, event(4, "destroying", [unit])),
        ]
        for i in order:
            caller, step = events[i]
            await caller.capture(step)
        story = await trace(world, unit)
        shapes.add(
            (
                tuple((s.biz_step, s.holder_gln, tuple(conflicts(s))) for s in story.steps),
                story.state,
                story.holder_gln,
            )
        )
    ((steps, _, holder),) = shapes
    assert steps[-1][2] == ("NOT_HOLDER",)
    assert holder == world.shop.gln


# --- conflicts


async def _conflicts_of(caller: Any, *events: event_pb2.Event) -> list[list[str]]:
    results = await caller.capture(*events)
    assert all(r.status == ACCEPTED for r in results), results
    return [conflicts(r) for r in results]


async def test_goods_in_anothers_hands(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    await world.issuer.accepted(made(0, [lot.epc(code)]))
    assert await _conflicts_of(world.shop, event(1, "storing", [lot.epc(code)])) == [["NOT_HOLDER"]]
    await world.issuer.accepted(shipped(2, world.issuer, world.distributor, [lot.epc(code)]))
    assert await _conflicts_of(world.shop, received(3, world.shop, [lot.epc(code)])) == [
        ["NOT_ADDRESSEE"]
    ]
    story = await trace(world, code.uri)
    assert story.holder_gln == world.issuer.gln
    assert story.addressee_gln == world.distributor.gln
    assert conflicts(story) == ["NOT_ADDRESSEE", "NOT_HOLDER"]


async def test_an_event_fits_once_a_late_one_arrives(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    late = shipped(1, world.issuer, world.shop, [lot.epc(code)])
    assert await _conflicts_of(world.shop, received(2, world.shop, [lot.epc(code)])) == [
        ["NOT_HOLDER"]
    ]
    await world.issuer.accepted(late)
    story = await trace(world, code.uri)
    assert conflicts(story) == []
    assert story.holder_gln == world.shop.gln


async def test_before_and_after_life(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    unit = lot.epc(code)
    await world.issuer.accepted(made(5, [unit]), event(10, "destroying", [unit]))
    assert await _conflicts_of(
        world.issuer,
        event(1, "storing", [unit]),
        event(11, "storing", [unit]),
        made(6, [unit], disposition="active"),
    ) == [["BEFORE_COMMISSIONING"], ["AFTER_END_OF_LIFE"], ["COMMISSIONED_TWICE"]]


async def test_beyond_what_was_issued_and_by_another_issuer(world: World) -> None:
    lot = await world.lot()
    await lot.issue(3)
    assert await _conflicts_of(world.issuer, made(1, code_ranges=[lot.range(2, 2)])) == [
        ["BEYOND_ISSUED"]
    ]
    assert await _conflicts_of(world.other, made(2, code_ranges=[lot.range(0, 1)])) == [
        ["NOT_ISSUER"]
    ]


async def test_containers_that_do_not_fit(world: World) -> None:
    a, b, unit = world.container(), world.container(), world.foreign()
    assert await _conflicts_of(world.shop, unpacked(1, a, [unit])) == [["NOT_CONTAINED"]]
    await world.shop.accepted(packed(2, a, [unit]))
    assert await _conflicts_of(world.shop, packed(3, b, [unit])) == [["ALREADY_CONTAINED"]]
    await world.shop.accepted(packed(4, a, [b]))
    assert await _conflicts_of(world.shop, packed(5, b, [a])) == [["CONTAINMENT_CYCLE"]]


async def test_an_error_declared_by_its_recorder_takes_the_event_back(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    wrong = event(1, "destroying", [lot.epc(code)], disposition="destroyed")
    (event_id,) = await world.issuer.accepted(wrong)
    assert (await trace(world, code.uri)).state == provenance_pb2.Trace(state=6).state
    (result,) = await world.issuer.capture(declared_wrong(wrong, 5))
    assert result.status == ACCEPTED
    assert result.event_id.startswith(f"{event_id}#declaration-")
    story = await trace(world, code.uri)
    assert story.state == 2
    assert all(step.erroneous for step in story.steps)
    (again,) = await world.issuer.capture(declared_wrong(wrong, 5))
    assert (again.status, again.event_id) == (DUPLICATE, result.event_id)


async def test_an_error_may_be_declared_before_the_event_arrives(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    wrong = event(1, "destroying", [lot.epc(code)])
    await world.issuer.capture(declared_wrong(wrong, 5))
    (result,) = await world.issuer.capture(wrong)
    assert result.status == ACCEPTED
    assert (await trace(world, code.uri)).state == 2


async def test_an_error_declared_by_another_takes_nothing_back(world: World) -> None:
    lot = await world.lot()
    (code,) = await lot.issue(1)
    right = event(1, "destroying", [lot.epc(code)])
    await world.issuer.accepted(right)
    await world.shop.capture(declared_wrong(right, 5))
    story = await trace(world, code.uri)
    assert story.state == 6
    assert conflicts(story) == ["DECLARED_BY_OTHER_PARTY"]


# --- reading back


async def test_an_event_comes_back_as_it_was_given(world: World) -> None:
    given = event(
        1, "urn:epcglobal:cbv:bizstep:inspecting", [world.foreign()], read_point="geo:41.8,123.4"
    )
    given.extensions["ex:note"] = '{"度": 42.50, "a": [1, null, true]}'
    given.context = '{"ex":"https://example.com/"}'
    given.sensor_element_list.add().sensor_report.add(type="Temperature", value=18.5, uom="CEL")
    (event_id,) = await world.shop.accepted(given)
    got = await world.shop.events.GetEvent(pb.GetEventRequest(event_id=event_id))
    assert got.recorder_gln == world.shop.gln
    assert got.event_id == event_id
    assert got.record_time.seconds > 0
    import json

    back = event_pb2.Event()
    back.CopyFrom(got.event)
    assert json.loads(back.extensions["ex:note"]) == json.loads(given.extensions["ex:note"])
    back.extensions["ex:note"] = given.extensions["ex:note"]
    assert back == given


async def test_events_are_listed_in_pages_oldest_first(world: World) -> None:
    unit = world.foreign()
    ids = await world.shop.accepted(*(event(9 - i, "inspecting", [unit]) for i in range(7)))
    found: list[str] = []
    request = pb.ListEventsRequest(epc=unit, page_size=3)
    while True:
        page = await world.shop.events.ListEvents(request)
        assert len(page.events) <= 3
        found += [item.event_id for item in page.events]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == list(reversed(ids))


@pytest.mark.parametrize("text", ["", "x", "ni:///sha-256;00?ver=CBV2.0", "ni:///sha-256;" + "é"])
async def test_an_event_id_that_is_none_is_refused(world: World, text: str) -> None:
    error = await refused(world.shop.events.GetEvent(pb.GetEventRequest(event_id=text)))
    assert error.violations[0][0] == "event_id"
    assert error.reason in ("MISSING_FIELD", "INVALID_EVENT_ID")


async def test_a_list_that_is_cut_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = world.foreign()
    await world.issuer.accepted(*(event(n, "storing", [unit]) for n in range(3)))
    for most, listed, cut in ((3, 3, True), (4, 3, False)):
        monkeypatch.setattr("tracechain.app.reading.MAX_LISTED", most)
        page = await world.issuer.events.ListEvents(pb.ListEventsRequest(epc=unit))
        assert (len(page.events), page.truncated) == (listed, cut)
