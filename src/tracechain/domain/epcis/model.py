"""An EPCIS 2.0 event, field by field (EPCIS 2.0 section 7).

Everything is kept as it was given: times and URIs as text, user extensions as JSON text under
their qualified names. Names are those of protos/tracechain/v1/event.proto. Empty text and empty
tuples mean "not given"; `empty_fields` names what was given and is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# (qualified name, JSON text of the value), in the order in which they were given.
Extensions = tuple[tuple[str, str], ...]


class EventType(StrEnum):
    """The five event types, as EPCIS spells them."""

    OBJECT = "ObjectEvent"
    AGGREGATION = "AggregationEvent"
    ASSOCIATION = "AssociationEvent"
    TRANSACTION = "TransactionEvent"
    TRANSFORMATION = "TransformationEvent"


class Action(StrEnum):
    """What an event does to the thing that it is about."""

    ADD = "ADD"
    OBSERVE = "OBSERVE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class QuantityElement:
    """An amount of a class; `quantity` is None where it is not told, `uom` empty for pieces."""

    epc_class: str
    quantity: float | None = None
    uom: str = ""


@dataclass(frozen=True, slots=True)
class CodeRange:
    """Units of a batch that is registered here: `count` of them from `first_index` on."""

    epc_class: str
    first_index: int
    count: int


@dataclass(frozen=True, slots=True)
class Location:
    """A read point or a business location."""

    id: str
    extensions: Extensions = ()


@dataclass(frozen=True, slots=True)
class BizTransaction:
    """A business transaction; `type` may be empty."""

    biz_transaction: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where things come from."""

    type: str
    source: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Where things go."""

    type: str
    destination: str


@dataclass(frozen=True, slots=True)
class PersistentDisposition:
    """Dispositions that begin (`set`) and end (`unset`) to hold."""

    set: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorDeclaration:
    """That an event was wrong."""

    declaration_time: str
    reason: str = ""
    corrective_event_ids: tuple[str, ...] = ()
    extensions: Extensions = ()


@dataclass(frozen=True, slots=True)
class SensorMetadata:
    """How the reports of a sensor element were made."""

    time: str = ""
    start_time: str = ""
    end_time: str = ""
    device_id: str = ""
    device_metadata: str = ""
    raw_data: str = ""
    data_processing_method: str = ""
    biz_rules: str = ""
    extensions: Extensions = ()


@dataclass(frozen=True, slots=True)
class SensorReport:
    """One measurement; numbers in `uom`."""

    type: str = ""
    exception: str = ""
    device_id: str = ""
    device_metadata: str = ""
    raw_data: str = ""
    data_processing_method: str = ""
    time: str = ""
    microorganism: str = ""
    chemical_substance: str = ""
    value: float | None = None
    component: str = ""
    string_value: str | None = None
    boolean_value: bool | None = None
    hex_binary_value: str = ""
    uri_value: str = ""
    min_value: float | None = None
    max_value: float | None = None
    mean_value: float | None = None
    s_dev: float | None = None
    perc_rank: float | None = None
    perc_value: float | None = None
    uom: str = ""
    coordinate_reference_system: str = ""
    extensions: Extensions = ()


@dataclass(frozen=True, slots=True)
class SensorElement:
    """Measurements that belong together."""

    sensor_metadata: SensorMetadata | None = None
    sensor_report: tuple[SensorReport, ...] = ()
    extensions: Extensions = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `context` is the JSON text of the JSON-LD context that its prefixes need."""

    type: EventType
    event_time: str
    event_time_zone_offset: str
    record_time: str = ""
    event_id: str = ""
    certification_info: tuple[str, ...] = ()
    certification_info_is_list: bool = False
    action: Action | None = None
    epc_list: tuple[str, ...] = ()
    quantity_list: tuple[QuantityElement, ...] = ()
    parent_id: str = ""
    child_epcs: tuple[str, ...] = ()
    child_quantity_list: tuple[QuantityElement, ...] = ()
    input_epc_list: tuple[str, ...] = ()
    input_quantity_list: tuple[QuantityElement, ...] = ()
    output_epc_list: tuple[str, ...] = ()
    output_quantity_list: tuple[QuantityElement, ...] = ()
    transformation_id: str = ""
    biz_step: str = ""
    disposition: str = ""
    persistent_disposition: PersistentDisposition | None = None
    read_point: Location | None = None
    biz_location: Location | None = None
    biz_transaction_list: tuple[BizTransaction, ...] = ()
    source_list: tuple[Source, ...] = ()
    destination_list: tuple[Destination, ...] = ()
    sensor_element_list: tuple[SensorElement, ...] = ()
    error_declaration: ErrorDeclaration | None = None
    ilmd: Extensions = ()
    code_ranges: tuple[CodeRange, ...] = ()
    input_code_ranges: tuple[CodeRange, ...] = ()
    output_code_ranges: tuple[CodeRange, ...] = ()
    extensions: Extensions = ()
    context: str = ""
    empty_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its events, and the JSON text of everything else (an empty event list in its
    place)."""

    header: str
    events: tuple[Event, ...]
