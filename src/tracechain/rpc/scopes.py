"""Scopes: which of the methods that its role may call a credential may.

A scope is `read` (every method without side effects), a service (`IssuanceService`) or a method
(`IssuanceService.IssueCodes`), by the names in the protos. So a method that is added belongs to
the scopes of its service at once, and to `read` where it says that it only reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from tracechain.domain.errors import InvalidArgument
from tracechain.domain.party import Role
from tracechain.rpc import convert
from tracechain.v1 import (
    admin_pb2,
    annotations_pb2,
    capture_pb2,
    issuance_pb2,
    log_pb2,
    provenance_pb2,
    supervision_pb2,
    verification_pb2,
)

READ = "read"
_MAX_SCOPES = 32
_FILES = (
    admin_pb2, capture_pb2, issuance_pb2, log_pb2, provenance_pb2, supervision_pb2,
    verification_pb2,
)  # fmt: skip


def scopes_of(method: MethodDescriptor) -> frozenset[str]:
    """The scopes that a method is in."""
    service = method.containing_service
    assert service is not None
    own = {service.name, f"{service.name}.{method.name}"}
    is_read = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return frozenset(own | {READ} if is_read else own)


def checked(scopes: Sequence[str], role: Role, field: str) -> tuple[str, ...]:
    """The scopes in order, each once. Raises InvalidArgument INVALID_SCOPE for one under which the
    role could call nothing, LIST_TOO_LONG."""
    if len(scopes) > _MAX_SCOPES:
        raise InvalidArgument.of(field, "LIST_TOO_LONG", f"at most {_MAX_SCOPES} are taken")
    possible = {scope for method in _methods(role) for scope in scopes_of(method)}
    for at, scope in enumerate(scopes):
        if scope not in possible:
            raise InvalidArgument.of(
                f"{field}[{at}]",
                "INVALID_SCOPE",
                f"neither `{READ}` nor a service or method that the role {role} may call",
            )
    return tuple(sorted(set(scopes)))


def _methods(role: Role) -> Iterator[MethodDescriptor]:
    number = convert.number(annotations_pb2.Role, role)
    for method in _all_methods():
        access = method.GetOptions().Extensions[annotations_pb2.access]
        if number in access.roles:
            yield method


def _all_methods() -> Iterable[MethodDescriptor]:
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods
