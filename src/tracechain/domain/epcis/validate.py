"""The rules of EPCIS 2.0 for one event (sections 7.3 and 7.4), all violations at once.

Field paths are those of protos/tracechain/v1/event.proto.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tracechain.domain.epcis.jsonld import RESERVED
from tracechain.domain.epcis.model import (
    Action,
    Event,
    EventType,
    Extensions,
    QuantityElement,
    SensorReport,
)
from tracechain.domain.epcis.reader import read_text
from tracechain.domain.epcis.times import is_offset, parse_time
from tracechain.domain.errors import InvalidArgument, Violation
from tracechain.domain.identifiers import Epc, parse_epc

# Which of the lists that name things each type of event has.
_LISTS: dict[EventType, frozenset[str]] = {
    EventType.OBJECT: frozenset({"epc_list", "quantity_list", "code_ranges", "ilmd"}),
    EventType.AGGREGATION: frozenset(
        {"parent_id", "child_epcs", "child_quantity_list", "code_ranges"}
    ),
    EventType.ASSOCIATION: frozenset(
        {"parent_id", "child_epcs", "child_quantity_list", "code_ranges"}
    ),
    EventType.TRANSACTION: frozenset({"parent_id", "epc_list", "quantity_list", "code_ranges"}),
    EventType.TRANSFORMATION: frozenset(
        {
            "input_epc_list",
            "input_quantity_list",
            "input_code_ranges",
            "output_epc_list",
            "output_quantity_list",
            "output_code_ranges",
            "transformation_id",
            "ilmd",
        }
    ),
}
_ALL_LISTS: frozenset[str] = frozenset().union(*_LISTS.values())
_FOREIGN = {kind: tuple(sorted(_ALL_LISTS - own)) for kind, own in _LISTS.items()}
_EPC_LISTS = ("epc_list", "child_epcs", "input_epc_list", "output_epc_list")
_QUANTITY_LISTS = (
    "quantity_list",
    "child_quantity_list",
    "input_quantity_list",
    "output_quantity_list",
)
_NUMBERS = ("value", "min_value", "max_value", "mean_value", "s_dev", "perc_rank", "perc_value")
_MAX_TEXT = 4096
# What is kept beside each of the ten thousand things that an event may name.
_MAX_SHORT = 512


def checked(event: Event) -> tuple[list[Violation], dict[str, Epc]]:
    """All violations of an event, and its identifiers as they were parsed on the way."""
    check = _Check()
    check.when(event)
    check.what(event)
    check.rest(event)
    return check.violations, check.parsed


class _Check:
    """Collects violations and parsed identifiers of one event."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.parsed: dict[str, Epc] = {}

    def say(self, field: str, reason: str, description: str) -> None:
        self.violations.append(Violation(field, reason, description))

    def when(self, event: Event) -> None:
        if not event.event_time:
            self.say("event_time", "MISSING_FIELD", "is required")
        else:
            self.time(event.event_time, "event_time")
        if not is_offset(event.event_time_zone_offset):
            self.say(
                "event_time_zone_offset", "INVALID_TIME_ZONE_OFFSET", "is no offset such as +08:00"
            )
        if event.record_time:
            self.time(event.record_time, "record_time")

    def time(self, text: str, field: str) -> None:
        try:
            parse_time(text, field)
        except InvalidArgument as error:
            self.violations.extend(error.violations)

    def what(self, event: Event) -> None:
        for name in _FOREIGN[event.type]:
            if getattr(event, name):
                self.say(name, "FIELD_NOT_ALLOWED", f"is no field of {event.type}")
        if event.type is EventType.TRANSFORMATION:
            if event.action is not None:
                self.say("action", "FIELD_NOT_ALLOWED", "a transformation has no action")
        elif event.action is None:
            self.say("action", "MISSING_ACTION", "ADD, OBSERVE or DELETE is required")
        if event.parent_id:
            self.short(event.parent_id, "parent_id")
            self.epc(event.parent_id, "parent_id")
        elif event.type in (EventType.AGGREGATION, EventType.ASSOCIATION) and (
            event.action is not Action.OBSERVE
        ):
            self.say("parent_id", "MISSING_PARENT", "is required to add or delete")
        if event.type is EventType.TRANSACTION and not event.biz_transaction_list:
            self.say("biz_transaction_list", "MISSING_BIZ_TRANSACTION", "names none")
        for name in _EPC_LISTS:
            for i, uri in enumerate(getattr(event, name)):
                self.epc(uri, f"{name}[{i}]")
        for name in _QUANTITY_LISTS:
            self.quantities(getattr(event, name), name)

    def epc(self, uri: str, field: str) -> None:
        if uri in self.parsed:
            return
        if len(uri) > _MAX_TEXT:
            self.say(field, "TEXT_TOO_LONG", f"at most {_MAX_TEXT} characters are taken")
            return
        try:
            self.parsed[uri] = parse_epc(uri, field)
        except InvalidArgument as error:
            self.violations.extend(error.violations)

    def quantities(self, elements: Sequence[QuantityElement], name: str) -> None:
        for i, element in enumerate(elements):
            self.epc(element.epc_class, f"{name}[{i}].epc_class")
            quantity = element.quantity
            if quantity is not None and not (math.isfinite(quantity) and quantity >= 0):
                self.say(f"{name}[{i}].quantity", "INVALID_QUANTITY", "must be 0 or more")

    def rest(self, event: Event) -> None:
        self.short(event.biz_step, "biz_step")
        self.short(event.disposition, "disposition")
        for name, location in (
            ("read_point", event.read_point),
            ("biz_location", event.biz_location),
        ):
            if location is not None:
                if not location.id:
                    self.say(f"{name}.id", "MISSING_FIELD", "is required")
                self.short(location.id, f"{name}.id")
                self.extensions(location.extensions, f"{name}.extensions", "location")
        for i, transaction in enumerate(event.biz_transaction_list):
            if not transaction.biz_transaction:
                self.say(
                    f"biz_transaction_list[{i}].biz_transaction", "MISSING_FIELD", "is required"
                )
        for i, source in enumerate(event.source_list):
            if not source.type or not source.source:
                self.say(f"source_list[{i}]", "MISSING_FIELD", "type and source are required")
            self.short(source.source, f"source_list[{i}].source")
        for i, destination in enumerate(event.destination_list):
            if not destination.type or not destination.destination:
                self.say(
                    f"destination_list[{i}]", "MISSING_FIELD", "type and destination are required"
                )
            self.short(destination.destination, f"destination_list[{i}].destination")
        declaration = event.error_declaration
        if declaration is not None:
            self.time(declaration.declaration_time, "error_declaration.declaration_time")
            self.extensions(declaration.extensions, "error_declaration.extensions", "declaration")
        for i, element in enumerate(event.sensor_element_list):
            at = f"sensor_element_list[{i}]"
            self.extensions(element.extensions, f"{at}.extensions", "sensor element")
            metadata = element.sensor_metadata
            if metadata is not None:
                for name in ("time", "start_time", "end_time"):
                    if text := getattr(metadata, name):
                        self.time(text, f"{at}.sensor_metadata.{name}")
                self.extensions(
                    metadata.extensions, f"{at}.sensor_metadata.extensions", "sensor metadata"
                )
            for k, report in enumerate(element.sensor_report):
                self.report(report, f"{at}.sensor_report[{k}]")
        self.extensions(event.ilmd, "ilmd")
        self.extensions(event.extensions, "extensions", "event")
        if event.context:
            self.json_text(event.context, "context")

    def short(self, text: str, field: str) -> None:
        """What is kept as text beside the event's JSON, where U+0000 cannot be written."""
        if "\x00" in text:
            self.say(field, "INVALID_TEXT", "holds U+0000")
        if len(text) > _MAX_SHORT:
            self.say(field, "TEXT_TOO_LONG", f"at most {_MAX_SHORT} characters are taken")

    def report(self, report: SensorReport, at: str) -> None:
        for name in _NUMBERS:
            number = getattr(report, name)
            if number is not None and not math.isfinite(number):
                self.say(f"{at}.{name}", "INVALID_NUMBER", "is no number")
        if report.time:
            self.time(report.time, f"{at}.time")
        self.extensions(report.extensions, f"{at}.extensions", "sensor report")

    def extensions(self, extensions: Extensions, field: str, place: str = "") -> None:
        reserved = RESERVED.get(place, frozenset())
        for name, text in extensions:
            if name in reserved:
                self.say(f"{field}[{name}]", "FIELD_NOT_ALLOWED", "is a field of EPCIS itself")
            self.json_text(text, f"{field}[{name}]")

    def json_text(self, text: str, field: str) -> None:
        try:
            read_text(text, field)
        except InvalidArgument as error:
            self.violations.extend(error.violations)
