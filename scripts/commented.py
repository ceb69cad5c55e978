"""The protos as the descriptions need them: with the comments above each element."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

PACKAGE = "tracechain.v1"


class ProtosError(Exception):
    """The protos cannot be read; protoc said why."""


@dataclass(frozen=True)
class Message:
    """A message, its comment and those of its fields."""

    proto: DescriptorProto
    comment: str
    fields: list[tuple[FieldDescriptorProto, str]]


@dataclass(frozen=True)
class Enum:
    """An enum, its comment, and its values with theirs."""

    comment: str
    values: list[tuple[str, str]]


@dataclass(frozen=True)
class Service:
    """A service, its comment and its methods with theirs."""

    name: str
    comment: str
    methods: list[tuple[MethodDescriptorProto, str]]


class Protos:
    """The API with its comments, by full name as descriptors spell it (`.tracechain.v1.Batch`)."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self.services: list[Service] = []
        for file in files.file:
            if file.package == PACKAGE:
                self._read(file)

    def _read(self, file: FileDescriptorProto) -> None:
        # Where a comment stands is said by the numbers of descriptor.proto: 4, 5 and 6 are a
        # file's messages, enums and services; 2 its fields, values and methods within those.
        comments = {
            tuple(place.path): _unwrapped(place.leading_comments)
            for place in file.source_code_info.location
        }

        def words(*path: int) -> str:
            return comments.get(path, "")

        def members(parts: Iterable[Any], *path: int) -> list[tuple[Any, str]]:
            return [(part, words(*path, 2, j)) for j, part in enumerate(parts)]

        def enum(proto: EnumDescriptorProto, scope: str, *path: int) -> None:
            values = [(value.name, text) for value, text in members(proto.value, *path)]
            self.enums[f"{scope}.{proto.name}"] = Enum(words(*path), values)

        def message(proto: DescriptorProto, scope: str, *path: int) -> None:
            name = f"{scope}.{proto.name}"
            self.messages[name] = Message(proto, words(*path), members(proto.field, *path))
            for j, inner in enumerate(proto.nested_type):
                message(inner, name, *path, 3, j)
            for j, kind in enumerate(proto.enum_type):
                enum(kind, name, *path, 4, j)

        for i, proto in enumerate(file.message_type):
            message(proto, f".{PACKAGE}", 4, i)
        for i, kind in enumerate(file.enum_type):
            enum(kind, f".{PACKAGE}", 5, i)
        for i, service in enumerate(file.service):
            self.services.append(Service(service.name, words(6, i), members(service.method, 6, i)))


def _unwrapped(comment: str) -> str:
    """Text whose lines were broken for the eye."""
    return " ".join(line.strip() for line in comment.strip().splitlines())


def parsed(protos: Path) -> Protos:
    """The protos below `protos`. Raises ProtosError."""
    folder = PACKAGE.replace(".", "/")
    sources = sorted(f"{folder}/{path.name}" for path in (protos / folder).glob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}"),
                *("--include_source_info", f"--descriptor_set_out={out.name}", *sources),
            ],
            check=False,
        )
        if done.returncode or not sources:
            raise ProtosError("protoc failed")
        return Protos(FileDescriptorSet.FromString(Path(out.name).read_bytes()))
