"""Which JSON name stands for which field of the model, and what kind of value it has.

One table drives reading and writing, so that the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of values."""

    TEXT = "text"
    OPTIONAL_TEXT = "optional text"
    NUMBER = "number"
    FLAG = "flag"
    COUNT = "count"
    TEXTS = "texts"


@dataclass(frozen=True, slots=True)
class Field:
    """A plain field: its name in the model and its kind."""

    name: str
    kind: Kind


def _texts(*names: tuple[str, str]) -> dict[str, Field]:
    return {json_name: Field(name, Kind.TEXT) for json_name, name in names}


def _numbers(*names: tuple[str, str]) -> dict[str, Field]:
    return {json_name: Field(name, Kind.NUMBER) for json_name, name in names}


EVENT: Mapping[str, Field] = {
    **_texts(
        ("eventTime", "event_time"),
        ("eventTimeZoneOffset", "event_time_zone_offset"),
        ("recordTime", "record_time"),
        ("eventID", "event_id"),
        ("parentID", "parent_id"),
        ("transformationID", "transformation_id"),
        ("bizStep", "biz_step"),
        ("disposition", "disposition"),
    ),
    **{
        json_name: Field(name, Kind.TEXTS)
        for json_name, name in (
            ("epcList", "epc_list"),
            ("childEPCs", "child_epcs"),
            ("inputEPCList", "input_epc_list"),
            ("outputEPCList", "output_epc_list"),
        )
    },
}
QUANTITY: Mapping[str, Field] = {
    "epcClass": Field("epc_class", Kind.TEXT),
    "quantity": Field("quantity", Kind.NUMBER),
    "uom": Field("uom", Kind.TEXT),
}
CODE_RANGE: Mapping[str, Field] = {
    "epcClass": Field("epc_class", Kind.TEXT),
    "firstIndex": Field("first_index", Kind.COUNT),
    "count": Field("count", Kind.COUNT),
}
LOCATION: Mapping[str, Field] = {"id": Field("id", Kind.TEXT)}
BIZ_TRANSACTION = _texts(("type", "type"), ("bizTransaction", "biz_transaction"))
SOURCE = _texts(("type", "type"), ("source", "source"))
DESTINATION = _texts(("type", "type"), ("destination", "destination"))
PERSISTENT: Mapping[str, Field] = {
    "set": Field("set", Kind.TEXTS),
    "unset": Field("unset", Kind.TEXTS),
}
DECLARATION: Mapping[str, Field] = {
    **_texts(("declarationTime", "declaration_time"), ("reason", "reason")),
    "correctiveEventIDs": Field("corrective_event_ids", Kind.TEXTS),
}
SENSOR_METADATA = _texts(
    ("time", "time"),
    ("startTime", "start_time"),
    ("endTime", "end_time"),
    ("deviceID", "device_id"),
    ("deviceMetadata", "device_metadata"),
    ("rawData", "raw_data"),
    ("dataProcessingMethod", "data_processing_method"),
    ("bizRules", "biz_rules"),
)
SENSOR_REPORT: Mapping[str, Field] = {
    **_texts(
        ("type", "type"),
        ("exception", "exception"),
        ("deviceID", "device_id"),
        ("deviceMetadata", "device_metadata"),
        ("rawData", "raw_data"),
        ("dataProcessingMethod", "data_processing_method"),
        ("time", "time"),
        ("microorganism", "microorganism"),
        ("chemicalSubstance", "chemical_substance"),
        ("component", "component"),
        ("hexBinaryValue", "hex_binary_value"),
        ("uriValue", "uri_value"),
        ("uom", "uom"),
        ("coordinateReferenceSystem", "coordinate_reference_system"),
    ),
    **_numbers(
        ("value", "value"),
        ("minValue", "min_value"),
        ("maxValue", "max_value"),
        ("meanValue", "mean_value"),
        ("sDev", "s_dev"),
        ("percRank", "perc_rank"),
        ("percValue", "perc_value"),
    ),
    "stringValue": Field("string_value", Kind.OPTIONAL_TEXT),
    "booleanValue": Field("boolean_value", Kind.FLAG),
}
