"""Which required fields a request lacks: `option (required)` of the protos, read once a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor

from tracechain.domain.errors import Violation
from tracechain.v1 import annotations_pb2


def missing_fields(
    message: Descriptor, seen: tuple[str, ...] = ()
) -> Callable[[Any], Sequence[Violation]] | None:
    """A check that every field marked `required` is there, also in messages within messages.
    None where nothing is required. `seen` names the messages that this one is inside of."""
    if message.full_name in seen:
        return None
    own: list[tuple[str, bool]] = []
    inner: list[tuple[str, bool, Callable[[Any], Sequence[Violation]]]] = []
    for field in message.fields:
        single_message = field.message_type is not None and not field.is_repeated
        if field.GetOptions().Extensions[annotations_pb2.required]:
            own.append((field.name, single_message))
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            check = missing_fields(field.message_type, (*seen, message.full_name))
            if check is not None:
                inner.append((field.name, field.is_repeated, check))
    if not own and not inner:
        return None

    def missing(value: Any) -> Sequence[Violation]:
        found: list[Violation] = []
        for name, is_message in own:
            if not (value.HasField(name) if is_message else getattr(value, name)):
                found.append(Violation(name, "MISSING_FIELD", "is required"))
        for name, repeated, check in inner:
            if repeated:
                for i, item in enumerate(getattr(value, name)):
                    found += _below(f"{name}[{i}]", check(item))
            elif value.HasField(name):
                found += _below(name, check(getattr(value, name)))
        return found

    return missing


def _below(prefix: str, violations: Sequence[Violation]) -> Sequence[Violation]:
    return [Violation(f"{prefix}.{v.field}", v.reason, v.description) for v in violations]
