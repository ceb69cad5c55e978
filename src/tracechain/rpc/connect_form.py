"""The two forms in which the Connect protocol carries messages, each with its limit.

The library reads a request before anything of ours runs. Here it gets bytes that are only wrapped:
a request is read once its caller is known, where its errors are ours and where a large one can be
read beside the event loop. JSON is protobuf's JSON mapping, read strictly: a misspelt field that
was quietly ignored would be a recall of the whole batch where a range was meant.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from tracechain.domain.epcis.reader import read_json
from tracechain.domain.errors import InvalidArgument
from tracechain.rpc.connect_errors import connect_error
from tracechain.rpc.status import described

# What takes longer than about ten milliseconds to read or write is done in a thread.
_LARGE = 64 * 1024
_MAX_WORDS = 300
_WITHIN = re.compile(r"Failed to parse (\w+) field: ")
_NO_FIELD = re.compile(r'has no field named "(.{0,60}?)"')


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it came, and the form to read it with."""

    form: Form
    data: bytes

    async def read(self, kind: type[Message]) -> Message:
        """The message. Raises InvalidArgument."""
        if len(self.data) > _LARGE:
            return await asyncio.to_thread(self.form.read, self.data, kind)
        return self.form.read(self.data, kind)


class Form:
    """`json` or `proto`; to the library a codec of that name."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit

    def name(self) -> str:
        """What stands in the content type."""
        return self._name

    def decode(self, data: bytes | bytearray, _: object) -> Raw:
        """Wraps what came."""
        return Raw(self, bytes(data))

    def encode(self, answer: bytes) -> bytes:
        """What was written before."""
        return answer

    async def write(self, answer: Message) -> bytes:
        """The answer's bytes. Raises ConnectError MESSAGE_TOO_LARGE."""
        if answer.ByteSize() > _LARGE:
            return await asyncio.to_thread(self._write, answer)
        return self._write(answer)

    def read(self, data: bytes, kind: type[Message]) -> Message:
        """The message. Raises InvalidArgument."""
        if self._name == "proto":
            try:
                return kind.FromString(data)
            except DecodeError:
                raise InvalidArgument.of(
                    "request",
                    "INVALID_FIELD_TYPE",
                    "these bytes are no message of the method's type",
                ) from None
        try:
            # An empty body is an empty message: `curl -d ''` to a method that asks for nothing.
            value = read_json(data) if data.strip() else {}
        except InvalidArgument as error:
            raise error.under("request") from None
        if not isinstance(value, dict):
            raise InvalidArgument.of("request", "INVALID_FIELD_TYPE", "has to be a JSON object")
        message = kind()
        try:
            json_format.ParseDict(value, message)
        except json_format.ParseError as error:
            raise _explained(str(error), kind) from None
        return message

    def _write(self, answer: Message) -> bytes:
        # The limit is that of gRPC and counts as there: whatever gRPC answers, JSON answers.
        size = answer.ByteSize()
        if size > self._limit:
            raise connect_error(
                described(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "MESSAGE_TOO_LARGE",
                    f"the answer has {size} bytes, {self._limit} are sent at most; ask for less",
                )
            )
        if self._name == "proto":
            return answer.SerializeToString()
        return json_format.MessageToJson(answer, indent=None, ensure_ascii=False).encode()


def _explained(words: str, kind: type[Message]) -> InvalidArgument:
    """What protobuf says of a wrong value, with the path of its field as it is everywhere here."""
    path: list[str] = []
    inside: Any = kind.DESCRIPTOR
    while found := _WITHIN.match(words):
        name, words = found[1], words[found.end() :]
        field = inside and (
            inside.fields_by_camelcase_name.get(name) or inside.fields_by_name.get(name)
        )
        path.append(field.name if field else name)
        inside = field.message_type if field else None
    if unknown := _NO_FIELD.search(words):
        path.append(unknown[1])
        return InvalidArgument.of(
            ".".join(path) or "request", "UNKNOWN_FIELD", "there is no such field"
        )
    words = words.splitlines()[0].rstrip(".")[:_MAX_WORDS] if words else "is not of its type"
    return InvalidArgument.of(".".join(path) or "request", "INVALID_FIELD_TYPE", words)
