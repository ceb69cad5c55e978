"""EPCIS JSON and JSON-LD to events and back, without loss (EPCIS 2.0 section 10).

What this version does not know is kept as an extension, as JSON text, and comes out where it
was. A document is its events and a header: everything else, with an empty list in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from tracechain.domain.epcis import fields
from tracechain.domain.epcis.fields import Field, Kind
from tracechain.domain.epcis.model import (
    Action,
    BizTransaction,
    CodeRange,
    Destination,
    Document,
    ErrorDeclaration,
    Event,
    EventType,
    Extensions,
    Location,
    PersistentDisposition,
    QuantityElement,
    SensorElement,
    SensorMetadata,
    SensorReport,
    Source,
)
from tracechain.domain.epcis.reader import MAX_DEPTH, dump, read_json, read_text
from tracechain.domain.errors import InvalidArgument

T = TypeVar("T")

STANDARD_CONTEXTS = ("https://ref.gs1.org/standards/epcis/",)
RANGES_PREFIX = "tracechain"
_BARE = {"@bare": True}
_TYPES = frozenset(kind.value for kind in EventType)
_ACTIONS = frozenset(action.value for action in Action)
# Private names in the storage form of one event; '@' keeps them apart from all extensions.
_CONTEXT, _EMPTY = "@@context", "@@empty"
# How deep in an event an extension can lie: event, list, sensor element, list, sensor report.
_LEVELS = 5


def parse_document(data: bytes) -> Document:
    """The header and the events of an EPCIS document, query document or single event.

    Raises InvalidArgument with a JSON path, see `reader` and INVALID_DOCUMENT,
    INVALID_EVENT_TYPE, INVALID_FIELD_TYPE.
    """
    whole = _object(read_json(data), "")
    path, found = _event_list(whole)
    if found is None:
        event = _event(whole, "", _context(None, whole))
        return Document(dump(_BARE), (event,))
    shared = whole.get("@context")
    events = tuple(
        _event(_object(item, f"{path}[{i}]"), f"{path}[{i}]", _context(shared, item))
        for i, item in enumerate(found)
    )
    found.clear()
    return Document(dump(whole), events)


def render_document(header: str, events: Sequence[Event]) -> str:
    """The document again, equal as JSON to the one that `parse_document` read."""
    whole = _object(read_text(header, "document.json"), "document.json")
    if whole == _BARE:
        if len(events) != 1:
            raise InvalidArgument.of("document.json", "INVALID_DOCUMENT", "is of one event alone")
        return dump(_plain(events[0]))
    _, found = _event_list(whole)
    if found is None:
        raise InvalidArgument.of("document.json", "INVALID_DOCUMENT", "holds no event list")
    found.extend(_plain(event) for event in events)
    return dump(whole)


def event_to_json(event: Event) -> str:
    """The storage form of one event: its EPCIS JSON with what its extensions need."""
    data = _plain(event)
    if event.context:
        data[_CONTEXT] = event.context
    if event.empty_fields:
        data[_EMPTY] = event.empty_fields
    return dump(data)


def event_from_json(text: str) -> Event:
    """The event that `event_to_json` wrote. Raises InvalidArgument for anything else."""
    data = _object(read_text(text, "", MAX_DEPTH + _LEVELS), "")
    context = data.pop(_CONTEXT, "")
    data.pop(_EMPTY, None)
    return _event(data, "", context if isinstance(context, str) else "")


def _event_list(whole: dict[str, Any]) -> tuple[str, list[Any] | None]:
    kind = whole.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return "", None
    if kind not in ("EPCISDocument", "EPCISQueryDocument"):
        raise InvalidArgument.of(
            "type", "INVALID_DOCUMENT", "is neither an EPCIS document nor an event"
        )
    path, place = "epcisBody", whole.get("epcisBody")
    keys = ["eventList"]
    if kind == "EPCISQueryDocument":
        keys = ["queryResults", "resultsBody", "eventList"]
    for key in keys:
        if not isinstance(place, dict) or key not in place:
            raise InvalidArgument.of(path, "INVALID_DOCUMENT", f"holds no {key}")
        place, path = place[key], f"{path}.{key}"
    if not isinstance(place, list):
        raise InvalidArgument.of(path, "INVALID_FIELD_TYPE", "is no list")
    return path, place


def _context(shared: Any, event: Any) -> str:
    """What an event's prefixes need beyond the standard context, as JSON text."""
    own = event.get("@context") if isinstance(event, dict) else None
    entries = [*_entries(shared), *_entries(own)]
    return dump(entries) if entries else ""


def _entries(context: Any) -> list[Any]:
    listed = context if isinstance(context, list) else [context]
    return [
        entry
        for entry in listed
        if isinstance(entry, dict)
        or (isinstance(entry, str) and not entry.startswith(STANDARD_CONTEXTS))
    ]


def _wrong(path: str, what: str) -> InvalidArgument:
    return InvalidArgument.of(path, "INVALID_FIELD_TYPE", f"is no {what}")


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, "object")
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "text")
    return _encodable(value, path)


def _encodable(text: str, path: str) -> str:
    """A JSON escape can write half a character, which no protobuf and no store can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgument.of(path, "INVALID_TEXT", "holds half a surrogate pair") from None
    return text


def _texts(value: Any, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(path, "list")
    return tuple(_text(item, f"{path}[{i}]") for i, item in enumerate(value))


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(path, "number")
    return value


def _count(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise _wrong(path, "whole number from 0 to 4294967295")
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false")
    return value


_READERS: Mapping[Kind, Callable[[Any, str], Any]] = {
    Kind.TEXT: _text,
    Kind.OPTIONAL_TEXT: _text,
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
    Kind.COUNT: _count,
    Kind.TEXTS: _texts,
}


class _Object:
    """Reads one JSON object: plain fields by a table, what is left as extensions.

    A known field that is empty is remembered in `empties`, under its path, so that it comes out
    again: to the model an empty text and an absent one are the same.
    """

    def __init__(self, data: dict[str, Any], path: str, inner: str, empties: list[str]) -> None:
        self.data = data
        self.path = path
        self.inner = inner
        self.empties = empties
        self.rest: list[tuple[str, str]] = []

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def plain(
        self, table: Mapping[str, Field], skip: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in self.data.items():
            field = table.get(key)
            if field is not None:
                values[field.name] = _READERS[field.kind](value, self.at(key))
                self.note(key, value, field.kind is Kind.OPTIONAL_TEXT)
            elif key not in skip:
                self.rest.append((_encodable(key, self.path), dump(value)))
        return values

    def note(self, key: str, value: Any, optional: bool = False) -> None:
        if value in ("", [], {}) and not optional:
            self.empties.append(f"{self.inner}{key}")

    def each(self, key: str, read: Callable[[dict[str, Any], str, str], T]) -> tuple[T, ...]:
        value = self.data.get(key)
        if value is None:
            if key in self.data:
                raise _wrong(self.at(key), "list")
            return ()
        if not isinstance(value, list):
            raise _wrong(self.at(key), "list")
        self.note(key, value)
        return tuple(
            read(
                _object(item, f"{self.at(key)}[{i}]"),
                f"{self.at(key)}[{i}]",
                f"{self.inner}{key}.{i}.",
            )
            for i, item in enumerate(value)
        )

    def one(self, key: str, read: Callable[[dict[str, Any], str, str], T]) -> T | None:
        if key not in self.data:
            return None
        value = _object(self.data[key], self.at(key))
        return read(value, self.at(key), f"{self.inner}{key}.")


_RANGES = {
    f"{RANGES_PREFIX}:codeRangeList": "code_ranges",
    f"{RANGES_PREFIX}:inputCodeRangeList": "input_code_ranges",
    f"{RANGES_PREFIX}:outputCodeRangeList": "output_code_ranges",
}
_QUANTITIES = {
    "quantityList": "quantity_list",
    "childQuantityList": "child_quantity_list",
    "inputQuantityList": "input_quantity_list",
    "outputQuantityList": "output_quantity_list",
}
_STRUCTURED = frozenset(
    {
        "type", "action", "certificationInfo", "persistentDisposition", "readPoint", "bizLocation",
        "bizTransactionList", "sourceList", "destinationList", "sensorElementList",
        "errorDeclaration", "ilmd", *_RANGES, *_QUANTITIES,
    }
)  # fmt: skip

# Names that an extension cannot have, by the object that it is in: written as JSON it would take
# the place of the field.
RESERVED: Mapping[str, frozenset[str]] = {
    "event": frozenset({*fields.EVENT, *_STRUCTURED, _CONTEXT, _EMPTY}),
    "location": frozenset(fields.LOCATION),
    "declaration": frozenset(fields.DECLARATION),
    "sensor element": frozenset({"sensorMetadata", "sensorReport"}),
    "sensor metadata": frozenset(fields.SENSOR_METADATA),
    "sensor report": frozenset(fields.SENSOR_REPORT),
}


def _event(data: dict[str, Any], path: str, context: str) -> Event:
    empties: list[str] = []
    item = _Object(data, path, "", empties)
    kind, action = data.get("type"), data.get("action")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InvalidArgument.of(
            item.at("type"), "INVALID_EVENT_TYPE", "is none of the five EPCIS event types"
        )
    if "action" in data and (not isinstance(action, str) or action not in _ACTIONS):
        raise InvalidArgument.of(item.at("action"), "INVALID_ACTION", "is not ADD, OBSERVE, DELETE")
    values = item.plain(fields.EVENT, _STRUCTURED)

    def strict(table: Mapping[str, Field], make: Callable[..., T]) -> Callable[[Any, str, str], T]:
        def read(inner: dict[str, Any], at: str, empty: str) -> T:
            part = _Object(inner, at, empty, empties)
            found = part.plain(table)
            if part.rest:
                raise InvalidArgument.of(
                    f"{at}.{part.rest[0][0]}", "UNKNOWN_FIELD", "EPCIS knows no such field here"
                )
            try:
                return make(**found)
            except TypeError:
                raise InvalidArgument.of(at, "MISSING_FIELD", "lacks what it must hold") from None

        return read

    def open_(table: Mapping[str, Field], make: Callable[..., T]) -> Callable[[Any, str, str], T]:
        def read(inner: dict[str, Any], at: str, empty: str) -> T:
            part = _Object(inner, at, empty, empties)
            found = part.plain(table)
            if not inner:
                empties.append(empty.removesuffix("."))
            try:
                return make(**found, extensions=tuple(part.rest))
            except TypeError:
                raise InvalidArgument.of(at, "MISSING_FIELD", "lacks what it must hold") from None

        return read

    def sensor_element(inner: dict[str, Any], at: str, empty: str) -> SensorElement:
        part = _Object(inner, at, empty, empties)
        part.plain({}, frozenset({"sensorMetadata", "sensorReport"}))
        return SensorElement(
            part.one("sensorMetadata", open_(fields.SENSOR_METADATA, SensorMetadata)),
            part.each("sensorReport", open_(fields.SENSOR_REPORT, SensorReport)),
            tuple(part.rest),
        )

    certificates = data.get("certificationInfo", ())
    is_list = isinstance(certificates, list)
    if is_list:
        certificates = _texts(certificates, item.at("certificationInfo"))
        item.note("certificationInfo", list(certificates))
    elif "certificationInfo" in data:
        certificates = (_text(certificates, item.at("certificationInfo")),)
    ilmd: Extensions = ()
    if "ilmd" in data:
        master = _object(data["ilmd"], item.at("ilmd"))
        item.note("ilmd", master)
        ilmd = tuple(
            (_encodable(key, item.at("ilmd")), dump(value)) for key, value in master.items()
        )
    if "persistentDisposition" in data and data["persistentDisposition"] == {}:
        item.note("persistentDisposition", {})
    for key, name in _QUANTITIES.items():
        if key in data:
            values[name] = item.each(key, strict(fields.QUANTITY, QuantityElement))
    for key, name in _RANGES.items():
        if key in data:
            values[name] = item.each(key, strict(fields.CODE_RANGE, CodeRange))
    return Event(
        type=EventType(kind),
        action=Action(action) if action is not None else None,
        event_time=values.pop("event_time", ""),
        event_time_zone_offset=values.pop("event_time_zone_offset", ""),
        certification_info=certificates,
        certification_info_is_list=is_list,
        persistent_disposition=item.one(
            "persistentDisposition", strict(fields.PERSISTENT, PersistentDisposition)
        ),
        read_point=item.one("readPoint", open_(fields.LOCATION, Location)),
        biz_location=item.one("bizLocation", open_(fields.LOCATION, Location)),
        biz_transaction_list=item.each(
            "bizTransactionList", strict(fields.BIZ_TRANSACTION, BizTransaction)
        ),
        source_list=item.each("sourceList", strict(fields.SOURCE, Source)),
        destination_list=item.each("destinationList", strict(fields.DESTINATION, Destination)),
        sensor_element_list=item.each("sensorElementList", sensor_element),
        error_declaration=item.one("errorDeclaration", open_(fields.DECLARATION, ErrorDeclaration)),
        ilmd=ilmd,
        extensions=tuple(item.rest),
        context=context,
        empty_fields=tuple(empties),
        **values,
    )


def _plain(event: Event) -> dict[str, Any]:
    """The EPCIS JSON of an event, with the fields again that were given empty."""
    data: dict[str, Any] = {"type": event.type.value}
    if event.action is not None:
        data["action"] = event.action.value
    _put(data, event, fields.EVENT)
    if event.certification_info:
        listed = list(event.certification_info)
        one = len(listed) == 1 and not event.certification_info_is_list
        data["certificationInfo"] = listed[0] if one else listed
    for names, table in ((_QUANTITIES, fields.QUANTITY), (_RANGES, fields.CODE_RANGE)):
        for key, name in names.items():
            elements = cast("tuple[object, ...]", getattr(event, name))
            if elements:
                data[key] = [_put({}, element, table) for element in elements]
    for key, listed_values, table in (
        ("bizTransactionList", event.biz_transaction_list, fields.BIZ_TRANSACTION),
        ("sourceList", event.source_list, fields.SOURCE),
        ("destinationList", event.destination_list, fields.DESTINATION),
    ):
        if listed_values:
            data[key] = [_put({}, element, table) for element in listed_values]
    if event.persistent_disposition is not None:
        data["persistentDisposition"] = _put({}, event.persistent_disposition, fields.PERSISTENT)
    for key, location in (("readPoint", event.read_point), ("bizLocation", event.biz_location)):
        if location is not None:
            data[key] = _put({}, location, fields.LOCATION, location.extensions)
    declaration = event.error_declaration
    if declaration is not None:
        data["errorDeclaration"] = _put({}, declaration, fields.DECLARATION, declaration.extensions)
    if event.sensor_element_list:
        data["sensorElementList"] = [_sensor(element) for element in event.sensor_element_list]
    if event.ilmd:
        data["ilmd"] = {name: read_text(text, f"ilmd.{name}") for name, text in event.ilmd}
    for name, text in event.extensions:
        data[name] = read_text(text, f"extensions.{name}")
    for path in event.empty_fields:
        _restore(data, path.split("."))
    return data


def _sensor(element: SensorElement) -> dict[str, Any]:
    data: dict[str, Any] = {}
    metadata = element.sensor_metadata
    if metadata is not None:
        data["sensorMetadata"] = _put({}, metadata, fields.SENSOR_METADATA, metadata.extensions)
    if element.sensor_report:
        data["sensorReport"] = [
            _put({}, report, fields.SENSOR_REPORT, report.extensions)
            for report in element.sensor_report
        ]
    for name, text in element.extensions:
        data[name] = read_text(text, f"extensions.{name}")
    return data


def _put(
    data: dict[str, Any], value: object, table: Mapping[str, Field], extensions: Extensions = ()
) -> dict[str, Any]:
    for key, field in table.items():
        found = getattr(value, field.name)
        if found is None or found == () or (found == "" and field.kind is not Kind.OPTIONAL_TEXT):
            continue
        data[key] = list(found) if field.kind is Kind.TEXTS else found
    for name, text in extensions:
        data[name] = read_text(text, f"extensions.{name}")
    return data


_EMPTY_LISTS = frozenset(
    {
        *_QUANTITIES, *_RANGES, "bizTransactionList", "sourceList", "destinationList",
        "sensorElementList", "sensorReport", "certificationInfo", "set", "unset",
        "correctiveEventIDs", *(k for k, f in fields.EVENT.items() if f.kind is Kind.TEXTS),
    }
)  # fmt: skip
_EMPTY_OBJECTS = frozenset({"ilmd", "persistentDisposition", "sensorMetadata", "errorDeclaration"})


def _restore(data: dict[str, Any], path: list[str]) -> None:
    """Puts an empty field back. A path that leads nowhere restores nothing."""
    place: Any = data
    for key in path[:-1]:
        if isinstance(place, list) and key.isdecimal() and len(key) < 8 and int(key) < len(place):
            place = place[int(key)]
        elif isinstance(place, dict) and key in place:
            place = place[key]
        else:
            return
    name = path[-1]
    if isinstance(place, dict) and name not in place:
        if name in _EMPTY_LISTS:
            place[name] = []
        elif name in _EMPTY_OBJECTS:
            place[name] = {}
        else:
            place[name] = ""
