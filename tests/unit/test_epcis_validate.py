"""Each rule of EPCIS that an event can break: it is refused with its field and its reason, and the
same event put right is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.epcis import times
from tracechain.domain.epcis.jsonld import RESERVED, event_from_json, event_to_json
from tracechain.domain.epcis.model import (
    Action,
    BizTransaction,
    CodeRange,
    Destination,
    ErrorDeclaration,
    Event,
    EventType,
    Location,
    PersistentDisposition,
    QuantityElement,
    SensorElement,
    SensorMetadata,
    SensorReport,
    Source,
)
from tracechain.domain.epcis.reader import MAX_DEPTH
from tracechain.domain.epcis.validate import checked
from tracechain.domain.errors import InvalidArgument
from tracechain.v1 import errors_pb2

UNIT = "urn:epc:id:sgtin:6901234.050101.1"
CASE = "urn:epc:id:sscc:6901234.0000000071"
LOT = "urn:epc:class:lgtin:6901234.050101.A"
TIME = "2025-03-04T09:15:00+08:00"
PO = BizTransaction("urn:epcglobal:cbv:bt:6901234000115:1", "po")
REASONS = {
    name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name
}

OBJECT = Event(
    EventType.OBJECT,
    TIME,
    "+08:00",
    action=Action.ADD,
    epc_list=(UNIT,),
    quantity_list=(QuantityElement(LOT, 2.5, "KGM"), QuantityElement(LOT)),
    code_ranges=(CodeRange(LOT, 0, 1),),
    ilmd=(("x:lot", '"A"'),),
)
AGGREGATION = Event(
    EventType.AGGREGATION,
    TIME,
    "+08:00",
    action=Action.ADD,
    parent_id=CASE,
    child_epcs=(UNIT,),
    child_quantity_list=(QuantityElement(LOT, 1),),
    code_ranges=(CodeRange(LOT, 0, 1),),
)
ASSOCIATION = replace(AGGREGATION, type=EventType.ASSOCIATION)
TRANSACTION = Event(
    EventType.TRANSACTION,
    TIME,
    "+08:00",
    action=Action.DELETE,
    parent_id=CASE,
    epc_list=(UNIT,),
    quantity_list=(QuantityElement(LOT, 1),),
    code_ranges=(CodeRange(LOT, 0, 1),),
    biz_transaction_list=(PO,),
)
TRANSFORMATION = Event(
    EventType.TRANSFORMATION,
    TIME,
    "+08:00",
    input_epc_list=(UNIT,),
    input_quantity_list=(QuantityElement(LOT, 1),),
    input_code_ranges=(CodeRange(LOT, 0, 1),),
    output_epc_list=(UNIT,),
    output_quantity_list=(QuantityElement(LOT, 1),),
    output_code_ranges=(CodeRange(LOT, 0, 1),),
    transformation_id="urn:epc:id:gdti:6901234.00001.1",
    ilmd=(("x:lot", '"A"'),),
)
VALID = (OBJECT, AGGREGATION, ASSOCIATION, TRANSACTION, TRANSFORMATION)


def violations(event: Event) -> list[tuple[str, str]]:
    """Where and why an event is refused."""
    found, _ = checked(event)
    assert all(violation.description for violation in found)
    return [(violation.field, violation.reason) for violation in found]


def report(**values: Any) -> tuple[SensorElement, ...]:
    """A sensor element with one report behind an empty one."""
    return (SensorElement(None, (SensorReport(), SensorReport(**values))),)


def nested(levels: int) -> str:
    """A JSON text so many brackets deep."""
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("event", VALID, ids=lambda event: event.type)
def test_an_event_with_all_that_its_type_has_is_valid(event: Event) -> None:
    found, parsed = checked(event)
    assert found == []
    assert set(parsed) >= {UNIT, LOT}


def test_identifiers_are_parsed_once_on_the_way() -> None:
    _, parsed = checked(AGGREGATION)
    assert {uri: epc.kind for uri, epc in parsed.items()} == {
        CASE: "SSCC",
        UNIT: "SGTIN",
        LOT: "LGTIN",
    }


# --- each rule: the event before, what breaks it, where and why, and what would have been right

RULES: list[tuple[Event, dict[str, Any], str, str, dict[str, Any]]] = [
    (OBJECT, {"event_time": ""}, "event_time", "MISSING_FIELD", {"event_time": TIME}),
    (OBJECT, {"event_time": "2025-03-04"}, "event_time", "INVALID_TIME",
     {"event_time": "2025-03-04T00:00:00Z"}),
    (OBJECT, {"event_time_zone_offset": ""}, "event_time_zone_offset",
     "INVALID_TIME_ZONE_OFFSET", {"event_time_zone_offset": "-14:00"}),
    (OBJECT, {"event_time_zone_offset": "+15:00"}, "event_time_zone_offset",
     "INVALID_TIME_ZONE_OFFSET", {"event_time_zone_offset": "+14:00"}),
    (OBJECT, {"record_time": "now"}, "record_time", "INVALID_TIME", {"record_time": TIME}),
    (OBJECT, {"action": None}, "action", "MISSING_ACTION", {"action": Action.OBSERVE}),
    (TRANSFORMATION, {"action": Action.ADD}, "action", "FIELD_NOT_ALLOWED", {"action": None}),
    (AGGREGATION, {"parent_id": ""}, "parent_id", "MISSING_PARENT",
     {"parent_id": "", "action": Action.OBSERVE}),
    (ASSOCIATION, {"parent_id": "", "action": Action.DELETE}, "parent_id", "MISSING_PARENT",
     {"action": Action.DELETE}),
    (AGGREGATION, {"parent_id": "pallet 7"}, "parent_id", "INVALID_EPC",
     {"parent_id": "urn:x:pallet-7"}),
    (TRANSACTION, {"biz_transaction_list": ()}, "biz_transaction_list",
     "MISSING_BIZ_TRANSACTION", {"biz_transaction_list": (PO,)}),
    (TRANSACTION, {"parent_id": "x"}, "parent_id", "INVALID_EPC", {"parent_id": ""}),
    (OBJECT, {"epc_list": (UNIT, "")}, "epc_list[1]", "INVALID_EPC", {"epc_list": (UNIT, CASE)}),
    (OBJECT, {"epc_list": ("https://id.gs1.org/01/06901234501019/21/1",)}, "epc_list[0]",
     "INVALID_GTIN_CHECK_DIGIT", {"epc_list": ("https://id.gs1.org/01/06901234501018/21/1",)}),
    (OBJECT, {"epc_list": ("urn:x:" + "y" * 4091,)}, "epc_list[0]", "TEXT_TOO_LONG",
     {"epc_list": ("urn:x:" + "y" * 4090,)}),
    (AGGREGATION, {"child_epcs": (CASE, "y")}, "child_epcs[1]", "INVALID_EPC",
     {"child_epcs": ()}),
    (TRANSFORMATION, {"input_epc_list": ("y",)}, "input_epc_list[0]", "INVALID_EPC",
     {"input_epc_list": ()}),
    (TRANSFORMATION, {"output_epc_list": ("y",)}, "output_epc_list[0]", "INVALID_EPC",
     {"output_epc_list": ()}),
    *(
        (event, {name: (QuantityElement(LOT), QuantityElement("lot 4711", 1))},
         f"{name}[1].epc_class", "INVALID_EPC", {name: (QuantityElement(LOT),)})
        for event, name in (
            (OBJECT, "quantity_list"), (AGGREGATION, "child_quantity_list"),
            (TRANSFORMATION, "input_quantity_list"), (TRANSFORMATION, "output_quantity_list"))
    ),
    *(
        (OBJECT, {"quantity_list": (QuantityElement(LOT, wrong),)}, "quantity_list[0].quantity",
         "INVALID_QUANTITY", {"quantity_list": (QuantityElement(LOT, 0.0),)})
        for wrong in (-0.001, float("nan"), float("inf"), float("-inf"))
    ),
    *(
        (OBJECT, {name: Location("")}, f"{name}.id", "MISSING_FIELD", {name: Location("geo:1,2")})
        for name in ("read_point", "biz_location")
    ),
    *(
        (OBJECT, {name: Location("geo:1,2", (("x:a", "{"),))}, f"{name}.extensions[x:a]",
         "INVALID_JSON", {name: Location("geo:1,2", (("x:a", "{}"),))})
        for name in ("read_point", "biz_location")
    ),
    (OBJECT, {"read_point": Location("geo:1,2", (("id", "1"),))}, "read_point.extensions[id]",
     "FIELD_NOT_ALLOWED", {"read_point": Location("geo:1,2", (("x:id", "1"),))}),
    (TRANSACTION, {"biz_transaction_list": (PO, BizTransaction("", "po"))},
     "biz_transaction_list[1].biz_transaction", "MISSING_FIELD",
     {"biz_transaction_list": (PO, BizTransaction("urn:x:1"))}),
    (OBJECT, {"source_list": (Source("", "urn:x:1"),)}, "source_list[0]", "MISSING_FIELD",
     {"source_list": (Source("location", "urn:x:1"),)}),
    (OBJECT, {"source_list": (Source("location", ""),)}, "source_list[0]", "MISSING_FIELD",
     {"source_list": ()}),
    (OBJECT, {"destination_list": (Destination("", "urn:x:1"),)}, "destination_list[0]",
     "MISSING_FIELD", {"destination_list": (Destination("location", "urn:x:1"),)}),
    (OBJECT, {"destination_list": (Destination("location", ""),)}, "destination_list[0]",
     "MISSING_FIELD", {"destination_list": ()}),
    (OBJECT, {"error_declaration": ErrorDeclaration("")}, "error_declaration.declaration_time",
     "INVALID_TIME", {"error_declaration": ErrorDeclaration(TIME)}),
    (OBJECT, {"error_declaration": ErrorDeclaration(TIME, extensions=(("reason", '""'),))},
     "error_declaration.extensions[reason]", "FIELD_NOT_ALLOWED",
     {"error_declaration": ErrorDeclaration(TIME, extensions=(("x:reason", '""'),))}),
    (OBJECT, {"sensor_element_list": (SensorElement(extensions=(("sensorReport", "[]"),)),)},
     "sensor_element_list[0].extensions[sensorReport]", "FIELD_NOT_ALLOWED",
     {"sensor_element_list": (SensorElement(extensions=(("x:r", "[]"),)),)}),
    (OBJECT,
     {"sensor_element_list": (SensorElement(SensorMetadata(extensions=(("time", "1"),))),)},
     "sensor_element_list[0].sensor_metadata.extensions[time]", "FIELD_NOT_ALLOWED",
     {"sensor_element_list": (SensorElement(SensorMetadata(extensions=(("x:t", "1"),))),)}),
    (OBJECT, {"sensor_element_list": report(extensions=(("uom", "1"),))},
     "sensor_element_list[0].sensor_report[1].extensions[uom]", "FIELD_NOT_ALLOWED",
     {"sensor_element_list": report(extensions=(("x:uom", "1"),))}),
    *(
        (OBJECT, {"sensor_element_list": report(**{name: wrong})},
         f"sensor_element_list[0].sensor_report[1].{name}", "INVALID_NUMBER",
         {"sensor_element_list": report(**{name: -273.15})})
        for name in ("value", "min_value", "max_value", "mean_value", "s_dev", "perc_rank",
                     "perc_value")
        for wrong in (float("nan"), float("-inf"))
    ),
    (OBJECT, {"ilmd": (("x:a", ""),)}, "ilmd[x:a]", "INVALID_JSON", {"ilmd": (("x:a", '""'),)}),
    (OBJECT, {"extensions": (("x:a", "nul"),)}, "extensions[x:a]", "INVALID_JSON",
     {"extensions": (("x:a", "null"),)}),
    (OBJECT, {"extensions": (("x:a", "NaN"),)}, "extensions[x:a]", "INVALID_NUMBER",
     {"extensions": (("x:a", '"NaN"'),)}),
    (OBJECT, {"extensions": (("x:a", "9007199254740993"),)}, "extensions[x:a]", "INVALID_NUMBER",
     {"extensions": (("x:a", "9007199254740992"),)}),
    (OBJECT, {"context": "[{]"}, "context", "INVALID_JSON", {"context": "[{}]"}),
    (OBJECT, {"context": nested(MAX_DEPTH + 1)}, "context", "JSON_TOO_DEEP",
     {"context": nested(MAX_DEPTH)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "wrong", "field", "reason", "right"),
    RULES,
    ids=[f"{i}-{field}" for i, (_, _, field, _, _) in enumerate(RULES)],
)
def test_a_rule_is_broken_and_kept(
    event: Event, wrong: dict[str, Any], field: str, reason: str, right: dict[str, Any]
) -> None:
    assert violations(replace(event, **wrong)) == [(field, reason)]
    assert reason in REASONS
    assert violations(replace(event, **right)) == []


_SAMPLES: dict[str, Any] = {
    "epc_list": (UNIT,),
    "quantity_list": (QuantityElement(LOT, 1),),
    "code_ranges": (CodeRange(LOT, 0, 1),),
    "ilmd": (("x:lot", '"A"'),),
    "parent_id": CASE,
    "child_epcs": (UNIT,),
    "child_quantity_list": (QuantityElement(LOT, 1),),
    "input_epc_list": (UNIT,),
    "input_quantity_list": (QuantityElement(LOT, 1),),
    "input_code_ranges": (CodeRange(LOT, 0, 1),),
    "output_epc_list": (UNIT,),
    "output_quantity_list": (QuantityElement(LOT, 1),),
    "output_code_ranges": (CodeRange(LOT, 0, 1),),
    "transformation_id": "urn:x:1",
}


@pytest.mark.parametrize("event", VALID, ids=lambda event: event.type)
def test_a_list_of_another_type_of_event_is_not_allowed(event: Event) -> None:
    own = {name for name in _SAMPLES if getattr(event, name)}
    assert own != set(_SAMPLES)
    for name, sample in _SAMPLES.items():
        expected = [] if name in own else [(name, "FIELD_NOT_ALLOWED")]
        assert violations(replace(event, **{name: sample})) == expected


@pytest.mark.parametrize("name", sorted(RESERVED["event"]))
def test_an_extension_cannot_take_the_place_of_a_field(name: str) -> None:
    event = replace(OBJECT, extensions=((name, '"x"'),))
    assert violations(event) == [(f"extensions[{name}]", "FIELD_NOT_ALLOWED")]


def test_all_violations_are_told_at_once() -> None:
    event = Event(
        EventType.TRANSACTION,
        "",
        "",
        child_epcs=("x",),
        persistent_disposition=PersistentDisposition(("a",), ("b",)),
    )
    assert violations(event) == [
        ("event_time", "MISSING_FIELD"),
        ("event_time_zone_offset", "INVALID_TIME_ZONE_OFFSET"),
        ("child_epcs", "FIELD_NOT_ALLOWED"),
        ("action", "MISSING_ACTION"),
        ("biz_transaction_list", "MISSING_BIZ_TRANSACTION"),
        ("child_epcs[0]", "INVALID_EPC"),
    ]


def _deep(place: str, text: str) -> Event:
    extensions = (("x:deep", text),)
    return {
        "extensions": lambda: replace(OBJECT, extensions=extensions),
        "ilmd": lambda: replace(OBJECT, ilmd=extensions),
        "read_point": lambda: replace(OBJECT, read_point=Location("geo:1,2", extensions)),
        "declaration": lambda: replace(
            OBJECT, error_declaration=ErrorDeclaration(TIME, extensions=extensions)
        ),
        "sensor element": lambda: replace(
            OBJECT, sensor_element_list=(SensorElement(extensions=extensions),)
        ),
        "sensor metadata": lambda: replace(
            OBJECT,
            sensor_element_list=(SensorElement(SensorMetadata(extensions=extensions)),),
        ),
        "sensor report": lambda: replace(
            OBJECT,
            sensor_element_list=(SensorElement(None, (SensorReport(extensions=extensions),)),),
        ),
    }[place]()


@pytest.mark.parametrize(
    "place",
    ["extensions", "ilmd", "read_point", "declaration", "sensor element", "sensor metadata",
     "sensor report"],
)  # fmt: skip
def test_what_passes_can_be_stored_and_read_again(place: str) -> None:
    """An event that could not be read again would spoil every story that it is part of."""
    for levels in (1, MAX_DEPTH - 1, MAX_DEPTH):
        event = _deep(place, nested(levels))
        assert violations(event) == []
        assert event_from_json(event_to_json(event)) == event
    too_deep = violations(_deep(place, nested(MAX_DEPTH + 1)))
    assert [reason for _, reason in too_deep] == ["JSON_TOO_DEEP"]


# --- times


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T08:00:00+08:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.000001999999Z", 1),
        ("2024-02-29T00:00:00-00:30", 1_709_166_600_000_000),
    ],
)
def test_a_time_is_microseconds(text: str, micros: int) -> None:
    assert times.parse_time(text) == micros


@pytest.mark.parametrize(
    "text",
    ["", "2025-03-04", "2025-03-04T09:15:00", "2025-03-04 09:15:00Z", "2025-03-04T09:15Z",
     "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-03-04T24:00:01Z",
     "2025-03-04T09:60:00Z", "2025-03-04T09:15:60Z", "2025-03-04T09:15:00+24:00",
     "2025-03-04T09:15:00.Z", "2025-03-04T09:15:00.1234567890123Z", "2025-03-04t09:15:00z",
     "20250304T091500Z", "2025-W10-2T09:15:00Z", "２０２５-03-04T09:15:00Z",
     "2025-03-04T09:15:00Z\n", "0000-01-01T00:00:00Z", "2025-03-04T09:15:00+0800"],
)  # fmt: skip
def test_what_is_no_time_is_refused_at_its_field(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        times.parse_time(text, "here")
    assert [(v.field, v.reason) for v in caught.value.violations] == [("here", "INVALID_TIME")]


@given(st.datetimes(timezones=st.timezones()) | st.datetimes(timezones=st.just(UTC)))
def test_a_time_and_its_text_agree(moment: datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset.total_seconds() % 60:  # local mean time, before there were zones
        return
    try:
        micros = times.parse_time(moment.isoformat())
    except InvalidArgument:
        assert moment.year in (1, 9999)  # in UTC it lies outside of the calendar
    else:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        assert micros == (moment - epoch) // timedelta(microseconds=1)


@pytest.mark.parametrize("text", ["+00:00", "-00:00", "+14:00", "-14:00", "+05:45"])
def test_an_offset(text: str) -> None:
    assert times.is_offset(text)


@pytest.mark.parametrize("text", ["", "Z", "+8:00", "08:00", "+15:00", "+08:60", "+0800", "+٠8:00"])
def test_no_offset(text: str) -> None:
    assert not times.is_offset(text)
