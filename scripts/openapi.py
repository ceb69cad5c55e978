"""Describes the API over HTTP as OpenAPI 3.1, from the protos and their comments.

Promise: the committed description is what the committed protos say, byte for byte, so `--check`
may fail a build. Nothing is written per method: who adds an RPC or a field has described it.
What the Connect protocol adds to the protos (paths, errors, streams) is said once, here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commented import PACKAGE, Protos, ProtosError, Service, parsed
from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)

from tracechain.v1 import annotations_pb2

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path("src/tracechain/rpc/openapi.json")
OPENAPI = "3.1.0"

Schema = dict[str, Any]

_INTRODUCTION = """\
Every method of the gRPC API by the [Connect protocol](https://connectrpc.com/docs/protocol): a
POST of JSON to `/tracechain.v1.{Service}/{Method}`; methods without side effects also by GET with
the request in `?encoding=json&message={…}`. Fields have the names of protobuf's JSON mapping. What
an answer does not name has its default: `0`, `""`, `false`, `[]`, the enum's first value. 64-bit
integers are texts. A field that does not exist is refused, in a request; a reader should let pass
the fields that it does not know, in an answer.

Streams have the content type `application/connect+json`. Each message is an envelope: one byte of
flags, four bytes of length (big-endian), then JSON. The last envelope has the flag 2 and holds
`{}` or `{"error": …}`; the HTTP status of a stream is 200 even where it fails.

Errors have a `code`, a `message` for people, and `details`; `debug` holds each of them as JSON.
The reason in `google.rpc.ErrorInfo` is stable. `google.rpc.BadRequest` names the wrong fields,
`google.rpc.RetryInfo` says when to come back."""

_STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504,
    "not_found": 404, "already_exists": 409, "permission_denied": 403, "resource_exhausted": 429,
    "failed_precondition": 400, "aborted": 409, "out_of_range": 400, "unimplemented": 501,
    "internal": 500, "unavailable": 503, "data_loss": 500, "unauthenticated": 401,
}  # fmt: skip

_KIND = FieldDescriptorProto
_SCALARS: Mapping[int, Schema] = {
    _KIND.TYPE_STRING: {"type": "string"},
    _KIND.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _KIND.TYPE_BOOL: {"type": "boolean"},
    _KIND.TYPE_INT32: {"type": "integer", "format": "int32"},
    _KIND.TYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    _KIND.TYPE_INT64: {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"},
    _KIND.TYPE_UINT64: {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"},
    _KIND.TYPE_DOUBLE: {"type": "number", "format": "double"},
}
_KNOWN: Mapping[str, Schema] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
}


class Description:
    """Makes the description; schemas are made as they are first pointed to."""

    def __init__(self, protos: Protos) -> None:
        self._protos = protos
        self._schemas: dict[str, Schema] = {}

    def document(self) -> Schema:
        """The whole description."""
        services = sorted(self._protos.services, key=lambda service: service.name)
        paths = {
            f"/{PACKAGE}.{service.name}/{method.name}": self._path(service, method, comment)
            for service in services
            for method, comment in service.methods
        }
        error = self._error()
        return {
            "openapi": OPENAPI,
            "info": {
                "title": "tracechain",
                "version": "v1",
                "summary": "Signed product codes, supply-chain events, verification at scan time",
                "description": _INTRODUCTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": s.name, "description": s.comment} for s in services],
            "paths": paths,
            "components": {
                "schemas": dict(sorted({**self._schemas, **error}.items())),
                "responses": {
                    "Error": {
                        "description": "What went wrong. HTTP status by code: "
                        + ", ".join(f"{name} {status}" for name, status in _STATUS.items())
                        + ". A path without a method is unimplemented with 404, another HTTP "
                        "method with 405, another content type invalid_argument with 415.",
                        "content": {"application/json": {"schema": _to("Error")}},
                    }
                },
                "securitySchemes": {
                    "apiKey": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "An API key, as AdminService.CreateCredential gives it, or "
                        "a token of an issuer that the service is configured to believe. Over "
                        "mutual TLS a registered client certificate does without.",
                    }
                },
            },
        }

    def _path(self, service: Service, method: MethodDescriptorProto, comment: str) -> Schema:
        access = method.options.Extensions[annotations_pb2.access]
        roles = [
            annotations_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in access.roles
        ]
        who = "Anybody may call it." if access.public else f"For the roles {', '.join(roles)}."
        common = {
            "tags": [service.name],
            "summary": comment.partition(". ")[0].rstrip(".:"),
            "description": f"{comment} {who}".strip(),
            "security": [] if access.public else [{"apiKey": []}],
        }
        streams = method.client_streaming or method.server_streaming
        operation = {
            **common,
            "operationId": f"{service.name}_{method.name}",
            "parameters": [_TIMEOUT],
            "requestBody": {
                "required": True,
                "content": self._content(method.input_type, streams),
            },
            "responses": self._responses(method, streams),
        }
        path = {"post": operation}
        if method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS and not streams:
            path["get"] = {
                **common,
                "operationId": f"{service.name}_{method.name}_get",
                "parameters": [
                    {
                        "name": "encoding",
                        "in": "query",
                        "required": True,
                        "description": "How the message is written.",
                        "schema": {"const": "json"},
                    },
                    {
                        "name": "message",
                        "in": "query",
                        "required": True,
                        "description": "The request as JSON.",
                        "content": {"application/json": {"schema": self._of(method.input_type)}},
                    },
                    _TIMEOUT,
                ],
                "responses": self._responses(method, streams),
            }
        return path

    def _responses(self, method: MethodDescriptorProto, streams: bool) -> Schema:
        return {
            "200": {
                "description": "A stream; its last envelope says whether it ended well."
                if streams
                else "The answer.",
                "content": self._content(method.output_type, streams),
            },
            "default": {"$ref": "#/components/responses/Error"},
        }

    def _content(self, kind: str, streams: bool) -> Schema:
        schema = self._of(kind)
        if not streams:
            return {"application/json": {"schema": schema}}
        # OpenAPI 3.1 has no words for a stream of messages; the extension names what is in it.
        return {
            "application/connect+json": {
                "schema": {
                    "type": "string",
                    "contentMediaType": "application/connect+json",
                    "description": "Envelopes, each with one message.",
                    "x-message": schema,
                }
            }
        }

    def _of(self, kind: str) -> Schema:
        """Points to the schema of a message or an enum, made now if it was not yet."""
        if kind in _KNOWN:
            return dict(_KNOWN[kind])
        name = kind.removeprefix(f".{PACKAGE}.")
        if name not in self._schemas:
            self._schemas[name] = {}  # it may point to itself
            self._schemas[name] = (
                self._enum(kind) if kind in self._protos.enums else self._message(kind)
            )
        return _to(name)

    def _enum(self, kind: str) -> Schema:
        enum = self._protos.enums[kind]
        values = "".join(f"\n- `{name}`: {comment}" for name, comment in enum.values)
        return {
            "type": "string",
            "description": f"{enum.comment}\n{values}",
            "enum": [name for name, _ in enum.values],
        }

    def _message(self, kind: str) -> Schema:
        message = self._protos.messages[kind]
        properties: dict[str, Schema] = {}
        required = []
        for field, comment in message.fields:
            schema = self._field(field)
            if field.options.Extensions[annotations_pb2.required]:
                required.append(field.json_name)
                if schema.get("type") == "array":
                    schema["minItems"] = 1
                elif schema == {"type": "string"}:
                    schema["minLength"] = 1
            properties[field.json_name] = {**schema, "description": comment}
        made: Schema = {"type": "object", "description": message.comment}
        if properties:
            made["properties"] = properties
        if required:
            made["required"] = required
        return made

    def _field(self, field: FieldDescriptorProto) -> Schema:
        if field.label != _KIND.LABEL_REPEATED:
            return self._value(field)
        inside = self._protos.messages.get(field.type_name)
        if inside is not None and inside.proto.options.map_entry:
            return {"type": "object", "additionalProperties": self._value(inside.proto.field[1])}
        return {"type": "array", "items": self._value(field)}

    def _value(self, field: FieldDescriptorProto) -> Schema:
        if field.type_name:
            return self._of(field.type_name)
        if field.type not in _SCALARS:
            raise ProtosError(f"{field.name} has a type that the description has no word for")
        return dict(_SCALARS[field.type])

    def _error(self) -> Mapping[str, Schema]:
        prefix = "ERROR_REASON_"
        reasons = [
            (name.removeprefix(prefix), comment)
            for name, comment in self._protos.enums[f".{PACKAGE}.ErrorReason"].values[1:]
        ]
        return {
            "Error": {
                "type": "object",
                "description": "An error of the Connect protocol.",
                "required": ["code"],
                "properties": {
                    "code": {"type": "string", "enum": list(_STATUS)},
                    "message": {"type": "string", "description": "For people."},
                    "details": {"type": "array", "items": _to("ErrorDetail")},
                },
            },
            "ErrorDetail": {
                "type": "object",
                "description": "A message of google.rpc.",
                "required": ["type", "value"],
                "properties": {
                    "type": {
                        "type": "string",
                        "enum": [f"google.rpc.{name}" for name in _DETAILS],
                    },
                    "value": {
                        "type": "string",
                        "description": "The message as protobuf, in base64 without padding.",
                    },
                    "debug": {
                        "description": "The same message as JSON.",
                        "anyOf": [_to(name) for name in _DETAILS],
                    },
                },
            },
            "ErrorReason": {
                "type": "string",
                "description": "Stable: values are added, never renamed.\n"
                + "".join(f"\n- `{name}`: {comment}" for name, comment in reasons),
                "enum": [name for name, _ in reasons],
            },
            **_DETAILS,
        }


def _to(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TIMEOUT: Schema = {
    "name": "Connect-Timeout-Ms",
    "in": "header",
    "description": "Milliseconds after which the caller no longer wants the answer.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 9_999_999_999},
}

_DETAILS: Mapping[str, Schema] = {
    "ErrorInfo": {
        "type": "object",
        "required": ["reason", "domain"],
        "properties": {
            "reason": _to("ErrorReason"),
            "domain": {"const": "tracechain"},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "BadRequest": {
        "type": "object",
        "required": ["fieldViolations"],
        "properties": {
            "fieldViolations": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": {
                            "type": "string",
                            "description": "Its path, with the names of the protos.",
                        },
                        "description": {"type": "string", "description": "For people."},
                        "reason": _to("ErrorReason"),
                    },
                },
            }
        },
    },
    "RetryInfo": {
        "type": "object",
        "properties": {
            "retryDelay": {"type": "string", "description": "Seconds.", "examples": ["1s"]}
        },
    },
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Describe the API as OpenAPI, from protos/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    try:
        document = Description(parsed(arguments.root / "protos")).document()
    except ProtosError as error:
        print(f"openapi: {error}", file=sys.stderr)
        return 1
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    target = arguments.root / TARGET
    if not arguments.check:
        target.write_text(text, "utf-8", newline="\n")
    elif not target.is_file() or target.read_text("utf-8") != text:
        print(f"openapi: {TARGET} is not what protos/ says; run ./dev generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
