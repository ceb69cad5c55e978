"""The event hash against the vectors of its reference generator, and what must not move it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracechain.domain.epcis.event_hash import event_hash, hash_bytes, prehash
from tracechain.domain.epcis.jsonld import parse_document
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

VECTORS = Path(__file__).parents[1] / "data" / "event-hash"
# Its second pre-hash is a stale copy of the first: it tells of `shipping` and of two EPCs where
# the document's second event is a `receiving` of one, and it is not what the second hash is of.
STALE = ("epcisDocWithCustomSchemaInContext", 1)


def ni(text: str) -> str:
    return f"ni:///sha-256;{sha256(text.encode()).hexdigest()}?ver=CBV2.0"


def vectors() -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.jsonld")):
        data = path.read_bytes()
        ignore = json.loads(data).get("repository-x:ignoreFields", ())
        hashes = path.with_suffix(".hashes").read_text().split()
        texts = [line for line in path.with_suffix(".prehashes").read_text().split("\n") if line]
        events = parse_document(data).events
        for i, (event, text, value) in enumerate(zip(events, texts, hashes, strict=True)):
            name = f"{path.stem}-{i}"
            stale = (path.stem, i) == STALE
            found.append(pytest.param(event, ignore, text, value, stale, id=name))
    return found


@pytest.mark.parametrize(("event", "ignore", "text", "value", "stale"), vectors())
def test_vector(event: Event, ignore: list[str], text: str, value: str, stale: bool) -> None:
    assert event_hash(event, ignore) == value
    assert hash_bytes(event, ignore).hex() == value[14:78]
    if stale:
        assert ni(text) != value
        assert "BizStep-shipping" in text
        assert event.biz_step == "receiving"
    else:
        assert prehash(event, ignore) == text


def test_the_vectors_are_all_there() -> None:
    assert len(vectors()) == 30


CONTEXT = json.dumps([{"ex": "https://ns.example.com/epcis/"}])
EPC = "urn:epc:id:sgtin:4012345.011111.9876"
SIMPLE = Event(
    type=EventType.OBJECT,
    event_time="2024-05-01T08:00:00+08:00",
    event_time_zone_offset="+08:00",
    action=Action.OBSERVE,
    epc_list=(EPC,),
    biz_step="shipping",
    disposition="in_transit",
    read_point=Location("urn:epc:id:sgln:4012345.00005.0"),
)
FULL = replace(
    SIMPLE,
    certification_info=("https://example.org/c/1", "https://example.org/c/2"),
    epc_list=(EPC, "urn:epc:id:sgtin:4012345.011111.9877"),
    quantity_list=(
        QuantityElement("urn:epc:class:lgtin:4012345.011111.L1", 10.5, "KGM"),
        QuantityElement("urn:epc:class:lgtin:4012345.011111.L2", 3),
    ),
    parent_id="urn:epc:id:sscc:4012345.0000000111",
    child_epcs=("urn:epc:id:sscc:4012345.0000000222", "urn:epc:id:sscc:4012345.0000000333"),
    child_quantity_list=(
        QuantityElement("urn:epc:idpat:sgtin:4012345.011111.*"),
        QuantityElement("urn:epc:idpat:sgtin:4012345.011112.*"),
    ),
    input_epc_list=("urn:epc:id:giai:4012345.A", "urn:epc:id:giai:4012345.B"),
    input_quantity_list=(QuantityElement("urn:epc:class:lgtin:4012345.011111.L3", 1),),
    output_epc_list=("urn:epc:id:giai:4012345.C", "urn:epc:id:giai:4012345.D"),
    output_quantity_list=(QuantityElement("urn:epc:class:lgtin:4012345.011111.L4", 1),),
    transformation_id="urn:epc:id:gdti:4012345.55555.1234",
    persistent_disposition=PersistentDisposition(("recalled", "damaged"), ("available", "stolen")),
    read_point=Location("urn:epc:id:sgln:4012345.00005.0", (("ex:b", '"2"'), ("ex:a", '"1"'))),
    biz_location=Location("urn:epc:id:sgln:4012345.00006.0"),
    biz_transaction_list=(
        BizTransaction("urn:epcglobal:cbv:bt:4012345000009:1", "po"),
        BizTransaction("urn:epcglobal:cbv:bt:4012345000009:2"),
    ),
    source_list=(
        Source("owning_party", "urn:epc:id:pgln:4012345.00000"),
        Source("location", "urn:epc:id:sgln:4012345.00005.0"),
    ),
    destination_list=(
        Destination("owning_party", "urn:epc:id:pgln:4023333.00000"),
        Destination("location", "urn:epc:id:sgln:4023333.00005.0"),
    ),
    sensor_element_list=(
        SensorElement(
            SensorMetadata(time="2024-05-01T00:00:00Z", extensions=(("ex:m", "1"),)),
            (
                SensorReport(type="Temperature", value=26.0, uom="CEL"),
                SensorReport(type="gs1:Angle", value=1, component="x", extensions=(("ex:r", "2"),)),
            ),
            (("ex:z", "1"), ("ex:y", "[1, 2]")),
        ),
        SensorElement(
            None, (SensorReport(type="Speed", boolean_value=False), SensorReport(type="Time"))
        ),
    ),
    ilmd=(("ex:lot", '"0012"'), ("cbvmda:bestBeforeDate", '"2030-01-01"')),
    code_ranges=(
        CodeRange("https://id.gs1.org/01/04012345111118/10/L1", 0, 100),
        CodeRange("https://id.gs1.org/01/04012345111118/10/L1", 500, 1),
    ),
    input_code_ranges=(CodeRange("https://id.gs1.org/01/04012345111118/10/L2", 1, 2),),
    output_code_ranges=(CodeRange("https://id.gs1.org/01/04012345111118/10/L3", 1, 2),),
    extensions=(("ex:b", '{"ex:q": [3, {"ex:s": true}], "ex:p": null}'), ("ex:a", '["x", "y"]')),
    context=CONTEXT,
)


def test_order_of_properties() -> None:
    names = [
        "eventType", "eventTime", "eventTimeZoneOffset", "certificationInfo", "parentID",
        "epcList", "inputEPCList", "childEPCs", "quantityList", "childQuantityList",
        "inputQuantityList", "outputEPCList", "outputQuantityList", "action", "transformationID",
        "bizStep", "disposition", "persistentDisposition", "readPoint", "bizLocation",
        "sensorElementList", "bizTransactionList", "destinationList", "ilmd", "sourceList",
        "{https://ns.example.com/epcis/}a=", "{urn:tracechain:epcis:}codeRangeList",
    ]  # fmt: skip
    rest = prehash(FULL)
    for name in names:
        assert name in rest, name
        rest = rest[rest.index(name) + len(name) :]


def test_parts_of_a_full_event() -> None:
    text = prehash(FULL)
    ns = "{https://ns.example.com/epcis/}"
    for part in (
        "persistentDispositionset=https://ref.gs1.org/cbv/Disp-damaged"
        "set=https://ref.gs1.org/cbv/Disp-recalledunset=https://ref.gs1.org/cbv/Disp-available",
        f"readPointid=https://id.gs1.org/414/4012345000054{ns}a=1{ns}b=2bizLocation",
        f"sensorElementsensorMetadatatime=2024-05-01T00:00:00.000Z{ns}m=1"
        f"sensorReporttype=https://gs1.org/voc/Anglevalue=1component=https://ref.gs1.org/cbv/Comp-x"
        f"{ns}r=2sensorReporttype=https://gs1.org/voc/Temperaturevalue=26uom=CEL{ns}y=1{ns}y=2{ns}z=1"
        "sensorElementsensorReporttype=https://gs1.org/voc/SpeedbooleanValue=false"
        "sensorReporttype=https://gs1.org/voc/Time",
        f"ilmd{ns}lot=0012{{urn:epcglobal:cbv:mda:}}bestBeforeDate=2030-01-01",
        f"{ns}a=x{ns}a=y{ns}b{ns}q=3{ns}q{ns}s=true",
        "{urn:tracechain:epcis:}codeRangeListcount=100"
        "epcClass=https://id.gs1.org/01/04012345111118/10/L1firstIndex=0"
        "{urn:tracechain:epcis:}codeRangeListcount=1"
        "epcClass=https://id.gs1.org/01/04012345111118/10/L1firstIndex=500"
        "{urn:tracechain:epcis:}inputCodeRangeListcount=2",
    ):
        assert part in text, part


def reordered(value: Any, rng: Any) -> Any:
    """The same event with every list shuffled and the keys of every extension's object too."""
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(item, str) for item in value) and ":" in value[0]:
            try:
                return (value[0], json.dumps(shuffled(json.loads(value[1]), rng)))
            except ValueError:
                pass
        return tuple(rng.sample([reordered(item, rng) for item in value], len(value)))
    if hasattr(value, "__dataclass_fields__"):
        return replace(
            value, **{f.name: reordered(getattr(value, f.name), rng) for f in fields(value)}
        )
    return value


def shuffled(value: Any, rng: Any) -> Any:
    if isinstance(value, list):
        return rng.sample([shuffled(item, rng) for item in value], len(value))
    if isinstance(value, dict):
        keys = rng.sample(list(value), len(value))
        return {key: shuffled(value[key], rng) for key in keys}
    return value


@given(st.randoms(use_true_random=False))
def test_order_of_lists_and_keys_does_not_matter(rng: Any) -> None:
    assert prehash(reordered(FULL, rng)) == prehash(FULL)


@given(st.integers(0, 10**12 - 1), st.sampled_from(["https://id.gs1.org", "https://a.example/p"]))
def test_urn_and_digital_link_are_one(serial: int, domain: str) -> None:
    urn = replace(SIMPLE, epc_list=(f"urn:epc:id:sgtin:4012345.011111.{serial}",))
    link = replace(SIMPLE, epc_list=(f"{domain}/01/04012345111118/21/{serial}",))
    assert event_hash(urn) == event_hash(link)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
    st.integers(-14 * 60, 14 * 60),
)
def test_the_zone_that_spells_event_time_does_not_matter(
    moment: datetime, one: int, other: int
) -> None:
    utc = moment.replace(tzinfo=timezone(timedelta()))
    hashes = {
        event_hash(replace(SIMPLE, event_time=utc.astimezone(zone).isoformat()))
        for zone in (timezone(timedelta(minutes=one)), timezone(timedelta(minutes=other)))
    }
    assert len(hashes) == 1


@given(
    st.sampled_from(["", "urn:epcglobal:cbv:bizstep:", "https://ref.gs1.org/cbv/BizStep-"]),
    st.sampled_from(["", "urn:epcglobal:cbv:disp:", "https://ref.gs1.org/cbv/Disp-", "cbv:Disp-"]),
    st.sampled_from(["", "urn:epcglobal:cbv:btt:", "https://ref.gs1.org/cbv/BTT-", "cbv:BTT-"]),
    st.sampled_from(["", "urn:epcglobal:cbv:sdt:", "https://ref.gs1.org/cbv/SDT-", "cbv:SDT-"]),
)
def test_the_spelling_of_the_vocabulary_does_not_matter(
    step: str, disposition: str, transaction: str, party: str
) -> None:
    spelled = replace(
        SIMPLE,
        biz_step=step + "shipping",
        disposition=disposition + "in_transit",
        biz_transaction_list=(BizTransaction("urn:x:1", transaction + "po"),),
        source_list=(Source(party + "location", "urn:x:2"),),
    )
    bare = replace(
        SIMPLE,
        biz_transaction_list=(BizTransaction("urn:x:1", "po"),),
        source_list=(Source("location", "urn:x:2"),),
    )
    assert event_hash(spelled) == event_hash(bare)


@given(st.from_regex(r"[a-z]{2,8}", fullmatch=True).filter(lambda p: p not in ("urn", "http")))
def test_the_name_of_a_prefix_does_not_matter(prefix: str) -> None:
    def event(name: str) -> Event:
        context = json.dumps({name: "https://ns.example.com/epcis/"})
        given = ((f"{name}:a", f'{{"{name}:b": "{name}:c"}}'),)
        return replace(SIMPLE, context=context, extensions=given, biz_step=f"{name}:step")

    assert prehash(event(prefix)) == prehash(event("ex"))


def test_every_hashed_field_counts() -> None:
    seen = {event_hash(FULL)}
    changed = 1
    for change in changes(FULL, "x"):
        seen.add(event_hash(change))
        changed += 1
    assert len(seen) == changed
    assert changed > 120


MEASURES = [f.name for f in fields(SensorReport) if f.type == "float | None"]


def changes(value: Any, name: str) -> Iterator[Any]:
    """Each value that differs from this one in one place: changed, or left out."""
    if name in ("event_id", "record_time", "error_declaration", "context", "empty_fields"):
        return
    if name == "certification_info_is_list":
        return
    if value is None and name in MEASURES:
        yield 5.5
    elif isinstance(value, EventType):
        yield from (kind for kind in EventType if kind is not value)
    elif isinstance(value, Action):
        yield from (action for action in Action if action is not value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str):
        if name == "event_time":
            yield "2024-05-01T08:00:00.001+08:00"
        elif name == "event_time_zone_offset":
            yield "+07:00"
        elif name == "extension":
            yield '"changed"'
        elif name in ("time", "start_time", "end_time"):
            yield "2031-01-01T00:00:00Z"
        else:
            yield f"{value}9" if value else "urn:x:given"
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield value[:i] + value[i + 1 :]
            if isinstance(item, tuple):
                yield (*value[:i], (item[0] + "9", item[1]), *value[i + 1 :])
                for other in changes(item[1], "extension"):
                    yield (*value[:i], (item[0], other), *value[i + 1 :])
            else:
                for other in changes(item, name):
                    yield (*value[:i], other, *value[i + 1 :])
    elif hasattr(value, "__dataclass_fields__"):
        for f in fields(value):
            for other in changes(getattr(value, f.name), f.name):
                yield replace(value, **{f.name: other})


def test_what_is_not_hashed() -> None:
    assert event_hash(
        replace(
            SIMPLE,
            event_id="urn:uuid:1",
            record_time="2024-01-01T00:00:00Z",
            error_declaration=ErrorDeclaration("2024-06-01T00:00:00Z", "incorrect_data"),
            certification_info_is_list=True,
            empty_fields=("epcList",),
            context=CONTEXT,
            extensions=(("rdfs:comment", '"why"'), ("@context", '{"a": "b:"}')),
        )
    ) == event_hash(SIMPLE)


@pytest.mark.parametrize("name", ["codeRangeList", "inputCodeRangeList", "outputCodeRangeList"])
@pytest.mark.parametrize("inner", ["", "tracechain:"])
def test_ranges_hash_alike_typed_or_not(name: str, inner: str) -> None:
    ranges = [("urn:epc:class:lgtin:4012345.011111.L1", 7, 9), ("urn:x:class", 0, 10)]
    made = tuple(CodeRange(*one) for one in ranges)
    typed = replace(
        SIMPLE,
        code_ranges=made if name == "codeRangeList" else (),
        input_code_ranges=made if name == "inputCodeRangeList" else (),
        output_code_ranges=made if name == "outputCodeRangeList" else (),
    )
    listed = [
        {"epcClass": epc_class, f"{inner}firstIndex": first, f"{inner}count": count}
        for epc_class, first, count in ranges
    ]
    if inner:
        listed = [{"tracechain:epcClass": one.pop("epcClass"), **one} for one in listed]
    plain = replace(SIMPLE, extensions=((f"tracechain:{name}", json.dumps(listed)),))
    assert prehash(typed) == prehash(plain)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2023-02-02T11:04:03.1415Z", "2023-02-02T11:04:03.142Z"),
        ("2023-02-02T11:04:03.14149999Z", "2023-02-02T11:04:03.141Z"),
        ("2023-02-02T11:04:03.0025Z", "2023-02-02T11:04:03.003Z"),
        ("2023-12-31T23:59:59.9995Z", "2024-01-01T00:00:00.000Z"),
        ("2023-02-02T11:04:03.999999999999Z", "2023-02-02T11:04:04.000Z"),
        ("2023-02-02T11:04:03-06:30", "2023-02-02T17:34:03.000Z"),
        ("9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59.9999Z"),
        ("not a time", "not a time"),
        ("2023-02-02T11:04:03", "2023-02-02T11:04:03"),
    ],
)
def test_times(given: str, expected: str) -> None:
    assert f"eventTime={expected}eventTime" in prehash(replace(SIMPLE, event_time=given))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1.0, "1"), (0.3434, "0.3434"), (0, "0"), (-0.0, "0"), (2.5e-7, "0.00000025"),
        (1e21, "1000000000000000000000"), (-12.50, "-12.5"),
    ],
)  # fmt: skip
def test_numbers(given: float, expected: str) -> None:
    event = replace(SIMPLE, quantity_list=(QuantityElement("urn:x:c", given, "KGM"),))
    assert f"quantity={expected}uom=KGM" in prehash(event)


def test_text_in_an_extension_stays_text() -> None:
    def lot(text: str) -> str:
        return event_hash(replace(SIMPLE, ilmd=(("cbvmda:lotNumber", json.dumps(text)),)))

    assert len({lot("12"), lot("0012"), lot("12.0"), lot("1.20e1")}) == 4
    assert lot(" 12 ") == lot("12")


def test_empty_parts_leave_nothing_behind() -> None:
    empty = replace(
        SIMPLE,
        persistent_disposition=PersistentDisposition(),
        sensor_element_list=(SensorElement(SensorMetadata(), (SensorReport(),)),),
        extensions=(("ex:a", "[]"), ("ex:b", "null")),
    )
    assert prehash(empty) == prehash(SIMPLE)


def test_a_lone_surrogate_still_has_a_hash() -> None:
    assert event_hash(replace(SIMPLE, extensions=(("ex:a", '"\\ud800"'),)))
