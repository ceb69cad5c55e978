"""The identity of an event: its hash as CBV 2.0 section 8.9 defines it.

Promises the same hash for every spelling of one event (order of lists and keys, EPC URN or
Digital Link, time zone, CBV spelling, prefix names) and another one as soon as a hashed field
differs. Capturing twice is harmless because of it: were two spellings to differ, goods would be
moved twice; were two events to agree, the second would be dropped as known.

Not hashed, by the standard: eventID, recordTime, errorDeclaration (an event and its error
declaration share a hash) and, as its reference generator has it, comments.

Order of properties: where the standard's table and the generator that made its test vectors
differ, the generator is followed throughout, because it is what peers compare with: parentID
before epcList; and sensorElementList, bizTransactionList, destinationList, ilmd, sourceList in
this order. (The table has epcList first, and bizTransactionList, sourceList, destinationList,
sensorElementList, ilmd.) Text in extensions stays text: `"0012"` is not the number 12.

Ranges of codes hash as user extensions, whether they came typed or as an extension, each range as
    {urn:tracechain:epcis:}codeRangeListcount=100epcClass=https://id.gs1.org/01/...firstIndex=0
(inputCodeRangeList, outputCodeRangeList alike): the canonical class, and inside of the list our
own names bare, with or without prefix in the document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256

from tracechain.domain.epcis import vocabulary
from tracechain.domain.epcis.model import (
    CodeRange,
    Event,
    Extensions,
    Location,
    QuantityElement,
    SensorElement,
    SensorMetadata,
    SensorReport,
)
from tracechain.domain.identifiers import canonical_uri

_OURS = f"{{{vocabulary.TRACECHAIN}}}"
_NO_DATA = frozenset(("{http://www.w3.org/2000/01/rdf-schema#}comment", "comment", "@context"))
_Prefixes = Mapping[str, str]


def event_hash(event: Event, ignore: Collection[str] = ()) -> str:
    """The event's ID as a named information URI (RFC 6920); `ignore` as for `prehash`."""
    return f"ni:///sha-256;{hash_bytes(event, ignore).hex()}?ver=CBV2.0"


def hash_bytes(event: Event, ignore: Collection[str] = ()) -> bytes:
    """The 32 bytes that `event_hash` spells out."""
    # A lone surrogate can come out of JSON; it must not make an event impossible to identify.
    return sha256(prehash(event, ignore).encode("utf-8", "surrogatepass")).digest()


def prehash(event: Event, ignore: Collection[str] = ()) -> str:
    """The text that is hashed. `ignore` names event-level extensions, as the event names them,
    that a repository added for itself (a document's `ignoreFields`)."""
    prefixes = vocabulary.prefixes(event.context)
    out = [
        f"eventType={event.type.value}eventTime={_time(event.event_time)}"
        f"eventTimeZoneOffset={event.event_time_zone_offset.strip()}"
    ]
    if event.certification_info:
        _uris(out, "", "certificationInfo=", event.certification_info, prefixes)
    if event.parent_id:
        out.append(f"parentID={_uri(event.parent_id, prefixes)}")
    if event.epc_list:
        _uris(out, "epcList", "epc=", event.epc_list, prefixes)
    if event.input_epc_list:
        _uris(out, "inputEPCList", "epc=", event.input_epc_list, prefixes)
    if event.child_epcs:
        _uris(out, "childEPCs", "epc=", event.child_epcs, prefixes)
    if event.quantity_list:
        _quantities(out, "quantityList", event.quantity_list, prefixes)
    if event.child_quantity_list:
        _quantities(out, "childQuantityList", event.child_quantity_list, prefixes)
    if event.input_quantity_list:
        _quantities(out, "inputQuantityList", event.input_quantity_list, prefixes)
    if event.output_epc_list:
        _uris(out, "outputEPCList", "epc=", event.output_epc_list, prefixes)
    if event.output_quantity_list:
        _quantities(out, "outputQuantityList", event.output_quantity_list, prefixes)
    if event.action is not None:
        out.append(f"action={event.action.value}")
    if event.transformation_id:
        out.append(f"transformationID={_uri(event.transformation_id, prefixes)}")
    if event.biz_step:
        out.append(f"bizStep={_term(vocabulary.biz_step_uri, event.biz_step, prefixes)}")
    if event.disposition:
        out.append(f"disposition={_disposition(event.disposition, prefixes)}")
    if event.persistent_disposition is not None:
        held = event.persistent_disposition
        lines = [
            *sorted(f"set={_disposition(one, prefixes)}" for one in held.set),
            *sorted(f"unset={_disposition(one, prefixes)}" for one in held.unset),
        ]
        if lines:
            out += ["persistentDisposition", *lines]
    if event.read_point is not None:
        _location(out, "readPoint", event.read_point, prefixes)
    if event.biz_location is not None:
        _location(out, "bizLocation", event.biz_location, prefixes)
    if event.sensor_element_list:
        elements = sorted(filter(None, (_sensor(e, prefixes) for e in event.sensor_element_list)))
        if elements:
            out += ["sensorElementList", *elements]
    if event.biz_transaction_list:
        out.append("bizTransactionList")
        out += sorted(
            _typed(vocabulary.biz_transaction_type_uri, one.type, prefixes)
            + f"bizTransaction={_uri(one.biz_transaction, prefixes)}"
            for one in event.biz_transaction_list
        )
    if event.destination_list:
        out.append("destinationList")
        out += sorted(
            _typed(vocabulary.source_dest_type_uri, one.type, prefixes)
            + f"destination={_uri(one.destination, prefixes)}"
            for one in event.destination_list
        )
    if event.ilmd:
        out.append("ilmd")
        out += _extensions(event.ilmd, prefixes)
    if event.source_list:
        out.append("sourceList")
        out += sorted(
            _typed(vocabulary.source_dest_type_uri, one.type, prefixes)
            + f"source={_uri(one.source, prefixes)}"
            for one in event.source_list
        )
    out += _own_and_ranges(event, prefixes, ignore)
    return "".join(out)


def _own_and_ranges(event: Event, prefixes: _Prefixes, ignore: Collection[str]) -> list[str]:
    """Event-level extensions and code ranges: last, and in one order."""
    given = event.extensions
    if ignore:
        given = tuple(one for one in given if one[0] not in ignore)
    own = _extensions(given, prefixes) if given else []
    for name, ranges in (
        ("codeRangeList", event.code_ranges),
        ("inputCodeRangeList", event.input_code_ranges),
        ("outputCodeRangeList", event.output_code_ranges),
    ):
        own += [_OURS + name + _range(one, prefixes) for one in ranges]
    own.sort()
    return own


def _range(one: CodeRange, prefixes: _Prefixes) -> str:
    return f"count={one.count}epcClass={_uri(one.epc_class, prefixes)}firstIndex={one.first_index}"


# --- Values ---


def _time(text: str) -> str:
    """UTC in milliseconds, a half rounded up; what is no time with a zone, as it is."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return text
        moment = moment.astimezone(UTC)
        if moment.microsecond % 1000 >= 500:  # digits beyond the sixth cannot change this
            moment += timedelta(microseconds=500)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def _number(value: float) -> str:
    """Plain decimal digits, no trailing zeros, no exponent."""
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


def _uri(text: str, prefixes: _Prefixes) -> str:
    """The canonical spelling of a URI or CURIE: EPCs on https://id.gs1.org, CBV in the web."""
    text = text.strip()
    head, colon, rest = text.partition(":")
    if not colon:
        return text
    if head == "urn":
        return canonical_uri(text) if rest[:4].lower() == "epc:" else vocabulary.urn_to_uri(text)
    if not rest.startswith("//"):
        namespace = prefixes.get(head)
        if namespace is None:
            return canonical_uri(text) if head.lower() == "urn" else text
        text = namespace + rest
    return canonical_uri(text)


_place = lru_cache(maxsize=4096)(canonical_uri)  # a party has few places and many events


def _term(to_uri: Callable[[str], str], text: str, prefixes: _Prefixes) -> str:
    """The web URI of a vocabulary value, or the user's own one with its prefix expanded."""
    text = text.strip()
    uri = to_uri(text)
    return _uri(text, prefixes) if uri == text else uri


def _disposition(text: str, prefixes: _Prefixes) -> str:
    return _term(vocabulary.disposition_uri, text, prefixes)


def _typed(to_uri: Callable[[str], str], text: str, prefixes: _Prefixes) -> str:
    return f"type={_term(to_uri, text, prefixes)}" if text else ""


# --- Parts of an event. `out` is what is written so far. ---


def _uris(out: list[str], head: str, key: str, uris: tuple[str, ...], prefixes: _Prefixes) -> None:
    out.append(head)
    if len(uris) == 1:
        out.append(key + _uri(uris[0], prefixes))
    else:
        out += sorted([key + _uri(uri, prefixes) for uri in uris])


def _quantities(
    out: list[str], head: str, given: tuple[QuantityElement, ...], prefixes: _Prefixes
) -> None:
    lines = []
    for one in given:
        line = f"quantityElementepcClass={_uri(one.epc_class, prefixes)}"
        if one.quantity is not None:
            line += f"quantity={_number(one.quantity)}"
        if one.uom:
            line += f"uom={one.uom.strip()}"
        lines.append(line)
    out.append(head)
    out += sorted(lines)


def _location(out: list[str], head: str, given: Location, prefixes: _Prefixes) -> None:
    uri = given.id.strip()
    uri = _place(uri) if uri.startswith(("urn:epc:", "https://")) else _uri(uri, prefixes)
    out.append(f"{head}id={uri}")
    if given.extensions:
        out += _extensions(given.extensions, prefixes)


def _sensor(element: SensorElement, prefixes: _Prefixes) -> str:
    """One sensor element, empty if nothing is in it."""
    text = _metadata(element.sensor_metadata, prefixes) if element.sensor_metadata else ""
    text += "".join(sorted(_report(one, prefixes) for one in element.sensor_report))
    text += "".join(_extensions(element.extensions, prefixes))
    return "sensorElement" + text if text else ""


def _metadata(given: SensorMetadata, prefixes: _Prefixes) -> str:
    text = _pairs((
        ("time", given.time and _time(given.time)),
        ("startTime", given.start_time and _time(given.start_time)),
        ("endTime", given.end_time and _time(given.end_time)),
        ("deviceID", _uri(given.device_id, prefixes)),
        ("deviceMetadata", _uri(given.device_metadata, prefixes)),
        ("rawData", _uri(given.raw_data, prefixes)),
        ("dataProcessingMethod", _uri(given.data_processing_method, prefixes)),
        ("bizRules", _uri(given.biz_rules, prefixes)),
    ))  # fmt: skip
    text += "".join(_extensions(given.extensions, prefixes))
    return "sensorMetadata" + text if text else ""


def _report(given: SensorReport, prefixes: _Prefixes) -> str:
    flag = given.boolean_value
    text = _pairs((
        ("type", _term(vocabulary.measurement_type_uri, given.type, prefixes)),
        ("exception", _term(vocabulary.sensor_alert_uri, given.exception, prefixes)),
        ("deviceID", _uri(given.device_id, prefixes)),
        ("deviceMetadata", _uri(given.device_metadata, prefixes)),
        ("rawData", _uri(given.raw_data, prefixes)),
        ("dataProcessingMethod", _uri(given.data_processing_method, prefixes)),
        ("time", given.time and _time(given.time)),
        ("microorganism", _uri(given.microorganism, prefixes)),
        ("chemicalSubstance", _uri(given.chemical_substance, prefixes)),
        ("value", given.value),
        ("component", _term(vocabulary.component_uri, given.component, prefixes)),
        ("stringValue", (given.string_value or "").strip()),
        ("booleanValue", "" if flag is None else "true" if flag else "false"),
        ("hexBinaryValue", given.hex_binary_value.strip()),
        ("uriValue", _uri(given.uri_value, prefixes)),
        ("minValue", given.min_value),
        ("maxValue", given.max_value),
        ("meanValue", given.mean_value),
        ("sDev", given.s_dev),
        ("percRank", given.perc_rank),
        ("percValue", given.perc_value),
        ("uom", given.uom.strip()),
        ("coordinateReferenceSystem", _uri(given.coordinate_reference_system, prefixes)),
    ))  # fmt: skip
    text += "".join(_extensions(given.extensions, prefixes))
    return "sensorReport" + text if text else ""


def _pairs(fields: Iterable[tuple[str, str | float | None]]) -> str:
    return "".join(
        f"{key}={value if isinstance(value, str) else _number(value)}"
        for key, value in fields
        if value is not None and value != ""
    )


# --- User extensions ---


def _extensions(given: Extensions, prefixes: _Prefixes) -> list[str]:
    """Each extension as `{namespace}name=value`, sorted as text, and so what is inside of it."""
    lines: list[str] = []
    for name, text in given:
        _extension(lines, vocabulary.qualified_name(name, prefixes), json.loads(text), prefixes)
    lines.sort()
    return lines


def _extension(lines: list[str], name: str, value: object, prefixes: _Prefixes) -> None:
    if name in _NO_DATA or value is None:  # JSON-LD: null is "not given"
        return
    if isinstance(value, list):  # an element that repeats, as in XML
        for one in value:
            _extension(lines, name, one, prefixes)
    elif isinstance(value, dict):
        inner: list[str] = []
        for key, one in value.items():
            _extension(
                inner, vocabulary.qualified_name(key, prefixes).removeprefix(_OURS), one, prefixes
            )
        inner.sort()
        lines.append(name + "".join(inner))
    else:
        text = _scalar(value, prefixes)
        lines.append(f"{name}={text}" if text else name)


def _scalar(value: object, prefixes: _Prefixes) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    return _uri(str(value), prefixes)
