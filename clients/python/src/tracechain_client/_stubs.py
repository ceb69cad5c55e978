"""The generated stubs of all services, on a channel that adds the client's credential.

One class serves both clients: generated stubs ask a channel for callables and do not care which
kind they get. The types are those of the asynchronous channel, as the generator writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tracechain_client.v1 import (
    admin_pb2_grpc,
    audit_pb2_grpc,
    capture_pb2_grpc,
    issuance_pb2_grpc,
    log_pb2_grpc,
    provenance_pb2_grpc,
    supervision_pb2_grpc,
    verification_pb2_grpc,
)

Metadata = tuple[tuple[str, str], ...]


class Stubs:
    """One generated stub for each service: the whole API, with the credential added.

    No timeout, no retry, no request_id of its own; errors are gRPC's (`errors.from_rpc_error`
    translates them). On the synchronous client the callables block and return.
    """

    def __init__(self, channel: Any, metadata: Metadata) -> None:
        bearing: Any = _BearingChannel(channel, metadata)
        self.admin = admin_pb2_grpc.AdminServiceStub(bearing)
        self.audit = audit_pb2_grpc.AuditServiceStub(bearing)
        self.events = capture_pb2_grpc.EventServiceStub(bearing)
        self.issuance = issuance_pb2_grpc.IssuanceServiceStub(bearing)
        self.log = log_pb2_grpc.LogServiceStub(bearing)
        self.provenance = provenance_pb2_grpc.ProvenanceServiceStub(bearing)
        self.supervision = supervision_pb2_grpc.SupervisionServiceStub(bearing)
        self.verification = verification_pb2_grpc.VerificationServiceStub(bearing)


class _BearingCall:
    """A callable of a stub, whichever its kind, that adds metadata to what the caller gives."""

    def __init__(self, call: Any, metadata: Metadata) -> None:
        self._call = call
        self._metadata = metadata

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **self._with_metadata(**options))

    def with_call(self, *args: Any, **options: Any) -> Any:
        return self._call.with_call(*args, **self._with_metadata(**options))

    def future(self, *args: Any, **options: Any) -> Any:
        return self._call.future(*args, **self._with_metadata(**options))

    def _with_metadata(
        self, metadata: Iterable[tuple[str, Any]] | None = None, **options: Any
    ) -> dict[str, Any]:
        return {**options, "metadata": (*self._metadata, *(metadata or ()))}


class _BearingChannel:
    def __init__(self, channel: Any, metadata: Metadata) -> None:
        self._channel = channel
        self._metadata = metadata

    def __getattr__(self, kind: str) -> Callable[..., _BearingCall]:
        make = getattr(self._channel, kind)
        return lambda *args, **options: _BearingCall(make(*args, **options), self._metadata)
