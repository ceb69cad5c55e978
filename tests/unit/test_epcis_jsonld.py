"""EPCIS JSON-LD in and out: what was read comes out again, and what cannot be read says why.

GS1's own documents are read from `$TRACECHAIN_SHARED_DATA` where they are; ours always are.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracechain.domain.epcis import fields
from tracechain.domain.epcis.event_hash import event_hash
from tracechain.domain.epcis.fields import Field, Kind
from tracechain.domain.epcis.jsonld import (
    event_from_json,
    event_to_json,
    parse_document,
    render_document,
)
from tracechain.domain.epcis.model import Document, Event
from tracechain.domain.epcis.reader import MAX_DEPTH
from tracechain.domain.epcis.validate import checked
from tracechain.domain.errors import InvalidArgument
from tracechain.rpc import convert_event
from tracechain.v1 import errors_pb2, event_pb2

_ROOT = Path(__file__).parents[2]
OFFICIAL = Path(os.environ.get("TRACECHAIN_SHARED_DATA", _ROOT.parent / "shared" / "data"))
OWN = sorted((_ROOT / "tests" / "data" / "epcis-own").glob("*.jsonld"))
DOCUMENTS = sorted((OFFICIAL / "epcis" / "JSON").rglob("*.jsonld")) + OWN
REASONS = {
    name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name
}
LIST = "epcisBody.eventList"
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def exact(value: Any) -> Any:
    """A JSON value such that equal means equal as JSON: true is not 1, and 1.0 is 1."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ("number", float(value))
    return (type(value).__name__, value)


def through_proto(event: Event) -> Event:
    """The event as it arrives at the other end of a wire."""
    message = convert_event.event(event)
    return convert_event.read_event(event_pb2.Event.FromString(message.SerializeToString()))


def rendered(document: Document) -> Any:
    """The document as JSON again."""
    return json.loads(render_document(document.header, document.events))


def read(document: Any) -> Document:
    """A JSON value as a document."""
    return parse_document(json.dumps(document).encode())


def attempt(data: bytes) -> tuple[Document | None, str]:
    """A document and no reason, or no document and the reason; any other exception gets out."""
    try:
        return parse_document(data), ""
    except InvalidArgument as error:
        return None, error.reason


def refusal(document: Any) -> tuple[str, str]:
    """Where and why a document is refused."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(InvalidArgument) as caught:
        parse_document(data)
    violation = caught.value.violations[0]
    assert violation.reason in REASONS
    assert violation.description
    return violation.field, violation.reason


def event(**more: Any) -> dict[str, Any]:
    """A small event."""
    return {
        "type": "ObjectEvent",
        "eventTime": "2025-03-04T09:15:00+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "epcList": ["urn:epc:id:sgtin:6901234.050101.1"],
        **more,
    }


def document(*events: Any, context: Any = CONTEXT) -> dict[str, Any]:
    """A document around events."""
    return {
        "@context": context,
        "type": "EPCISDocument",
        "epcisBody": {"eventList": list(events)},
    }


# --- whole documents


def test_there_are_documents_of_our_own_and_of_every_type() -> None:
    assert len(OWN) >= 12
    texts = "".join(path.read_text() for path in OWN)
    kinds = ("Object", "Aggregation", "Association", "Transaction", "Transformation")
    for word in (
        *(f"{kind}Event" for kind in kinds), "ADD", "OBSERVE", "DELETE", "EPCISQueryDocument",
        "ilmd", "sensorElementList", "sourceList", "destinationList", "bizTransactionList",
        "quantityList", "persistentDisposition", "errorDeclaration", "certificationInfo",
        "epcisHeader", "readPoint", "bizLocation", "urn:epc:", "https://id.gs1.org/",
    ):  # fmt: skip
        assert word in texts, word


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_document_comes_out_as_it_went_in(path: Path) -> None:
    data = path.read_bytes()
    given_json = exact(json.loads(data.decode("utf-8-sig")))
    found = parse_document(data)
    assert exact(rendered(found)) == given_json
    sent = replace(found, events=tuple(through_proto(event) for event in found.events))
    assert exact(rendered(sent)) == given_json
    # What was read once reads the same again.
    again = parse_document(render_document(found.header, found.events).encode())
    assert [in_order(e) for e in again.events] == [in_order(e) for e in found.events]
    assert again.header == found.header


def in_order(event: Event) -> Event:
    """An event whose empty fields are sorted: their order is that of the keys it was read from."""
    return replace(event, empty_fields=tuple(sorted(event.empty_fields)))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_each_event_of_it_is_valid_and_is_stored_without_loss(path: Path) -> None:
    found = parse_document(path.read_bytes())
    assert found.events
    for event in found.events:
        assert checked(event)[0] == []
        stored = event_from_json(event_to_json(event))
        assert in_order(stored) == in_order(event)
        assert event_hash(stored) == event_hash(event) == event_hash(through_proto(event))


def test_ranges_of_codes_come_out_as_they_went_in() -> None:
    lot = "https://id.gs1.org/01/06901234501018/10/SY20250304"
    ranges = [
        {"epcClass": lot, "firstIndex": 0, "count": 4294967295},
        {"epcClass": lot, "firstIndex": 4294967295, "count": 1},
    ]
    made = {"type": "TransformationEvent", "eventTimeZoneOffset": "+08:00",
            "eventTime": "2025-03-04T09:15:00+08:00", "tracechain:inputCodeRangeList": ranges[:1],
            "tracechain:outputCodeRangeList": ranges}  # fmt: skip
    whole = document(event(**{"tracechain:codeRangeList": ranges}), made)
    found = read(whole)
    assert found.events[0].code_ranges[1].first_index == 4294967295
    assert len(found.events[1].output_code_ranges) == 2
    assert exact(rendered(found)) == exact(whole)
    sent = replace(found, events=tuple(through_proto(event) for event in found.events))
    assert exact(rendered(sent)) == exact(whole)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    data = json.dumps(document(event())).encode()
    assert parse_document(b"\xef\xbb\xbf" + data) == parse_document(data)


def test_a_document_without_a_context_is_read_all_the_same() -> None:
    whole = document(event())
    del whole["@context"]
    found = read(whole)
    assert rendered(found) == whole
    assert found.events[0].context == ""


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    text = json.dumps(document(event())).replace(
        '"action": "OBSERVE"', '"action": "ADD", "action": "DELETE"'
    )
    assert parse_document(text.encode()).events[0].action == "DELETE"


def test_a_bare_event_is_the_event_that_it_would_be_in_a_document() -> None:
    """The prefixes that it declares are its own either way, so it keeps its identity."""
    own = {"ln": "https://ns.tracechain.example/liaoning/"}
    item = event(**{"ln:receipt": "42"})
    bare = read({"@context": [CONTEXT, own], **item})
    assert rendered(bare) == {"@context": [CONTEXT, own], **item}
    inside = read(document(item, context=[CONTEXT, own]))
    elsewhere = read(document(item, context=[CONTEXT, {"ln": "https://elsewhere.example/"}]))
    hashes = [event_hash(found.events[0]) for found in (bare, inside, elsewhere)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_context_of_an_event_is_the_documents_and_its_own() -> None:
    whole = document(
        event(**{"@context": {"b": "urn:b:"}}), event(), context=[CONTEXT, {"a": "urn:a:"}]
    )
    found = read(whole)
    assert [json.loads(e.context) for e in found.events] == [
        [{"a": "urn:a:"}, {"b": "urn:b:"}],
        [{"a": "urn:a:"}],
    ]
    assert rendered(found) == whole


def test_a_header_that_is_none_is_refused() -> None:
    one = read(event()).events
    for header in ("", "[]", "{}", '{"type":"ObjectEvent"}', '{"type":"EPCISDocument"}'):
        with pytest.raises(InvalidArgument):
            render_document(header, one)
    bare = read(event()).header
    for events in ((), one * 2):
        with pytest.raises(InvalidArgument) as caught:
            render_document(bare, events)
        assert caught.value.reason == "INVALID_DOCUMENT"


# --- what is empty


@pytest.mark.parametrize(
    "part",
    [
        {"epcList": []},
        {"quantityList": [], "bizStep": "", "sensorElementList": []},
        {"certificationInfo": []},
        {"certificationInfo": ""},
        {"certificationInfo": [""]},
        {"persistentDisposition": {}},
        {"persistentDisposition": {"set": [], "unset": []}},
        {"ilmd": {}},
        {"readPoint": {"id": ""}},
        {"sensorElementList": [{}]},
        {"sensorElementList": [{"sensorMetadata": {}}, {"sensorReport": []}]},
        {"sensorElementList": [{"sensorReport": [{}, {"type": "", "stringValue": ""}]}]},
        {"bizTransactionList": [{"bizTransaction": "", "type": ""}]},
        {"errorDeclaration": {"declarationTime": "", "reason": "", "correctiveEventIDs": []}},
        {"x:none": None, "x:list": [], "x:object": {}, "x:text": ""},
    ],
    ids=json.dumps,
)
def test_what_is_given_empty_comes_out_empty(part: dict[str, Any]) -> None:
    whole = document({**event(), **part})
    found = read(whole)
    assert exact(rendered(found)) == exact(whole)
    sent = replace(found, events=tuple(through_proto(e) for e in found.events))
    assert exact(rendered(sent)) == exact(whole)


@pytest.mark.parametrize(
    "path",
    ["epcList.0.x", "epcList.9", "nowhere.0.deep", "epcList.٣", "epcList." + "9" * 5000 + ".x",
     "type.x", "", ".", "epcList"],
)  # fmt: skip
def test_an_empty_field_that_leads_nowhere_restores_nothing(path: str) -> None:
    plain = read(event()).events[0]
    given_json = json.loads(event_to_json(plain))
    found = json.loads(event_to_json(replace(plain, empty_fields=(path,))))
    assert {k: v for k, v in found.items() if k in given_json} == given_json
    assert set(found) - set(given_json) <= {"@@empty", ""}


# --- what cannot be read

_DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("given_document", "expected"),
    [
        (b"", ("", "INVALID_JSON")),
        (b"{", ("", "INVALID_JSON")),
        (b"{'a': 1}", ("", "INVALID_JSON")),
        (b'{"a": 1} x', ("", "INVALID_JSON")),
        (b'{"a": "\n"}', ("", "INVALID_JSON")),
        (b'{"a": 01}', ("", "INVALID_JSON")),
        (b"\xff\xfe{}", ("", "INVALID_UTF8")),
        (b'{"a": "\xc3"}', ("", "INVALID_UTF8")),
        (_DEEP, ("", "JSON_TOO_DEEP")),
        (b'{"a":' * (MAX_DEPTH + 1), ("", "JSON_TOO_DEEP")),
        (b'{"a": NaN}', ("", "INVALID_NUMBER")),
        (b'{"a": -Infinity}', ("", "INVALID_NUMBER")),
        (b'{"a": 1e400}', ("", "INVALID_NUMBER")),
        (b'{"a": 9007199254740993}', ("", "INVALID_NUMBER")),
        (b'{"a": ' + b"9" * 6000 + b"}", ("", "INVALID_NUMBER")),
        (b"null", ("", "INVALID_FIELD_TYPE")),
        (b"[]", ("", "INVALID_FIELD_TYPE")),
        (b'"ObjectEvent"', ("", "INVALID_FIELD_TYPE")),
        ({}, ("type", "INVALID_DOCUMENT")),
        ({"type": "Document"}, ("type", "INVALID_DOCUMENT")),
        ({"type": ["EPCISDocument"]}, ("type", "INVALID_DOCUMENT")),
        ({"type": {}}, ("type", "INVALID_DOCUMENT")),
        ({"type": "EPCISDocument"}, ("epcisBody", "INVALID_DOCUMENT")),
        ({"type": "EPCISDocument", "epcisBody": []}, ("epcisBody", "INVALID_DOCUMENT")),
        ({"type": "EPCISDocument", "epcisBody": {}}, ("epcisBody", "INVALID_DOCUMENT")),
        (
            {"type": "EPCISDocument", "epcisBody": {"eventList": {}}},
            (LIST, "INVALID_FIELD_TYPE"),
        ),
        (
            {"type": "EPCISDocument", "epcisBody": {"eventList": None}},
            (LIST, "INVALID_FIELD_TYPE"),
        ),
        (
            {"type": "EPCISQueryDocument", "epcisBody": {"eventList": []}},
            ("epcisBody", "INVALID_DOCUMENT"),
        ),
        (
            {"type": "EPCISQueryDocument", "epcisBody": {"queryResults": {"resultsBody": {}}}},
            ("epcisBody.queryResults.resultsBody", "INVALID_DOCUMENT"),
        ),
        (document(event(), None), (f"{LIST}[1]", "INVALID_FIELD_TYPE")),
        (document("ObjectEvent"), (f"{LIST}[0]", "INVALID_FIELD_TYPE")),
        (document({}), (f"{LIST}[0].type", "INVALID_EVENT_TYPE")),
        (document(event(type="objectEvent")), (f"{LIST}[0].type", "INVALID_EVENT_TYPE")),
        (document(event(type=["ObjectEvent"])), (f"{LIST}[0].type", "INVALID_EVENT_TYPE")),
        (document(event(action="add")), (f"{LIST}[0].action", "INVALID_ACTION")),
        (document(event(action=None)), (f"{LIST}[0].action", "INVALID_ACTION")),
        (document(event(action=[])), (f"{LIST}[0].action", "INVALID_ACTION")),
        (document(event(epcList=["a", 1])), (f"{LIST}[0].epcList[1]", "INVALID_FIELD_TYPE")),
        (document(event(readPoint={})), (f"{LIST}[0].readPoint", "MISSING_FIELD")),
        (
            document(event(errorDeclaration={"reason": "x"})),
            (f"{LIST}[0].errorDeclaration", "MISSING_FIELD"),
        ),
        (
            document(event(quantityList=[{"quantity": 1}])),
            (f"{LIST}[0].quantityList[0]", "MISSING_FIELD"),
        ),
        (
            document(event(sourceList=[{"type": "location"}])),
            (f"{LIST}[0].sourceList[0]", "MISSING_FIELD"),
        ),
        (
            document(event(sourceList=[{"type": "a", "source": "b", "x:more": 1}])),
            (f"{LIST}[0].sourceList[0].x:more", "UNKNOWN_FIELD"),
        ),
        (
            document(event(persistentDisposition={"set": ["x"], "was": []})),
            (f"{LIST}[0].persistentDisposition.was", "UNKNOWN_FIELD"),
        ),
        (document(event(bizStep="a\ud800")), (f"{LIST}[0].bizStep", "INVALID_TEXT")),
        (document(event(**{"x:\udfff": 1})), (f"{LIST}[0]", "INVALID_TEXT")),
        (document(event(ilmd={"x:\udfff": 1})), (f"{LIST}[0].ilmd", "INVALID_TEXT")),
        ({"type": "ObjectEvent", "action": 1}, ("action", "INVALID_ACTION")),
        (event(eventTime=1), ("eventTime", "INVALID_FIELD_TYPE")),
    ],
    ids=lambda given_value: str(given_value)[:60],
)
def test_what_cannot_be_read_says_where_and_why(
    given_document: Any, expected: tuple[str, str]
) -> None:
    assert refusal(given_document) == expected


_WRONG: Mapping[Kind, list[Any]] = {
    Kind.TEXT: [None, 1, True, [], {}, ["x"]],
    Kind.OPTIONAL_TEXT: [None, 1, True, [], {}],
    Kind.NUMBER: [None, "1", True, [], {}, [1]],
    Kind.FLAG: [None, 0, 1, "true", []],
    Kind.COUNT: [None, "1", True, -1, 1.0, 1.5, 1 << 32, []],
    Kind.TEXTS: [None, "x", 1, {}, [None], [1], [[]], [{}]],
}


def _in_list(key: str, rest: dict[str, Any]) -> tuple[str, Callable[[Any], dict[str, Any]]]:
    return f"{key}[0]", lambda part: event(**{key: [{**rest, **part}]})


def _in_object(key: str, rest: dict[str, Any]) -> tuple[str, Callable[[Any], dict[str, Any]]]:
    return key, lambda part: event(**{key: {**rest, **part}})


PLACES: list[tuple[Mapping[str, Field], str, Callable[[Any], dict[str, Any]]]] = [
    (fields.EVENT, "", lambda part: event(**part)),
    *((fields.QUANTITY, *_in_list(key, {"epcClass": "urn:x:c"}))
      for key in ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")),
    *((fields.CODE_RANGE, *_in_list(f"tracechain:{key}", {"epcClass": "urn:x:c", "firstIndex": 0,
                                                          "count": 1}))
      for key in ("codeRangeList", "inputCodeRangeList", "outputCodeRangeList")),
    (fields.BIZ_TRANSACTION, *_in_list("bizTransactionList", {"bizTransaction": "urn:x:t"})),
    (fields.SOURCE, *_in_list("sourceList", {"type": "location", "source": "urn:x:s"})),
    (fields.DESTINATION,
     *_in_list("destinationList", {"type": "location", "destination": "urn:x:d"})),
    (fields.LOCATION, *_in_object("readPoint", {})),
    (fields.LOCATION, *_in_object("bizLocation", {})),
    (fields.PERSISTENT, *_in_object("persistentDisposition", {})),
    (fields.DECLARATION,
     *_in_object("errorDeclaration", {"declarationTime": "2025-03-04T09:15:00Z"})),
    (fields.SENSOR_METADATA, "sensorElementList[0].sensorMetadata",
     lambda part: event(sensorElementList=[{"sensorMetadata": part}])),
    (fields.SENSOR_REPORT, "sensorElementList[0].sensorReport[0]",
     lambda part: event(sensorElementList=[{"sensorReport": [part]}])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "place", "make"), PLACES, ids=[place or "event" for _, place, _ in PLACES]
)
def test_a_field_of_the_wrong_type_is_named(
    table: Mapping[str, Field], place: str, make: Callable[[Any], dict[str, Any]]
) -> None:
    prefix = f"{LIST}[0].{place}." if place else f"{LIST}[0]."
    for key, field in table.items():
        for wrong in _WRONG[field.kind]:
            at, reason = refusal(document(make({key: wrong})))
            assert at.partition(f"{prefix}{key}")[2] in ("", "[0]"), (key, wrong, at)
            assert at.startswith(f"{prefix}{key}"), (key, wrong, at)
            assert reason == "INVALID_FIELD_TYPE"


@pytest.mark.parametrize(
    "key",
    ["quantityList", "sourceList", "destinationList", "bizTransactionList", "sensorElementList",
     "tracechain:codeRangeList"],
)  # fmt: skip
def test_a_list_of_objects_is_one(key: str) -> None:
    at = f"{LIST}[0].{key}"
    no_lists: list[Any] = [None, {}, "x", 1]
    for wrong in no_lists:
        assert refusal(document(event(**{key: wrong}))) == (at, "INVALID_FIELD_TYPE")
    no_objects: list[Any] = [None, [], "x"]
    for wrong in no_objects:
        assert refusal(document(event(**{key: [wrong]}))) == (f"{at}[0]", "INVALID_FIELD_TYPE")


@pytest.mark.parametrize(
    "key", ["readPoint", "bizLocation", "persistentDisposition", "errorDeclaration", "ilmd"]
)
def test_an_object_is_one(key: str) -> None:
    no_objects: list[Any] = [None, [], "x", 1]
    for wrong in no_objects:
        at = f"{LIST}[0].{key}"
        assert refusal(document(event(**{key: wrong}))) == (at, "INVALID_FIELD_TYPE")


def test_depth_is_of_brackets_and_not_of_text() -> None:
    text = "[{" * 500 + '\\"'
    whole = document(event(**{"x:drawing": text}))
    assert rendered(read(whole)) == whole
    nested: Any = 1
    for _ in range(MAX_DEPTH - 4):  # the event is the fourth level
        nested = [nested]
    assert rendered(read(document(event(**{"x:a": nested})))) == document(event(**{"x:a": nested}))
    assert refusal(document(event(**{"x:a": [nested]}))) == ("", "JSON_TOO_DEEP")


def test_a_large_document_is_read() -> None:
    whole = document(*(event(epcList=[f"urn:x:{n}-{m}" for m in range(50)]) for n in range(400)))
    found = read(whole)
    assert len(found.events) == 400
    assert rendered(found) == whole


@pytest.mark.parametrize("number", [0, 6, 99])
def test_a_message_of_no_type_is_no_event(number: int) -> None:
    with pytest.raises(InvalidArgument) as caught:
        convert_event.read_event(event_pb2.Event(type=number))  # type: ignore[arg-type]
    assert (caught.value.violations[0].field, caught.value.reason) == ("type", "INVALID_EVENT_TYPE")


def test_a_message_of_no_action_that_is_known_is_none() -> None:
    with pytest.raises(InvalidArgument) as caught:
        convert_event.read_event(event_pb2.Event(type=1, action=99))  # type: ignore[arg-type]
    violation = caught.value.violations[0]
    assert (violation.field, violation.reason) == ("action", "INVALID_ENUM_VALUE")


# --- whatever is done to a document

_TEMPLATES = [json.loads(path.read_text()) for path in OWN]
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**53, 2**53 + 1, 1e308, float("nan"), "", "x", "ADD", "\ud800",
    "ObjectEvent", "TransformationEvent", "urn:epc:id:sgtin:1", "urn:epc:id:sgtin:6901234.050101.1",
    "2025-03-04T09:15:00Z", "9999-12-31T23:59:59.9999999-14:00", [], [[]], [None], [""], ["x"],
    {}, {"": 1}, {"a": {"b": [{}]}}, {"type": "x"}, {"id": "x"}, {"epcClass": "urn:x:c"},
    [{"type": "Temperature", "value": 1}], {"@context": 1},
]  # fmt: skip
_KEYS = [
    "", "x", "x:y", "@context", "@@context", "@@empty", "type", "action", "epcList", "ilmd", "id",
    "quantityList", "certificationInfo", "sensorReport", "tracechain:codeRangeList", "\ud800",
    "errorDeclaration", "parentID", "value", "epcisBody", "eventList", "extensions", "context",
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each (container, key or index) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found.append((value, key))
        if isinstance(item, dict | list):
            found += places(item)
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """One of our documents after a few accidents."""
    whole = copy.deepcopy(draw(st.sampled_from(_TEMPLATES)))
    for _ in range(draw(st.integers(1, 3))):
        spots = places(whole)
        if not spots:
            break
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        how = draw(st.sampled_from(["drop", "replace", "insert", "double"]))
        value = copy.deepcopy(draw(st.sampled_from(_VALUES)))
        if how == "drop":
            del container[key]
        elif how == "replace":
            container[key] = value
        elif isinstance(container, dict):
            container[draw(st.sampled_from(_KEYS))] = value
        else:
            container.insert(key, value if how == "insert" else copy.deepcopy(container[key]))
    return whole


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_whatever_is_done_to_a_document_it_is_read_without_loss_or_refused(whole: Any) -> None:
    data = json.dumps(whole).encode()
    found, reason = attempt(data)
    if found is None:
        assert reason in REASONS
        return
    assert exact(rendered(found)) == exact(whole)
    sent = replace(found, events=tuple(through_proto(event) for event in found.events))
    assert exact(rendered(sent)) == exact(whole)
    for event in found.events:
        violations, _ = checked(event)
        assert {violation.reason for violation in violations} <= REASONS
        assert all(violation.field for violation in violations)
        if not violations:
            assert in_order(event_from_json(event_to_json(event))) == in_order(event)
            assert event_hash(event) == event_hash(through_proto(event))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values | st.dictionaries(st.sampled_from(_KEYS), json_values))
def test_any_json_is_read_or_refused(value: Any) -> None:
    for whole in (value, document(value), document(event(**{"x:y": value})), {"type": value}):
        found, reason = attempt(json.dumps(whole).encode())
        assert (reason in REASONS) is (found is None)
        if found is not None:
            assert exact(rendered(found)) == exact(whole)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_document(data)
    assert caught.value.reason in REASONS
