"""What a call to a private method leaves behind: who asked for what, and what came of it.

Promise: between `async with recorder.call(peer)` and the answer lies the commit of the record. A
call that was served and cannot be recorded is answered with the error of that; one that was
refused gives nothing away and is answered with its refusal, and the log says that a record is
lost. A stream has a record from before its first answer and one of its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from types import TracebackType
from typing import Any, NamedTuple

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from tracechain.app.auditing import Auditing, Call
from tracechain.domain.audit import CANCELLED, OK, STARTED, changed_values
from tracechain.domain.errors import InvalidArgument, NotFound, ResourceExhausted, TracechainError
from tracechain.domain.party import Principal
from tracechain.v1 import annotations_pb2

# A record is read by people: longer texts and lists are with the thing itself.
_MAX_TEXT = 200
_MAX_ITEMS = 10
_MAX_VALUES = 60
# What names nothing, or has a place of its own in the record.
_NO_OBJECTS = frozenset({"request_id", "page_token"})


class Recorder:
    """Records the calls of one method."""

    def __init__(
        self, method: MethodDescriptor, servicer: object | None, auditing: Auditing
    ) -> None:
        """Raises RuntimeError where what shows the thing that the method changes is not there."""
        self.auditing = auditing
        self.method = method.full_name.removeprefix(f"{annotations_pb2.DESCRIPTOR.package}.")
        self.changes = method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
        self.shown = _Shown(method, servicer) if _shown_by(method) else None
        self._named = [
            field.name
            for field in method.input_type.fields
            if field.type == FieldDescriptor.TYPE_STRING
            and not field.is_repeated
            and not _is_secret(field)
            and field.name not in _NO_OBJECTS
        ]
        self._has_request_id = "request_id" in method.input_type.fields_by_name

    def call(self, peer: str) -> Recording:
        """One call, from an address."""
        return Recording(self, peer)

    def objects(self, request: Any) -> dict[str, str]:
        """What a request names."""
        found = ((name, getattr(request, name)) for name in self._named)
        return {name: _short(value) for name, value in found if value}

    def request_id(self, request: Any) -> str:
        """Its id, where it has one."""
        return _short(request.request_id) if self._has_request_id else ""


class Recording:
    """The record of one call while it is served; whoever serves it tells it what it learns."""

    __slots__ = ("_answers", "_before", "_peer", "_recorder", "answer", "principal", "request")

    def __init__(self, recorder: Recorder, peer: str) -> None:
        self._recorder = recorder
        self._peer = peer
        self._before: Message | None = None
        self._answers: int | None = None
        self.principal: Principal | None = None
        self.request: Message | None = None
        self.answer: Message | None = None

    async def look(self, principal: Principal) -> None:
        """Remembers the thing that is going to be changed, as its caller may see it."""
        shown = self._recorder.shown
        if shown is not None:
            self._before = await shown.look(self.request, principal)

    async def started(self) -> None:
        """Records that a stream was let in. Raises Unavailable and ResourceExhausted."""
        self._answers = 0
        await self._recorder.auditing.record(self._call(), STARTED)

    def answered(self) -> None:
        """Counts an answer of a stream."""
        assert self._answers is not None
        self._answers += 1

    async def __aenter__(self) -> Recording:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        auditing = self._recorder.auditing
        if error is None:
            await auditing.record(self._call(), OK, *self._changed())
        elif self.principal is None or isinstance(error, ResourceExhausted):
            auditing.turned_away(self._call(), _outcome(error))
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            auditing.left(self._call(), CANCELLED, self._asked())
        else:
            await auditing.refused(self._call(), _outcome(error), self._asked())

    def _call(self) -> Call:
        recorder, request = self._recorder, self.request
        return Call(
            recorder.method,
            self._peer,
            self.principal,
            {} if request is None else recorder.objects(request),
            "" if request is None else recorder.request_id(request),
        )

    def _changed(self) -> tuple[dict[str, str], dict[str, str]]:
        if self._answers is not None:
            return {}, {"answers": str(self._answers)}
        if not self._recorder.changes or self.answer is None:
            return {}, {}
        if self._before is None:
            return {}, values_of(self.answer)
        return changed_values(values_of(self._before), values_of(self.answer))

    def _asked(self) -> dict[str, str]:
        if self._answers is not None:
            return {"answers": str(self._answers)}
        if not self._recorder.changes or self.request is None:
            return {}
        return values_of(self.request)


class _Shown:
    """How a thing that is going to be changed is looked at: by the method that shows it."""

    def __init__(self, method: MethodDescriptor, servicer: object | None) -> None:
        name = _shown_by(method)
        assert method.containing_service is not None
        by = method.containing_service.methods_by_name.get(name)
        call = getattr(servicer, name, None)
        if by is None or call is None or "name" not in method.input_type.fields_by_name:
            raise RuntimeError(f"{method.full_name} is shown by {name}, which there is not")
        self._call: Callable[..., Any] = call
        self._request = GetMessageClass(by.input_type)
        self._is_list = "parent" in by.input_type.fields_by_name
        self._items = next((f.name for f in by.output_type.fields if f.is_repeated), "")

    async def look(self, request: Any, principal: Principal) -> Message | None:
        """The thing; None where there is none, which the method itself will say."""
        try:
            if not self._is_list:
                found: Message = await self._call(self._request(name=request.name), principal)
                return found
            parent = request.name.rsplit("/", 2)[0]
            listed = await self._call(self._request(parent=parent), principal)
        except (InvalidArgument, NotFound):
            return None
        return next((i for i in getattr(listed, self._items) if i.name == request.name), None)


def _shown_by(method: MethodDescriptor) -> str:
    name: str = method.GetOptions().Extensions[annotations_pb2.shown_by]
    return name


def _outcome(error: BaseException) -> str:
    return error.reason if isinstance(error, TracechainError) else "INTERNAL"


def values_of(message: Message) -> dict[str, str]:
    """The fields of a message that are set and not secret, as short texts by their paths. Of a
    list that is longer than a person reads its length, as `path.count`."""
    found: dict[str, str] = {}
    _collect(message, "", found)
    return found


def _collect(message: Message, prefix: str, found: dict[str, str]) -> None:
    for field, value in message.ListFields():
        if len(found) >= _MAX_VALUES:
            return
        shape = _shape(field)
        if shape.is_secret:
            continue
        path = prefix + shape.name
        if not shape.is_repeated:
            shape.put(value, path, found)
        elif shape.is_map or len(value) > _MAX_ITEMS:
            found[f"{path}.count"] = str(len(value))
        else:
            for number, item in enumerate(value):
                shape.put(item, f"{path}[{number}]", found)


class _Shape(NamedTuple):
    """What is done with the values of a field: found out once, since every record asks."""

    name: str
    is_secret: bool
    is_repeated: bool
    is_map: bool
    put: Callable[[Any, str, dict[str, str]], None]


@cache
def _shape(field: FieldDescriptor) -> _Shape:
    put: Callable[[Any, str, dict[str, str]], None] = _put_text
    if field.message_type is not None:
        is_time = field.message_type.full_name == "google.protobuf.Timestamp"
        put = _put_time if is_time else _put_message
    elif field.enum_type is not None:
        put = partial(_put_member, field.enum_type)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        put = _put_bytes
    return _Shape(field.name, _is_secret(field), field.is_repeated, _is_map(field), put)


def _put_text(value: Any, path: str, found: dict[str, str]) -> None:
    found[path] = _short(str(value))


def _put_bytes(value: bytes, path: str, found: dict[str, str]) -> None:
    found[path] = value[: _MAX_TEXT // 2].hex()


def _put_time(value: Timestamp, path: str, found: dict[str, str]) -> None:
    found[path] = _time(value)


def _put_message(value: Message, path: str, found: dict[str, str]) -> None:
    _collect(value, f"{path}.", found)


def _put_member(of: EnumDescriptor, value: int, path: str, found: dict[str, str]) -> None:
    member = of.values_by_number.get(value)
    found[path] = member.name if member is not None else str(value)


def _time(value: Timestamp) -> str:
    try:
        return value.ToJsonString()
    except ValueError:
        # A refused request may hold what is no time.
        return f"{value.seconds}.{value.nanos:09}"


def _short(text: str) -> str:
    # Not every store can hold U+0000.
    return text[:_MAX_TEXT].replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_secret(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[annotations_pb2.secret])
