"""EPCIS events: messages to the model and back, field by field, exact both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracechain.domain.epcis import model
from tracechain.domain.errors import InvalidArgument
from tracechain.rpc import convert
from tracechain.v1 import event_pb2 as pb

_TYPES = {
    model.EventType.OBJECT: pb.EVENT_TYPE_OBJECT,
    model.EventType.AGGREGATION: pb.EVENT_TYPE_AGGREGATION,
    model.EventType.ASSOCIATION: pb.EVENT_TYPE_ASSOCIATION,
    model.EventType.TRANSACTION: pb.EVENT_TYPE_TRANSACTION,
    model.EventType.TRANSFORMATION: pb.EVENT_TYPE_TRANSFORMATION,
}
_KINDS = {number: kind for kind, number in _TYPES.items()}

# Fields that have the same name and form on both sides.
_TEXTS = (
    "event_time",
    "event_time_zone_offset",
    "record_time",
    "event_id",
    "certification_info_is_list",
    "parent_id",
    "transformation_id",
    "biz_step",
    "disposition",
    "context",
)
_LISTS = (
    "certification_info",
    "epc_list",
    "child_epcs",
    "input_epc_list",
    "output_epc_list",
    "empty_fields",
)
_QUANTITIES = (
    "quantity_list",
    "child_quantity_list",
    "input_quantity_list",
    "output_quantity_list",
)
_RANGES = ("code_ranges", "input_code_ranges", "output_code_ranges")
_METADATA = (
    "time",
    "start_time",
    "end_time",
    "device_id",
    "device_metadata",
    "raw_data",
    "data_processing_method",
    "biz_rules",
)
_REPORT = (
    "type",
    "exception",
    "device_id",
    "device_metadata",
    "raw_data",
    "data_processing_method",
    "time",
    "microorganism",
    "chemical_substance",
    "component",
    "hex_binary_value",
    "uri_value",
    "uom",
    "coordinate_reference_system",
)
_REPORT_OPTIONAL = (
    "value",
    "string_value",
    "boolean_value",
    "min_value",
    "max_value",
    "mean_value",
    "s_dev",
    "perc_rank",
    "perc_value",
)


def event(value: model.Event) -> pb.Event:
    """The message of an event."""
    message = pb.Event(type=_TYPES[value.type])
    if value.action is not None:
        message.action = convert.number(pb.Action, value.action)  # type: ignore[assignment]
    for name in _TEXTS:
        setattr(message, name, getattr(value, name))
    for name in _LISTS:
        getattr(message, name).extend(getattr(value, name))
    for name in _QUANTITIES:
        for element in getattr(value, name):
            getattr(message, name).add(
                epc_class=element.epc_class, quantity=element.quantity, uom=element.uom
            )
    for name in _RANGES:
        for item in getattr(value, name):
            getattr(message, name).add(
                epc_class=item.epc_class, first_index=item.first_index, count=item.count
            )
    persistent = value.persistent_disposition
    if persistent is not None:
        message.persistent_disposition.SetInParent()
        message.persistent_disposition.set.extend(persistent.set)
        message.persistent_disposition.unset.extend(persistent.unset)
    for name in ("read_point", "biz_location"):
        location = getattr(value, name)
        if location is not None:
            place = getattr(message, name)
            place.SetInParent()
            place.id = location.id
            place.extensions.update(location.extensions)
    for transaction in value.biz_transaction_list:
        message.biz_transaction_list.add(
            type=transaction.type, biz_transaction=transaction.biz_transaction
        )
    for source in value.source_list:
        message.source_list.add(type=source.type, source=source.source)
    for destination in value.destination_list:
        message.destination_list.add(type=destination.type, destination=destination.destination)
    for sensor in value.sensor_element_list:
        _sensor(sensor, message.sensor_element_list.add())
    declaration = value.error_declaration
    if declaration is not None:
        message.error_declaration.SetInParent()
        message.error_declaration.declaration_time = declaration.declaration_time
        message.error_declaration.reason = declaration.reason
        message.error_declaration.corrective_event_ids.extend(declaration.corrective_event_ids)
        message.error_declaration.extensions.update(declaration.extensions)
    message.ilmd.update(value.ilmd)
    message.extensions.update(value.extensions)
    return message


def _sensor(value: model.SensorElement, message: pb.SensorElement) -> None:
    metadata = value.sensor_metadata
    if metadata is not None:
        message.sensor_metadata.SetInParent()
        for name in _METADATA:
            setattr(message.sensor_metadata, name, getattr(metadata, name))
        message.sensor_metadata.extensions.update(metadata.extensions)
    for report in value.sensor_report:
        made = message.sensor_report.add()
        for name in _REPORT:
            setattr(made, name, getattr(report, name))
        for name in _REPORT_OPTIONAL:
            if (found := getattr(report, name)) is not None:
                setattr(made, name, found)
        made.extensions.update(report.extensions)
    message.extensions.update(value.extensions)


def read_event(message: pb.Event) -> model.Event:
    """The event of a message. Raises InvalidArgument INVALID_EVENT_TYPE, INVALID_ENUM_VALUE."""
    values: dict[str, Any] = {"type": None, "event_time": "", "event_time_zone_offset": ""}
    # Fields that are set, and no others: of more than thirty an event has about ten.
    for field, given in message.ListFields():
        values[field.name] = _READERS[field.name](given)
    if values["type"] is None:
        raise InvalidArgument.of("type", "INVALID_EVENT_TYPE", "is none of the five event types")
    return model.Event(**values)


def _read_sensor(message: pb.SensorElement) -> model.SensorElement:
    metadata = None
    if message.HasField("sensor_metadata"):
        given = message.sensor_metadata
        metadata = model.SensorMetadata(
            **{name: getattr(given, name) for name in _METADATA},
            extensions=_extensions(given.extensions),
        )
    reports = []
    for item in message.sensor_report:
        values: dict[str, Any] = {name: getattr(item, name) for name in _REPORT}
        for name in _REPORT_OPTIONAL:
            if item.HasField(name):  # type: ignore[arg-type]
                values[name] = getattr(item, name)
        reports.append(model.SensorReport(**values, extensions=_extensions(item.extensions)))
    return model.SensorElement(metadata, tuple(reports), _extensions(message.extensions))


def _extensions(given: Mapping[str, str]) -> model.Extensions:
    # A map has no order of its own; a sorted one is the same on every node.
    return tuple(sorted(given.items()))


def _same(given: Any) -> Any:
    return given


def _quantities(given: Sequence[pb.QuantityElement]) -> tuple[model.QuantityElement, ...]:
    return tuple(
        model.QuantityElement(
            item.epc_class, item.quantity if item.HasField("quantity") else None, item.uom
        )
        for item in given
    )


def _ranges(given: Sequence[pb.CodeRange]) -> tuple[model.CodeRange, ...]:
    return tuple(model.CodeRange(item.epc_class, item.first_index, item.count) for item in given)


def _place(given: pb.Location) -> model.Location:
    return model.Location(given.id, _extensions(given.extensions))


def _declaration(given: pb.ErrorDeclaration) -> model.ErrorDeclaration:
    return model.ErrorDeclaration(
        given.declaration_time,
        given.reason,
        tuple(given.corrective_event_ids),
        _extensions(given.extensions),
    )


# How each field of an event is read; a test keeps this whole.
_READERS: dict[str, Callable[[Any], Any]] = {
    "type": _KINDS.get,
    "action": lambda given: convert.member(model.Action, pb.Action, given, "action"),
    **dict.fromkeys(_TEXTS, _same),
    **dict.fromkeys(_LISTS, tuple),
    **dict.fromkeys(_QUANTITIES, _quantities),
    **dict.fromkeys(_RANGES, _ranges),
    "persistent_disposition": lambda given: model.PersistentDisposition(
        tuple(given.set), tuple(given.unset)
    ),
    **dict.fromkeys(("read_point", "biz_location"), _place),
    "biz_transaction_list": lambda given: tuple(
        model.BizTransaction(item.biz_transaction, item.type) for item in given
    ),
    "source_list": lambda given: tuple(model.Source(item.type, item.source) for item in given),
    "destination_list": lambda given: tuple(
        model.Destination(item.type, item.destination) for item in given
    ),
    "sensor_element_list": lambda given: tuple(_read_sensor(item) for item in given),
    "error_declaration": _declaration,
    "ilmd": _extensions,
    "extensions": _extensions,
}
