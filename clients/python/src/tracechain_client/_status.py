"""Reads google.rpc.Status from the trailer `grpc-status-details-bin`.

Promises not to register google/rpc/*.proto: two packages that bring those files into one process
clash in the default descriptor pool, so the few messages that are read live in a pool of their
own, under names of their own, with the field numbers of the originals (google/rpc/status.proto,
google/rpc/error_details.proto, google/protobuf/any.proto and duration.proto). Details that cannot
be read are left out: they may never hide the status itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PACKAGE = "tracechain_client.private"
_TYPES = {
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}
# message: its fields as "name number type", * for repeated. A map is its entries on the wire.
_SCHEMA = {
    "Status": ("code 1 int32", "message 2 string", "details 3 *Any"),
    "Any": ("type_url 1 string", "value 2 bytes"),
    "ErrorInfo": ("reason 1 string", "domain 2 string", "metadata 3 *Entry"),
    "Entry": ("key 1 string", "value 2 string"),
    "BadRequest": ("field_violations 1 *FieldViolation",),
    "FieldViolation": ("field 1 string", "description 2 string", "reason 3 string"),
    "RetryInfo": ("retry_delay 1 Duration",),
    "Duration": ("seconds 1 int64", "nanos 2 int32"),
}


def _message_types() -> dict[str, Any]:
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tracechain_client/private/status.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for text in fields:
            field, number, kind = text.split()
            many, kind = kind.startswith("*"), kind.lstrip("*")
            scalar = _TYPES.get(kind)
            message.field.add(
                name=field,
                number=int(number),
                label=field_type.LABEL_REPEATED if many else field_type.LABEL_OPTIONAL,
                type=field_type.TYPE_MESSAGE if scalar is None else scalar,
                type_name=None if scalar else f".{_PACKAGE}.{kind}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _SCHEMA
    }


_MESSAGES = _message_types()


@dataclass(frozen=True, slots=True)
class StatusDetails:
    """The details of a status that this client knows; None or empty where there are none."""

    info: Any = None
    violations: tuple[Any, ...] = ()
    retry_after: float | None = None


def read_status(raw: bytes, code: int) -> StatusDetails:
    """The details in `raw`; none where it is no google.rpc.Status of this status code."""
    try:
        status = _MESSAGES["Status"].FromString(raw)
        details = [(d.type_url.rpartition("/")[2], d.value) for d in status.details]
        info = _first(details, "ErrorInfo")
        bad, retry = _first(details, "BadRequest"), _first(details, "RetryInfo")
    except DecodeError:
        return StatusDetails()
    if status.code != code:
        return StatusDetails()
    delay = retry.retry_delay if retry is not None else None
    return StatusDetails(
        info,
        tuple(bad.field_violations) if bad is not None else (),
        max(0.0, delay.seconds + delay.nanos / 1e9) if delay is not None else None,
    )


def _first(details: list[tuple[str, bytes]], name: str) -> Any:
    for kind, value in details:
        if kind == f"google.rpc.{name}":
            return _MESSAGES[name].FromString(value)
    return None
